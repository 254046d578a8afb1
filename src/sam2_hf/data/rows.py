"""Rows: one undecoded record per photo or video, the same for every data set.

Readers list rows, training and evaluation read them, and any table with these columns, saved with
`datasets` or on the Hub, is a list of rows.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from PIL import Image

from sam2_hf.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    import datasets

SHORT_COLUMNS = ("image", "label_map")  # of tables of photos
# Tables of earlier evaluations call the id "video", and keep masks by object, then by frame.
EARLIER_NAMES = {"video": "name", "frames": "images", "video_file": "video"}
EARLIER_MASKS = ("object_masks", "object_runs")

StoredPicture = str | bytes | Image.Image
"""Path of a picture, the bytes of its file, or the picture itself."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoRow:
    """A video with all its frames, some of them annotated; a photo is a video of one frame.

    A reader fills in `name`, `images` or `video`, and one of `label_maps`, `masks`, `segments` and
    `segments_file`; `annotated` if not every image is annotated. The rest has defaults.

    Attributes:
        name: Name in reports.
        images: Picture of each frame; empty for a video file.
        video: Path of a video file or its bytes, or "".
        frame_names: Name of each frame without extension, used for predicted masks. By default
            those of the images' files, or numbers.
        annotated: Which frames are annotated, ascending. By default those of `segments_file`, every
            `every`-th of a video file, or each image.
        label_maps: For each annotated frame one or more label maps, one number per pixel, 0 for the
            background. Several are alternatives by different annotators.
        masks: For each annotated frame the mask of each object, nonzero inside; "" if it has none.
        segments: For each annotated frame a JSON list with each object's COCO segmentation:
            polygons, run lengths, or null if unknown.
        segments_file: Path of a JSON file in the format of SA-1B or SA-V.
        every: For a video file: distance of annotated frames.
        size: `(height, width)` of polygons; (0, 0) takes that of the picture.
        object_ids: Ids of the objects that an evaluation prompts: labels of label maps, else one
            for each of `masks` or `segments`, by default its place.
        first_frames: For each of those, the frame of its prompt. By default, and if `object_ids` is
            empty, the first frame with a mask.
        object_frames: For each of those, the annotated frames that are scored, if the data set
            says so.
        unseen: Whether the objects are of a category absent from the training split; None if
            unknown.
    """

    name: str
    images: Sequence[StoredPicture] = ()
    video: str | bytes = ""
    frame_names: Sequence[str] = ()
    annotated: Sequence[int] = ()
    label_maps: Sequence[Sequence[StoredPicture]] = ()
    masks: Sequence[Sequence[StoredPicture]] = ()
    segments: Sequence[str] = ()
    segments_file: str = ""
    every: int = 1
    size: tuple[int, int] = (0, 0)
    object_ids: Sequence[int] = ()
    first_frames: Sequence[int] = ()
    object_frames: Sequence[Sequence[int]] = ()
    unseen: bool | None = None

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "VideoRow":
        """Read a row of a table; missing columns take their default.

        Args:
            columns: Values by name. Photos may have `image` and `label_map` instead of `images` and
                `label_maps`; columns of earlier versions are read as well.

        Raises:
            DataError: It has neither pictures nor a video, no annotation, or numbers of pictures,
                frames and objects that do not match.
        """
        renamed = present_names(columns)
        given = {
            renamed.get(name, name): _stored(value)
            for name, value in columns.items()
            if value is not None
        }
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in given.items() if name in known}
        row = cls(**{"name": "", **values, **_nested(given)})
        if not row.images and not row.video:
            raise DataError(f"{row.name}: neither images nor a video; columns: {list(columns)}.")
        if not (row.label_maps or row.masks or row.segments or row.segments_file):
            raise DataError(
                f"{row.name}: no annotation. Fill one of the columns label_maps, masks, segments "
                f"and segments_file; there are {list(columns)}."
            )
        _require_complete(row)
        return row


def present_names(columns: Collection[str]) -> dict[str, str]:
    """Map column names of an earlier version to today's; empty for other tables."""
    if not {"video", "frames", "frame_names"} <= set(columns) or "name" in columns:
        return {}
    return {name: now for name, now in EARLIER_NAMES.items() if name in columns}


def _nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Convert columns of other shapes to those of a row."""
    found: dict[str, Any] = {}
    if "image" in given:
        found["images"] = [given["image"]]
    maps = [given["label_map"]] if "label_map" in given else given.get("label_maps", [])
    found["label_maps"] = [
        label_map if isinstance(label_map, list) else [label_map] for label_map in maps
    ]
    if masks := given.get("masks") or _by_frame(given, "object_masks"):
        found["masks"] = [["" if mask is None else mask for mask in listed] for listed in masks]
    if runs := _by_frame(given, "object_runs"):
        found["segments"] = [_runs_as_segments(given, listed) for listed in runs]
    found["size"] = tuple(given.get("size", ())) or (0, 0)
    return found


def _runs_as_segments(given: Mapping[str, Any], runs: Sequence[str | None]) -> str:
    size = given.get("size", [])
    if len(size) != 2 or min(size) < 1:
        raise DataError(f"{given.get('name')} has run lengths of the size {size}; give two sides.")
    return to_segments(
        [None if counts is None else {"size": size, "counts": counts} for counts in runs]
    )


def _by_frame(given: Mapping[str, Any], column: str) -> list[tuple[Any, ...]]:
    """Transpose lists by object and frame to lists by frame and object."""
    if not given.get(column):
        return []
    name, wanted = given.get("name", ""), len(given.get("annotated", []))
    if len(given[column]) != len(given.get("object_ids", [])):
        raise DataError(f"{name} has objects, but not the {column} of each.")
    for per_frame in given[column]:
        if per_frame is None or len(per_frame) != wanted:
            raise DataError(_wrong_count(name, column, len(per_frame or []), wanted))
    return list(zip(*given[column], strict=True))


def _require_complete(row: VideoRow) -> None:
    """Refuse a row whose columns have inconsistent lengths."""
    lengths: dict[str, tuple[int, Sequence[Sequence[object]]]] = {
        "images": (len(row.frame_names), [] if row.video else [row.images]),
        "label_maps": (len(row.annotated), [row.label_maps] if row.label_maps else []),
        "masks": (len(row.annotated), [row.masks] if row.masks else []),
        "segments": (len(row.annotated), [row.segments] if row.segments else []),
        "masks of a frame": (len(row.object_ids), row.masks),
    }
    for name, (wanted, lists) in lengths.items():
        if wrong := [len(items) for items in lists if wanted and len(items) != wanted]:
            raise DataError(_wrong_count(row.name, name, wrong[0], wanted))
    if any(not maps for maps in row.label_maps):
        raise DataError(f"{row.name} has an annotated frame without a label map. Leave it out.")


def _wrong_count(name: str, column: str, found: int, wanted: int) -> str:
    return f"{name} has {found} {column} where there must be {wanted}. Create the table again."


def _stored(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    """Unwrap pictures that tables embed as bytes, a path, or both."""
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return value["bytes"] or value["path"] or ""
    return [_stored(item) for item in value] if isinstance(value, list) else value


def make_table(rows: Iterable[VideoRow]) -> "datasets.Dataset":
    """Make the table of a data set, with the columns in use; files are not read.

    Raises:
        MissingPackageError: `datasets` is not installed.
    """
    datasets = import_datasets()
    listed = list(rows)
    kinds = column_kinds()
    columns = {
        field.name: [_without_gaps(getattr(row, field.name)) for row in listed]
        for field in fields(VideoRow)
        if any(_is_in_use(getattr(row, field.name), field.default) for row in listed)
    }
    features = datasets.Features({name: kinds[name] for name in columns})
    return datasets.Dataset.from_dict(columns, features=features)


def _is_in_use(value: object, default: object) -> bool:
    if isinstance(value, list | tuple) and not default:
        return bool(value)
    return value != default


def _without_gaps(value: Any) -> Any:  # noqa: ANN401 - a field of a row
    """Replace "" by None, as tables store a missing picture or file."""
    if isinstance(value, list | tuple):
        return [_without_gaps(item) for item in value]
    return None if isinstance(value, str | bytes) and not value else value


def column_kinds() -> dict[str, Any]:
    """Return the `datasets` feature type of each column.

    Raises:
        MissingPackageError: `datasets` is not installed.
    """
    datasets = import_datasets()
    listed, value = datasets.List, datasets.Value
    picture = datasets.Image(decode=False)
    return {
        "name": value("string"),
        "images": listed(picture),
        "video": datasets.Video(decode=False),
        "frame_names": listed(value("string")),
        "annotated": listed(value("int32")),
        "label_maps": listed(listed(picture)),
        "masks": listed(listed(picture)),
        "segments": listed(value("string")),
        "segments_file": value("string"),
        "every": value("int32"),
        "size": listed(value("int32")),
        "object_ids": listed(value("int32")),
        "first_frames": listed(value("int32")),
        "object_frames": listed(listed(value("int32"))),
        "unseen": value("bool"),
    }


def embedded(table: "datasets.Dataset") -> "datasets.Dataset":
    """Embed the bytes of all files in a table, so that it can be moved or pushed to the Hub."""
    from datasets.table import embed_table_storage  # optional

    formatted = table.with_format("arrow")
    return formatted.map(embed_table_storage, batched=True, batch_size=1).with_format(None)


def to_segments(segmentations: Sequence[object]) -> str:
    """Encode the segmentations of one frame for a table."""
    return json.dumps(segmentations, separators=(",", ":"))


def import_datasets() -> Any:  # noqa: ANN401 - a module
    """Import `datasets`.

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
