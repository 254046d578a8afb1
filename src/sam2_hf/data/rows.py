"""One row for each photo or video of a data set, undecoded, whatever kind of data set it is.

Readers list rows, training and evaluation read them, and tables made elsewhere, saved with
`datasets` or put on the Hub, are rows if they have these columns.
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
FEWEST_EARLIER = {"video", "frames", "frame_names"}  # by which such a table is known
StoredPicture = str | bytes | Image.Image
"""Path of a picture, the bytes of its file, or the picture itself."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoRow:
    """One video with all its frames, some of them annotated; a photo is a video of one frame.

    A reader fills in `name`, `images` or `video`, and one of `label_maps`, `masks`, `segments` and
    `segments_file`; `annotated` where not every image is annotated. All else has a default.

    Attributes:
        name: What reports call it.
        images: Picture of each frame; empty for a video file.
        video: Path of a video file or its bytes, or "".
        frame_names: Name of each frame without an ending, which predicted masks get. By default
            those of the images' files, or numbers.
        annotated: Which frames are annotated, ascending. By default those of `segments_file`, every
            `every`-th of a video file, or each image.
        label_maps: For each annotated frame one or more pictures that give a number to each pixel,
            0 for the background. Several are alternatives: opinions of several annotators.
        masks: For each annotated frame the picture of each object, in which all but 0 belongs to
            it; "" where there is none.
        segments: For each annotated frame a JSON list with each object's COCO segmentation:
            polygons, run lengths, or null where nothing is known.
        segments_file: Path of a JSON file as SA-1B or SA-V have it.
        every: For a video file: distance between two annotated frames.
        size: `(height, width)` that polygons count in; (0, 0) if the picture says it.
        object_ids: Numbers of the objects that an evaluation gives to the tracker: of label maps
            those in them, else one for each of `masks` or `segments`, whose places are the default.
        first_frames: For each of those, the frame on which it is given. By default, and where
            `object_ids` is empty, the masks are looked through.
        object_frames: For each of those the annotated frames that count for it, where the data set
            says so.
        unseen: Whether the objects are of a kind that the training part of the set does not have;
            None where nothing is known.
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
        """Read a row of a table; columns that it lacks keep their default.

        Args:
            columns: Values by name. Photos may have `image` and `label_map` instead of `images` and
                `label_maps`; columns of earlier versions are read, too.

        Raises:
            DataError: It has neither pictures nor a video, no annotation, or another number of
                pictures than of frames or objects.
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
    """Tell how columns of an earlier version are called now; other tables have none to rename."""
    if not set(columns) >= FEWEST_EARLIER or "name" in columns:
        return {}
    return {name: now for name, now in EARLIER_NAMES.items() if name in columns}


def _nested(given: Mapping[str, Any]) -> dict[str, Any]:
    """Bring columns that have another shape in some tables into the shape of a row."""
    found: dict[str, Any] = {}
    if "image" in given:
        found["images"] = [given["image"]]
    maps = [given["label_map"]] if "label_map" in given else given.get("label_maps", [])
    found["label_maps"] = [one if isinstance(one, list) else [one] for one in maps]
    if masks := given.get("masks") or _by_frame(given, "object_masks"):
        found["masks"] = [["" if one is None else one for one in listed] for listed in masks]
    if runs := _by_frame(given, "object_runs"):
        found["segments"] = [_runs_as_segments(given, listed) for listed in runs]
    found["size"] = tuple(given.get("size", ())) or (0, 0)
    return found


def _runs_as_segments(given: Mapping[str, Any], runs: Sequence[str | None]) -> str:
    size = given.get("size", [])
    if len(size) != 2 or min(size) < 1:
        raise DataError(f"{given.get('name')} has run lengths of the size {size}; give two sides.")
    return to_segments([None if one is None else {"size": size, "counts": one} for one in runs])


def _by_frame(given: Mapping[str, Any], column: str) -> list[tuple[Any, ...]]:
    """Turn lists by object and annotated frame into lists by annotated frame and object."""
    if not given.get(column):
        return []
    name, wanted = given.get("name", ""), len(given.get("annotated", []))
    if len(given[column]) != len(given.get("object_ids", [])):
        raise DataError(f"{name} has objects, but not the {column} of each.")
    for one in given[column]:
        if one is None or len(one) != wanted:
            raise DataError(_wrong_count(name, column, len(one or []), wanted))
    return list(zip(*given[column], strict=True))


def _require_complete(row: VideoRow) -> None:
    """Refuse a row that lacks what its light columns announce."""
    lengths: dict[str, tuple[int, Sequence[Sequence[object]]]] = {
        "images": (len(row.frame_names), [] if row.video else [row.images]),
        "label_maps": (len(row.annotated), [row.label_maps] if row.label_maps else []),
        "masks": (len(row.annotated), [row.masks] if row.masks else []),
        "segments": (len(row.annotated), [row.segments] if row.segments else []),
        "masks of a frame": (len(row.object_ids), row.masks),
    }
    for name, (wanted, lists) in lengths.items():
        if wrong := [len(one) for one in lists if wanted and len(one) != wanted]:
            raise DataError(_wrong_count(row.name, name, wrong[0], wanted))
    if any(not maps for maps in row.label_maps):
        raise DataError(f"{row.name} has an annotated frame without a label map. Leave it out.")


def _wrong_count(name: str, column: str, found: int, wanted: int) -> str:
    return f"{name} has {found} {column} where there must be {wanted}. Make the table again."


def _stored(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    """Take pictures out of the form in which tables embed them: bytes, a path, or both."""
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return value["bytes"] or value["path"] or ""
    return [_stored(one) for one in value] if isinstance(value, list) else value


def make_table(rows: Iterable[VideoRow]) -> "datasets.Dataset":
    """Make the table of a data set, with the columns that are in use; files are not read.

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
    """Write a picture or file that is not there as tables do."""
    if isinstance(value, list | tuple):
        return [_without_gaps(one) for one in value]
    return None if isinstance(value, str | bytes) and not value else value


def column_kinds() -> dict[str, Any]:
    """Give the kind of each column of a table, as `datasets` calls it.

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
    """Take the bytes of all files into a table, so that it can be moved or pushed to the Hub."""
    from datasets.table import embed_table_storage  # optional

    formatted = table.with_format("arrow")
    return formatted.map(embed_table_storage, batched=True, batch_size=1).with_format(None)


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
