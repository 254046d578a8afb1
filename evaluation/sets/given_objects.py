"""Prompted objects of a video, and the frame on which each is prompted.

If a data set does not specify them, they follow from its masks: an object is prompted where it is
first visible, or on the first frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sam2_hf.data.annotated_video import RowRecording
from sam2_hf.data.rows import VideoRow, to_segments
from sam2_hf.errors import DataError, VideoError

from .listed_names import require_plain, require_unique, some_of
from .set_rules import SetRules

LARGEST_OBJECT = 2**31 - 1  # limit of a label map


def with_given_objects(row: VideoRow, rules: SetRules) -> VideoRow:
    """Fill in names of frames, annotated frames, prompted objects and their frames.

    Masks of a JSON file are copied to the row, without objects that are never visible.

    Raises:
        DataError: A mask or the video cannot be read, masks lie beyond its end, or no object is
            annotated on a frame to prompt.
    """
    recording = RowRecording(row, annotator=0)
    try:
        names = row.frame_names or _frame_names(row, recording.length)
    except VideoError as error:
        raise DataError(f"{row.name}: {error}") from error
    finally:
        recording.close()
    annotated = list(recording.annotated)
    if annotated and annotated[-1] >= len(names):
        raise DataError(
            f"{row.segments_file or row.name} annotates frame {annotated[-1]}, but {row.name} has "
            f"{len(names)} frames. Get both files again."
        )
    row = replace(row, frame_names=names, annotated=annotated)
    if row.first_frames:
        return row
    if not annotated or (annotated[0] != 0 and not rules.late_objects):
        raise DataError(
            f"{row.name}: the first frame, {some_of(names[:1])}, has no mask, only "
            f"{some_of(names[frame] for frame in annotated)}."
        )
    if row.object_ids and not rules.late_objects:
        return _given_at_once(row)
    return _given_where_seen(row, rules, recording)


def _given_at_once(row: VideoRow) -> VideoRow:
    """Prompt all listed objects on the first frame, where each must have a mask."""
    if row.masks and "" in row.masks[0]:
        missing = row.object_ids[list(row.masks[0]).index("")]
        raise DataError(
            f"{row.name}: the first frame, {row.frame_names[0]}, has no mask of object {missing}."
        )
    return replace(row, first_frames=[0] * len(row.object_ids))


def _given_where_seen(row: VideoRow, rules: SetRules, recording: RowRecording) -> VideoRow:
    """Prompt each object on the first annotated frame that shows it."""
    first: dict[int, int] = {}
    size = row.size
    for place, frame in enumerate(row.annotated if rules.late_objects else [0]):
        objects = recording.objects(place)
        size = max(size, objects.size)
        for number in objects.areas():
            if not row.label_maps or not row.object_ids or number in row.object_ids:
                first.setdefault(1 if rules.binary else number, frame)
    recording.close()
    places = sorted(first)
    if not places:
        raise DataError(
            f"{row.segments_file or row.name} has no object that is visible on any frame where one "
            "is to be given."
        )
    given = replace(row, object_ids=places, first_frames=[first[place] for place in places])
    if row.label_maps:
        return given
    numbers = [row.object_ids[place] for place in places] if row.object_ids else places
    frames = range(len(row.annotated))
    if row.masks:
        masks = [[row.masks[frame][place] for place in places] for frame in frames]
        return replace(given, object_ids=numbers, masks=masks)
    segments = [_chosen(recording.segmentations(frame), places) for frame in frames]
    return replace(given, object_ids=numbers, segments=segments, segments_file="", size=size)


def _chosen(segmentations: Sequence[object], places: Sequence[int]) -> str:
    """Serialize the segments of some objects; unlisted ones are unknown."""
    return to_segments([segmentations[n] if n < len(segmentations) else None for n in places])


def _frame_names(row: VideoRow, count: int) -> list[str]:
    """Name frames after their files, or numbered as SA-V's extracted frames."""
    stems = [Path(image).stem for image in row.images if isinstance(image, str)]
    return stems if len(stems) == count else [f"{frame:05d}" for frame in range(count)]


def require_consistent(columns: Mapping[str, Any]) -> None:
    """Check the metadata columns of a video before any file is read or written.

    Args:
        columns: `name`, `frame_names`, `annotated`, `object_ids` and `first_frames`.

    Raises:
        DataError: A name is unsafe as a file name, two frames share a name, or numbers of frames
            and objects are inconsistent.
    """
    name, stems = columns["name"], columns["frame_names"]
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
