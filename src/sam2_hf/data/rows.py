"""The columns in which every kind of source names its photos and videos, undecoded.

A row is one photo or one video; a frame is one annotated frame of it. A table made elsewhere, saved
with `datasets` or put on the Hub, is read if it has these columns.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from PIL import Image

from sam2_hf.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    import datasets

SHORT_COLUMNS = ("image", "label_map")  # of tables of photos
StoredPicture = str | bytes | Image.Image
"""Path of a picture, the bytes of its file, or the picture itself."""


@dataclass(frozen=True, slots=True, eq=False)
class ClipRow:
    """One photo or video. Of the last four, one is filled.

    Attributes:
        name: What reports call it.
        images: Picture of each annotated frame; empty for a video file.
        video: Path of a video file, or "".
        label_maps: For each frame one or more pictures that give a number to each pixel, 0 for the
            background. Several are alternatives: opinions of several annotators.
        masks: For each frame the picture of each object, in which all but 0 belongs to it; "" where
            it is not there.
        segments: For each frame a JSON list with each object's COCO segmentation: polygons, run
            lengths, or null where nothing is known.
        segments_file: Path of a JSON file as SA-1B or SA-V have it.
        every: For a video file: distance between two annotated frames.
        size: `(height, width)` that polygons count in; (0, 0) if the picture says it.
    """

    name: str
    images: Sequence[StoredPicture] = ()
    video: str = ""
    label_maps: Sequence[Sequence[StoredPicture]] = ()
    masks: Sequence[Sequence[StoredPicture]] = ()
    segments: Sequence[str] = ()
    segments_file: str = ""
    every: int = 1
    size: tuple[int, int] = (0, 0)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "ClipRow":
        """Read a row of a table; columns that it lacks keep their default.

        Args:
            columns: Values by name. Photos may have `image` and `label_map` instead of `images` and
                `label_maps`.

        Raises:
            DataError: It has neither pictures nor a video, or no annotation.
        """
        known = {field.name for field in fields(cls)}
        given = {name: _stored(value) for name, value in columns.items() if value is not None}
        values = {name: value for name, value in given.items() if name in known}
        if "image" in given:
            values["images"] = [given["image"]]
        if "label_map" in given:
            values["label_maps"] = [[given["label_map"]]]
        if "size" in given:
            values["size"] = tuple(given["size"])
        row = cls(**{"name": "", **values})
        if not row.images and not row.video:
            raise DataError(f"{row.name}: neither images nor a video; columns: {list(columns)}.")
        if not (row.label_maps or row.masks or row.segments or row.segments_file):
            raise DataError(
                f"{row.name}: no annotation. Fill one of the columns label_maps, masks, segments "
                f"and segments_file; there are {list(columns)}."
            )
        return row


def _stored(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    """Take pictures out of the form in which tables embed them: bytes, a path, or both."""
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return value["bytes"] or value["path"] or ""
    return [_stored(one) for one in value] if isinstance(value, list) else value


def make_table(rows: Iterable[ClipRow]) -> "datasets.Dataset":
    """Make the table of a source, with the columns that are in use.

    Raises:
        MissingPackageError: `datasets` is not installed.
    """
    datasets = import_datasets()
    listed = list(rows)
    columns = {
        field.name: [getattr(row, field.name) for row in listed]
        for field in fields(ClipRow)
        if any(getattr(row, field.name) != field.default for row in listed)
    }
    return datasets.Dataset.from_dict(columns)


def to_segments(segmentations: Sequence[object]) -> str:
    """Write the objects of one frame as a table holds them."""
    return json.dumps(segmentations, separators=(",", ":"))


def import_datasets() -> Any:  # noqa: ANN401 - a module
    """Import the package that holds tables.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import datasets  # optional
    except ImportError as error:
        raise MissingPackageError(
            "datasets",
            purpose="Reading training data",
            install="Install it with: pip install 'sam2-hf[train]'.",
        ) from error
    return datasets
