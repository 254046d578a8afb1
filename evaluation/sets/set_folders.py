"""Listing the videos of a data set that was unpacked somewhere.

Everything that is missing is found before anything is tracked: a half-unpacked set gives an error
that names what is not there, and where to get it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sam2_hf.data.folders import folder_names, picture_names
from sam2_hf.data.frame_annotations import open_label_map
from sam2_hf.errors import DataError

from .listed_names import require_known, some_of
from .masklet_files import read_masklets
from .object_ranges import with_ranges
from .set_rules import SetRules
from .video_rows import VideoRow


def read_folder(rules: SetRules, root: Path, only: Sequence[str] = ()) -> list[VideoRow]:
    """List the videos of a set.

    Args:
        rules: The set.
        root: Where it was unpacked.
        only: Ids of videos to take; all if empty.

    Raises:
        DataError: Something of it is missing, or a video of `only` is not in it.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}. {_where(rules)}")
    if rules.from_json:
        try:
            return read_masklets(root, only)
        except DataError as error:
            raise DataError(f"{error} {_where(rules)}") from error
    images, masks = (_first(rules, root, names) for names in (rules.images, rules.masks))
    listed = _listed(rules, root, images, masks)
    require_known(only, listed, f"{rules.name} in {root}")
    names = [name for name in listed if not only or name in only]
    for kind, folder in (("frames", images), ("masks", masks)):
        if missing := [name for name in names if not (folder / name).is_dir()]:
            raise DataError(
                f"{len(missing)} of {len(names)} videos of {rules.name} have no {kind}: there is "
                f"no {some_of(str(folder / name) for name in missing)}. {_where(rules)}"
            )
    rows = [_row(rules, name, images / name, masks / name) for name in names]
    if not rows:
        raise DataError(f"{masks} has no folders of videos in it. {_where(rules)}")
    return with_ranges(rules, root, rows) if rules.meta else rows


def _row(rules: SetRules, name: str, images: Path, masks: Path) -> VideoRow:
    pictures = {Path(one).stem: str(images / one) for one in picture_names(images)}
    if not pictures:
        raise DataError(f"there are no pictures in {images}. {_where(rules)}")
    stems = sorted(pictures, key=_frame_number)
    row = VideoRow(name, frames=[pictures[stem] for stem in stems], frame_names=stems)
    return (_with_masks_per_object if rules.per_object else _with_label_maps)(rules, row, masks)


def _with_label_maps(rules: SetRules, row: VideoRow, folder: Path) -> VideoRow:
    """Fill the columns of a video with one mask file a frame."""
    name, stems = row.video, row.frame_names
    files = {Path(one).stem: folder / one for one in picture_names(folder)}
    annotated = [frame for frame, stem in enumerate(stems) if stem in files]
    if not annotated or (annotated[0] != 0 and not rules.late_objects):
        raise DataError(
            f"{name}: the first frame, {stems[0]}, has no mask in {folder}, only "
            f"{some_of(sorted(files))}. {_where(rules)}"
        )
    _require_all(rules, name, annotated, len(stems))
    first: dict[int, int] = {}
    for frame in annotated if rules.late_objects else annotated[:1]:
        for number in _numbers(files[stems[frame]], binary=rules.binary):
            first.setdefault(number, frame)
    if not first:
        raise DataError(f"{name}: no object is annotated where one is to be given, in {folder}.")
    return replace(
        row,
        annotated=annotated,
        label_maps=[str(files[stems[frame]]) for frame in annotated],
        object_ids=sorted(first),
        first_frames=[first[number] for number in sorted(first)],
    )


def _with_masks_per_object(rules: SetRules, row: VideoRow, folder: Path) -> VideoRow:
    """Fill the columns of a video with a folder of masks for each object."""
    name, stems = row.video, row.frame_names
    folders = [one for one in folder_names(folder) if one.isdecimal()]
    if not folders:
        raise DataError(f"{name}: there is no folder of an object, such as 000, in {folder}.")
    files = {
        one: {Path(file).stem: str(folder / one / file) for file in picture_names(folder / one)}
        for one in folders
    }
    annotated = [
        frame for frame, stem in enumerate(stems) if any(stem in found for found in files.values())
    ]
    if missing := [one for one, found in files.items() if stems[0] not in found]:
        raise DataError(
            f"{name}: the first frame, {stems[0]}, has no mask of object {missing[0]} in {folder}. "
            f"{_where(rules)}"
        )
    return replace(
        row,
        annotated=annotated,
        object_ids=[int(one) for one in folders],
        first_frames=[0] * len(folders),
        object_masks=[[files[one].get(stems[frame]) for frame in annotated] for one in folders],
    )


def _require_all(rules: SetRules, name: str, annotated: list[int], num_frames: int) -> None:
    """Refuse a video of DAVIS that lacks masks; elsewhere only some frames are annotated."""
    every_frame = rules.is_public and rules.scoring.policy == "davis" and not rules.late_objects
    if every_frame and len(annotated) != num_frames:
        raise DataError(
            f"{name} has {num_frames} frames, but masks of {len(annotated)} of them. "
            f"{_where(rules)}"
        )


def _numbers(path: Path, *, binary: bool) -> list[int]:
    found = [int(number) for number in np.unique(open_label_map(str(path))) if number]
    return [1] if binary and found else found


def _listed(rules: SetRules, root: Path, images: Path, masks: Path) -> list[str]:
    """Give the ids of all videos: those of the list, or all that have frames and masks."""
    if not rules.listing:
        return [name for name in folder_names(masks) if (images / name).is_dir()]
    path = next((root / one for one in rules.listing if (root / one).is_file()), None)
    if path is None:
        raise DataError(f"there is no {root / rules.listing[0]}. {_where(rules)}")
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}. {_where(rules)}") from error
    return [name for name in names if name]


def _first(rules: SetRules, root: Path, names: tuple[str, ...]) -> Path:
    found = next((root / name for name in names if (root / name).is_dir()), None)
    if found is None:
        raise DataError(
            f"there is no {some_of(str(root / name) for name in names)}. {_where(rules)}"
        )
    return found


def _frame_number(stem: str) -> tuple[int, str]:
    """Sort frames by their number, as the original does."""
    return (int(stem), "") if stem.isdecimal() else (0, stem)


def _where(rules: SetRules) -> str:
    return f"Unpack {rules.name} from {rules.page} and give the folder it lies in as the root."
