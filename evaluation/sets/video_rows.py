"""The columns in which a set of videos is a `datasets.Dataset`, undecoded.

A row is one video with all its frames; only some of them are annotated. Pictures stay paths, or the
bytes of their files once the table is made to stand alone, until one of them is looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import datasets
from datasets.table import embed_table_storage

from sam2_hf.errors import DataError

from .listed_names import require_plain, require_unique, some_of

STORED = datasets.Image(decode=False)
FEATURES = datasets.Features(
    {
        "video": datasets.Value("string"),
        "frames": datasets.List(STORED),
        "frame_names": datasets.List(datasets.Value("string")),
        "annotated": datasets.List(datasets.Value("int32")),
        "label_maps": datasets.List(STORED),
        "object_ids": datasets.List(datasets.Value("int32")),
        "first_frames": datasets.List(datasets.Value("int32")),
        "object_masks": datasets.List(datasets.List(STORED)),
        "video_file": datasets.Video(decode=False),
        "object_runs": datasets.List(datasets.List(datasets.Value("string"))),
        "size": datasets.List(datasets.Value("int32")),
        "object_frames": datasets.List(datasets.List(datasets.Value("int32"))),
        "unseen": datasets.Value("bool"),
    }
)
LARGEST_OBJECT = 2**31 - 1  # what a label map holds
PAIR = 2
Stored = str | bytes
"""Path of a file, or its bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoRow:
    """One video. Of `label_maps`, `object_masks` and `object_runs` one is filled.

    Attributes:
        video: Its id.
        frames: Picture of each frame; none where `video_file` holds them.
        frame_names: Name of each frame, without an ending: what its masks are called.
        annotated: Which frames are annotated, ascending.
        label_maps: For each of those, a picture with a number per pixel, 0 for the background.
        object_ids: Objects that are given to the tracker.
        first_frames: For each of those, the frame on which it is given.
        object_masks: For each object and annotated frame a picture in which all but 0 belongs to
            it; None where there is none.
        video_file: The frames as one file.
        object_runs: For each object and annotated frame its run lengths, as COCO packs them; None
            where it is not annotated.
        size: Height and width of the run lengths.
        object_frames: For each object the annotated frames that are its own, where the set says so.
        unseen: Whether its objects are of a kind that the set's training part does not have; None
            where nothing is known.
    """

    video: str
    frames: Sequence[Stored] = ()
    frame_names: Sequence[str] = ()
    annotated: Sequence[int] = ()
    label_maps: Sequence[Stored] = ()
    object_ids: Sequence[int] = ()
    first_frames: Sequence[int] = ()
    object_masks: Sequence[Sequence[Stored | None]] = ()
    video_file: Stored | None = None
    object_runs: Sequence[Sequence[str | None]] = ()
    size: Sequence[int] = ()
    object_frames: Sequence[Sequence[int]] = ()
    unseen: bool | None = None

    @classmethod
    def from_columns(cls, columns: Mapping[str, Any]) -> "VideoRow":
        """Read a row of a table that has all columns.

        Raises:
            DataError: It has another number of pictures or run lengths than of frames or objects.
        """
        values = {field.name: _unwrapped(columns[field.name]) for field in fields(cls)}
        given = {name: value for name, value in values.items() if value is not None}
        row = cls(**{"video": "", **given})
        _require_complete(row)
        return row


def require_consistent(columns: Mapping[str, Any]) -> None:
    """Check the light columns of a video, before anything of it is read or written.

    Args:
        columns: `video`, `frame_names`, `annotated`, `object_ids` and `first_frames`.

    Raises:
        DataError: A name would lead elsewhere as the name of a file, two frames have one name, or
            numbers of frames and objects do not fit together.
    """
    name, stems = columns["video"], columns["frame_names"]
    for column in ("frame_names", "annotated", "object_ids", "first_frames"):
        is_empty = columns[column] is None
        if is_empty or (column != "frame_names" and None in columns[column]):
            raise DataError(f"{name} has nothing in the column {column}. Fill it, or drop the row.")
    require_plain(stems, name, "frame")
    require_unique(stems, name)
    annotated, numbers = columns["annotated"], columns["object_ids"]
    first_frames = columns["first_frames"]
    if (
        not stems
        or annotated != sorted(set(annotated))
        or not set(annotated) <= set(range(len(stems)))
    ):
        raise DataError(
            f"{name} has {len(stems)} frame(s), of which {some_of(map(str, annotated))} are "
            "annotated. Annotated frames are ascending numbers from 0 on."
        )
    if len(numbers) != len(first_frames) or not set(first_frames) <= set(annotated):
        raise DataError(
            f"{name} has the objects {some_of(map(str, numbers))}, given on the frames "
            f"{some_of(map(str, first_frames))}. Each is given on one frame that is annotated."
        )
    is_far = max(numbers, default=0) > LARGEST_OBJECT
    if len(set(numbers)) != len(numbers) or min(numbers, default=0) < 0 or is_far:
        raise DataError(
            f"{name} has the objects {some_of(map(str, numbers))}. Number them from 0 or 1 on, "
            "each differently."
        )


def _require_complete(row: VideoRow) -> None:
    """Refuse a row that lacks what its light columns announce."""
    lengths = {
        "frames": (len(row.frame_names), [row.frames] if not row.video_file else []),
        "label_maps": (len(row.annotated), [row.label_maps] if row.label_maps else []),
        "object_masks": (len(row.annotated), row.object_masks),
        "object_runs": (len(row.annotated), row.object_runs),
    }
    for name, (wanted, lists) in lengths.items():
        found = [0 if one is None else len(one) for one in lists]
        if any(count != wanted for count in found):
            raise DataError(
                f"{row.video} has {found[0]} {name} where there must be {wanted}. Make the table "
                "of the set again."
            )
    objects = len(row.object_ids)
    if not row.label_maps and objects not in (len(row.object_masks), len(row.object_runs)):
        raise DataError(f"{row.video} has {objects} object(s), but not the masks of each.")
    if row.object_runs and (len(row.size) != PAIR or min(row.size) < 1):
        raise DataError(f"{row.video} has run lengths of the size {row.size}; give two sides.")


def require_kinds(table: datasets.Dataset, place: str) -> None:
    """Refuse a table whose columns hold something else than those of a set of videos.

    Raises:
        DataError: A column does.
    """
    for name in set(FEATURES) & set(table.column_names):
        if not _fits(table.features[name], FEATURES[name]):
            raise DataError(
                f"the column {name} of {place} holds {str(table.features[name])[:100]}, not "
                f"{str(FEATURES[name])[:100]}. Make the table of the set again."
            )


def _fits(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - features of `datasets`
    """Whether a column can be read as another kind; one without a value fits all."""
    if found == datasets.Value("null"):
        return True
    if isinstance(wanted, datasets.List):
        is_list = isinstance(found, datasets.List | datasets.LargeList)
        return is_list and _fits(found.feature, wanted.feature)
    if not isinstance(wanted, datasets.Value):  # a picture or a video
        is_stored = isinstance(found, dict) and set(found) == {"bytes", "path"}
        return is_stored or type(found) is type(wanted)
    kinds = {"int32": ("int", "uint"), "string": ("string", "large_string"), "bool": ("bool",)}
    return isinstance(found, datasets.Value) and found.dtype.startswith(kinds[wanted.dtype])


def make_table(rows: Iterable[VideoRow]) -> datasets.Dataset:
    """Make the table of a set; files are not read."""
    listed = [_wrapped(asdict(row)) for row in rows]
    return datasets.Dataset.from_list(listed, features=FEATURES)


def with_all_columns(table: datasets.Dataset) -> datasets.Dataset:
    """Fill in the columns that a table of one's own lacks."""
    for name in FEATURES:
        if name not in table.column_names:
            nothing: object = None if name in ("video_file", "unseen") else []
            table = table.add_column(name, [nothing] * len(table), feature=FEATURES[name])
    return table


def embedded(table: datasets.Dataset) -> datasets.Dataset:
    """Take the bytes of all files into a table, so that it can be moved or pushed to the Hub."""
    formatted = table.with_format("arrow")
    return formatted.map(embed_table_storage, batched=True, batch_size=1).with_format(None)


def _wrapped(columns: dict[str, Any]) -> dict[str, Any]:
    """Write files as tables hold them."""
    for name in ("frames", "label_maps"):
        columns[name] = [_file(one) for one in columns[name]]
    columns["video_file"] = _file(columns["video_file"])
    columns["object_masks"] = [[_file(one) for one in masks] for masks in columns["object_masks"]]
    return columns


def _file(stored: Stored | None) -> dict[str, Any] | None:
    if stored is None:
        return None
    is_path = isinstance(stored, str)
    return {"path": stored if is_path else None, "bytes": None if is_path else stored}


def _unwrapped(value: Any) -> Any:  # noqa: ANN401 - what a table holds
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return value["bytes"] or value["path"]
    return [_unwrapped(one) for one in value] if isinstance(value, list) else value
