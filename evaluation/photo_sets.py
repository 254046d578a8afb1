"""Photos with everything in them that is to be found by a click.

    PATH/bsds500/val/NAME.jpg, NAME.k.png        the k-th annotator's partition, labels from 1
    PATH/coco128/images, instances_val.json      COCO JSON with polygons or run lengths

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_hf.errors import DataError
from sam2_hf.training.segments import read_segments

MIN_AREA = 0.01  # of the picture; smaller segments are not measured


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhoto:
    """A photo and the true masks of what can be seen on it.

    Attributes:
        name: What the photo is called in its set.
        picture_hw3: `(height, width, 3)` uint8, RGB.
        segments: `(height, width)` bool masks of at least `MIN_AREA` of the picture; of several
            annotators all are in.
    """

    name: str
    picture_hw3: NDArray[np.uint8]
    segments: tuple[NDArray[np.bool_], ...]


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """A set of photos, read one by one.

    Attributes:
        name: What the set is called in tables.
        segment: What one mask of it is, for a table's caption.
        files: Every file that it is made of.
    """

    name: str
    segment: str
    files: tuple[Path, ...]
    _read: tuple[Callable[[], LabelledPhoto], ...] = field(repr=False, compare=False)

    def __len__(self) -> int:
        return len(self._read)

    def __iter__(self) -> Iterator[LabelledPhoto]:
        return (read() for read in self._read)


def bsds_set(root: Path) -> PhotoSet:
    """Find the validation photos of BSDS500; a segment is one label of one annotator's partition.

    A label that lies in several places is one segment.

    Raises:
        DataError: If a photo has no partition, or there are no photos.
    """
    folder = root / "bsds500" / "val"
    photos = tuple(sorted(folder.glob("*.jpg")))
    require_files(photos, folder / "*.jpg")
    partitions = [tuple(sorted(folder.glob(f"{photo.stem}.*.png"))) for photo in photos]
    for photo, found in zip(photos, partitions, strict=True):
        require_files(found, folder / f"{photo.stem}.*.png")
    readers = tuple(
        _reader(_read_partitions, photo, found)
        for photo, found in zip(photos, partitions, strict=True)
    )
    files = tuple(sorted([*photos, *(path for found in partitions for path in found)]))
    return PhotoSet("bsds500/val", "a label of an annotator's partition", files, readers)


def coco_set(root: Path) -> PhotoSet:
    """Find the validation photos of coco128; a segment is an annotated instance that is no crowd.

    Raises:
        DataError: If the JSON or the photos are missing, or the JSON is broken.
    """
    table = root / "coco128" / "instances_val.json"
    require_files((table,) if table.exists() else (), table)
    try:
        content = json.loads(table.read_text(encoding="utf-8"))
        annotations: dict[int, list[dict[str, Any]]] = {}
        for annotation in content["annotations"]:
            if not annotation.get("iscrowd", 0):
                annotations.setdefault(annotation["image_id"], []).append(annotation)
        images = [
            (entry["file_name"], annotations.get(entry["id"], [])) for entry in content["images"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{table} is no COCO JSON ({error!r}). Get the file again.") from error
    folder = root / "coco128" / "images"
    readers = tuple(_reader(_read_instances, folder / name, found) for name, found in images)
    files = (table, *(folder / name for name, _ in images))
    return PhotoSet("coco128 val", "an annotated instance", files, readers)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """Read a picture as `(height, width, 3)` uint8.

    Raises:
        DataError: If the file is missing or broken.
    """
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path} cannot be read ({error}). Get the file again.") from error


def read_labels(path: Path, size: tuple[int, int]) -> NDArray[np.integer[Any]]:
    """Read a label map whose size must be that of its picture.

    Raises:
        DataError: If the file is missing, broken, or of another size.
    """
    try:
        with Image.open(path) as picture:
            labels_hw = np.asarray(picture)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path} cannot be read ({error}). Get the file again.") from error
    if labels_hw.shape != size:
        raise DataError(
            f"{path} has the shape {labels_hw.shape}, its picture {size}. "
            "Label maps are one number a pixel, as large as the picture."
        )
    return labels_hw


def require_files(found: tuple[Path, ...], pattern: Path) -> None:
    """Say which files are missing if none were found.

    Raises:
        DataError: If `found` is empty.
    """
    if not found:
        raise DataError(
            f"there is no {pattern}. --data is the folder with bsds500/, coco128/ and "
            "davis16-half/ in it."
        )


def _reader(
    read: Callable[..., LabelledPhoto], path: Path, truth: object
) -> Callable[[], LabelledPhoto]:
    return lambda: read(path, truth)


def _read_partitions(path: Path, partitions: tuple[Path, ...]) -> LabelledPhoto:
    picture_hw3 = read_picture(path)
    size = picture_hw3.shape[0], picture_hw3.shape[1]
    segments = []
    for partition in partitions:
        labels_hw = read_labels(partition, size)
        segments += [labels_hw == label for label in np.unique(labels_hw) if label]
    return LabelledPhoto(path.stem, picture_hw3, _large_enough(segments))


def _read_instances(path: Path, annotations: list[dict[str, Any]]) -> LabelledPhoto:
    picture_hw3 = read_picture(path)
    size = picture_hw3.shape[0], picture_hw3.shape[1]
    try:
        found = read_segments([one["segmentation"] for one in annotations], size)
        segments = [found.mask(number) for number in range(len(annotations))]
        if annotations and found.size != size:
            raise DataError(f"its masks are for {found.size}, the picture is {size}.")
    except (KeyError, DataError) as error:
        raise DataError(f"the annotations of {path} cannot be used: {error}") from error
    return LabelledPhoto(path.stem, picture_hw3, _large_enough(segments))


def _large_enough(segments: list[NDArray[np.bool_]]) -> tuple[NDArray[np.bool_], ...]:
    return tuple(mask for mask in segments if mask.mean() >= MIN_AREA)
