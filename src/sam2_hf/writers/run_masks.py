"""Masks of a run: of a session, of a result, or of the files that `sam2-hf track` wrote.

Suffixes: h, w = rows and columns in pixels.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from sam2_hf import rle
from sam2_hf.errors import DataError, SessionError
from sam2_hf.json_input import load_json
from sam2_hf.number_reading import shown
from sam2_hf.picture_files import PICTURE_ENDINGS, file_problem
from sam2_hf.video.masklet import Masklet

JSON_NAMES = "*masklets.json"

FrameRles = Mapping[int, rle.CocoRle]


@runtime_checkable
class HasMasklets(Protocol):
    """A [`VideoSession`]; a [`VideoSegmentation`] has `masklets` instead."""

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects."""

    def masklet(self, object_id: int) -> Masklet:
        """Return the masks of an object."""


def read_run(run: object) -> Mapping[int, FrameRles]:
    """Read the masks of a run, by object and frame.

    Raises:
        DataError: It has none.
    """
    if isinstance(run, str | os.PathLike):
        return _read_results(Path(run))
    try:
        masklets = masklets_of(run)
        return {
            masklet.object_id: {frame: masklet.rle(frame) for frame in masklet.frames}
            for masklet in masklets
        }
    except SessionError as error:
        raise DataError(
            f"the masks of {shown(run)} cannot be read: {error} Compare before you close."
        ) from error


def masklets_of(run: object) -> list[Masklet]:
    """List the masklets of a run in memory.

    Raises:
        DataError: It is none.
    """
    masklets: list[Any]
    if isinstance(found := getattr(run, "masklets", run), Mapping):
        masklets = list(found.values())
    elif isinstance(run, HasMasklets):
        masklets = [run.masklet(object_id) for object_id in run.object_ids]
    else:
        masklets = [run]
    if not all(isinstance(masklet, Masklet) for masklet in masklets):
        raise DataError(
            f"{shown(run)} is not a run. Give a VideoSegmentation, a session, a Masklet, or the "
            "results of sam2-hf track."
        )
    return masklets


def _read_results(path: Path) -> Mapping[int, FrameRles]:
    """Read a file of masklets, or the only one in a folder; else a folder of label PNGs.

    Raises:
        DataError: There are none, or several.
    """
    if not path.is_dir():
        return _read_masklets(path)
    files = sorted(path.glob(JSON_NAMES))
    if len(files) > 1:
        names = ", ".join(file.name for file in files)
        raise DataError(
            f"{path} has the results of several videos: {names}. Give one of the files."
        )
    if files:
        return _read_masklets(files[0])
    pictures = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURE_ENDINGS)
    if not pictures:
        raise DataError(
            f"{path} has no results of sam2-hf track: neither {JSON_NAMES} nor label PNGs. Track "
            "with --save sav or davis, and give the folder."
        )
    return _read_labels(pictures)


def _read_masklets(file: Path) -> Mapping[int, FrameRles]:
    """Read JSON in the format of SA-V.

    Raises:
        DataError: It has another form.
    """
    if problem := file_problem(file, "file of masklets"):
        raise DataError(problem)
    content = load_json(file)
    try:
        object_ids = [int(object_id) for object_id in content["masklet_id"]]
        rows = {
            frame: dict(zip(object_ids, row, strict=True))
            for frame, row in enumerate(content["masklet"])
        }
        masks: dict[int, dict[int, rle.CocoRle]] = {object_id: {} for object_id in object_ids}
        for frame, row in rows.items():
            for object_id, mask in row.items():
                if mask is not None:
                    masks[object_id][frame] = rle.to_coco(rle.from_coco(mask))
    except (DataError, TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
        raise DataError(
            f"{file} is not a file of masklets: {error}. Give STEM_masklets.json of sam2-hf track."
        ) from error
    return masks


def _read_labels(files: Iterable[Path]) -> Mapping[int, FrameRles]:
    """Read label pictures, one for each frame.

    Raises:
        DataError: One cannot be read, or its name is not a number.
    """
    labels = {}
    for file in files:
        try:
            with Image.open(file) as picture:
                labels[int(file.stem)] = np.asarray(picture)
        except Exception as error:  # Pillow's readers raise many types for damaged files
            raise DataError(
                f"{file} is not a picture of labels: {error}. Give a folder of 00000.png, "
                "00001.png, and so on."
            ) from error
        if labels[int(file.stem)].ndim != 2:
            raise DataError(f"{file} has colors instead of labels. Give palette PNGs.")
    object_ids = sorted(
        {int(label) for labels_hw in labels.values() for label in np.unique(labels_hw)}
    )
    return {
        object_id: {
            frame: rle.to_coco(rle.encode(labels_hw == object_id))
            for frame, labels_hw in labels.items()
        }
        for object_id in object_ids
        if object_id
    }


def video_of(run: object) -> tuple[str | None, int | None]:
    """Return the name and the number of frames of a run's video, as far as they are known."""
    if isinstance(run, str | os.PathLike):
        path = Path(run)
        files = sorted(path.glob(JSON_NAMES)) if path.is_dir() else [path]
        content = load_json(files[0]) if files else {}
        name, count = content.get("video_id"), content.get("video_frame_count")
    else:
        name, count = None, getattr(run, "num_frames", None)
    return (
        name if isinstance(name, str) else None,
        count if type(count) is int and count > 0 else None,
    )
