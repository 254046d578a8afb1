"""Video list of an unpacked data set.

Missing files are found before tracking starts: an incomplete set raises an error that names them,
and where to get them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sam2_hf.data.config import SourceConfig
from sam2_hf.data.davis import read_sequence
from sam2_hf.data.folders import folder_names
from sam2_hf.data.rows import VideoRow
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import READERS

from .given_objects import with_given_objects
from .listed_names import require_known, some_of
from .object_ranges import with_ranges
from .set_rules import NO_OPTIONS, YOUR_OWN, SetRules


def read_folder(
    rules: SetRules,
    root: Path,
    only: Sequence[str] = (),
    options: Mapping[str, object] = NO_OPTIONS,
) -> list[VideoRow]:
    """List the videos of a set, with prompted objects.

    Args:
        rules: The set.
        root: Its unpacked folder.
        only: Ids of videos; all if empty.
        options: Options of the reader; only for sets read by training's.

    Raises:
        DataError: A part is missing, or a video of `only` is not in it.
        MissingPackageError: There are video files, and PyAV is not installed.
    """
    try:
        if rules.kind:
            rows = _of_kind(rules, root, only, options)
        elif options:
            raise DataError(f"{rules.name} has no options, so not {', '.join(options)} either.")
        else:
            rows = _sequences(rules, root, only)
        given = [with_given_objects(row, rules) for row in rows]
        for row in given:
            _require_all(rules, row)
    except DataError as error:
        raise DataError(f"{error} {_where(rules)}") from error
    return with_ranges(rules, root, given) if rules.meta else given


def _of_kind(
    rules: SetRules, root: Path, only: Sequence[str], options: Mapping[str, object]
) -> list[VideoRow]:
    """List videos with training's reader."""
    rows = READERS[rules.kind](SourceConfig(rules.kind, str(root), options=options))
    require_known(only, [row.name for row in rows], str(root))
    return [row for row in rows if not only or row.name in only]


def _sequences(rules: SetRules, root: Path, only: Sequence[str]) -> list[VideoRow]:
    """List videos in DAVIS' layout, in the folders of the rules."""
    images, masks = (_first(root, names) for names in (rules.images, rules.masks))
    listed = _listed(rules, root, images, masks)
    require_known(only, listed, f"{rules.name} in {root}")
    names = [name for name in listed if not only or name in only]
    for kind, folder in (("frames", images), ("masks", masks)):
        if missing := [name for name in names if not (folder / name).is_dir()]:
            raise DataError(
                f"{len(missing)} of {len(names)} videos of {rules.name} have no {kind}: there is "
                f"no {some_of(str(folder / name) for name in missing)}."
            )
    if not names:
        raise DataError(f"{masks} has no folders of videos in it.")
    return [_sequence(rules, name, images / name, masks / name) for name in names]


def _sequence(rules: SetRules, name: str, images: Path, masks: Path) -> VideoRow:
    row = read_sequence(name, images, masks, per_object=rules.per_object)
    if not row.images:
        raise DataError(f"there are no pictures in {images}.")
    if rules.per_object and not row.masks:
        raise DataError(f"{name}: there is no folder of an object, such as 000, in {masks}.")
    return row


def _require_all(rules: SetRules, row: VideoRow) -> None:
    """Refuse a video of DAVIS that lacks masks; elsewhere only some frames are annotated."""
    every_frame = rules.is_public and rules.scoring.policy == "davis" and not rules.late_objects
    if every_frame and len(row.annotated) != len(row.frame_names):
        raise DataError(
            f"{row.name} has {len(row.frame_names)} frames, but masks of {len(row.annotated)} of "
            "them."
        )


def _listed(rules: SetRules, root: Path, images: Path, masks: Path) -> list[str]:
    """Return the ids of all videos: those of the list, or all with frames and masks."""
    if not rules.listing:
        return [name for name in folder_names(masks) if (images / name).is_dir()]
    path = next((root / name for name in rules.listing if (root / name).is_file()), None)
    if path is None:
        raise DataError(f"there is no {root / rules.listing[0]}.")
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error
    return [name for name in names if name]


def _first(root: Path, names: tuple[str, ...]) -> Path:
    found = next((root / name for name in names if (root / name).is_dir()), None)
    if found is None:
        raise DataError(f"there is no {some_of(str(root / name) for name in names)}.")
    return found


def _where(rules: SetRules) -> str:
    if rules.page == YOUR_OWN:
        return "Give the folder that holds it as the root."
    return f"Unpack {rules.name} from {rules.page} and give the folder it lies in as the root."
