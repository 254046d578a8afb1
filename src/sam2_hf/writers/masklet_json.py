"""Masklet files: JSON in the format of SA-V, and a CSV of scores."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from sam2_hf.atomic_write import atomic_path

from .frame_journal import ObjectOnFrame, TrackedFrame

DIGITS = 6  # of scores; more is float32 noise
SMALL, LARGE = 32**2, 96**2  # pixels; bounds of SA-V's size classes
COLUMNS = ("frame", "time_s", "object_id", "predicted_iou", "object_score", "area", "prompted")


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """Metadata of the video.

    Attributes:
        name: File or folder name without extension.
        size: `(height, width)` in pixels.
        num_frames: Frames of the video.
        fps: Frames per second; None if unknown.
        model: Name of the model.
        object_ids: All tracked objects, in order.
        names: Names of objects, by id.
        prompts: Prompts of each object, by id; each with its frame.
    """

    name: str
    size: tuple[int, int]
    num_frames: int
    fps: float | None
    model: str
    object_ids: tuple[int, ...]
    names: Mapping[int, str] = field(default_factory=dict)
    prompts: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)


class _ObjectSummary:
    """Counts of one object over the frames, for SA-V's fields."""

    def __init__(self) -> None:
        self.num_frames = self.num_prompted = self.num_visible = self.total_area = 0
        self.visibility_changes = 0
        self.first_frame: int | None = None
        self._was_visible = False

    def add(self, frame: int, found: ObjectOnFrame) -> None:
        """Count a frame."""
        visible = found.area > 0
        self.num_frames += 1
        self.num_prompted += found.prompted
        self.num_visible += visible
        self.total_area += found.area
        if self.first_frame is not None:
            self.visibility_changes += visible != self._was_visible
        elif visible:
            self.first_frame = frame
        self._was_visible = visible

    @property
    def mean_area(self) -> float:
        """Mean area over the frames where the object is visible, pixels."""
        return self.total_area / self.num_visible if self.num_visible else 0.0

    @property
    def bucket(self) -> str:
        """SA-V's class of size."""
        return (
            "small" if self.mean_area < SMALL else "medium" if self.mean_area < LARGE else "large"
        )


def write_masklets(
    path: str | os.PathLike[str], about: VideoFacts, frames: Iterable[TrackedFrame]
) -> Path:
    """Write all masks of a video as JSON in the format of SA-V's annotations.

    `masklet[frame][object]` is a COCO RLE, empty where the object is hidden, and null on frames
    that were not tracked. `masklet_predicted_iou` and `masklet_object_score` (logits) have the same
    layout. `masklet_edited_frame_count` counts the frames with a prompt.

    Args:
        path: The file.
        about: The video and its objects.
        frames: In order; iterated several times, with one frame in memory.

    Raises:
        OutputError: The file cannot be written.

    Source: sav_dataset/README.md of facebookresearch/sam2, for the names of the fields.
    Differs: scores, model, frame rate and names of objects are added; there is no
        `video_environment`.
    """
    summaries = {object_id: _ObjectSummary() for object_id in about.object_ids}
    for tracked in frames:
        for found in tracked.objects:
            summaries[found.object_id].add(tracked.frame, found)
    with atomic_path(path) as hidden, hidden.open("w", encoding="ascii") as file:
        file.write("{\n")
        fields = [*_video_fields(about), *_object_fields(about, summaries), *_names(about)]
        for name, value in fields:
            file.write(f'"{name}": {json.dumps(value)},\n')
        _write_table(file, "masklet", about, frames, lambda found: found.segmentation)
        file.write(",\n")
        _write_table(file, "masklet_predicted_iou", about, frames, _predicted_iou)
        file.write(",\n")
        _write_table(file, "masklet_object_score", about, frames, _object_score)
        file.write("\n}\n")
    return Path(path)


def write_scores(path: str | os.PathLike[str], frames: Iterable[TrackedFrame]) -> Path:
    """Write a CSV with one line per object and frame.

    Columns: frame, time_s (seconds), object_id, predicted_iou (0-1), object_score (logits), area
    (pixels), prompted (0 or 1).

    Args:
        path: The file.
        frames: In order.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(path) as hidden, hidden.open("w", encoding="ascii", newline="") as file:
        file.write(",".join(COLUMNS) + "\n")
        for tracked in frames:
            time = "" if tracked.time_s is None else f"{tracked.time_s:.{DIGITS}f}"
            for found in tracked.objects:
                scores = f"{found.predicted_iou:.{DIGITS}f},{found.object_score:.{DIGITS}f}"
                place = f"{tracked.frame},{time},{found.object_id}"
                file.write(f"{place},{scores},{found.area},{int(found.prompted)}\n")
    return Path(path)


def _video_fields(about: VideoFacts) -> Iterator[tuple[str, Any]]:
    height, width = about.size
    yield "video_id", about.name
    yield "video_duration", round(about.num_frames / about.fps, DIGITS) if about.fps else None
    yield "video_frame_count", about.num_frames
    yield "video_height", height
    yield "video_width", width
    yield "video_resolution", height * width
    yield "video_fps", None if about.fps is None else round(about.fps, DIGITS)
    yield "model", about.model


def _object_fields(
    about: VideoFacts, summaries: dict[int, _ObjectSummary]
) -> Iterator[tuple[str, Any]]:
    height, width = about.size
    rows = [summaries[object_id] for object_id in about.object_ids]
    yield "masklet_num", len(rows)
    yield "masklet_id", list(about.object_ids)
    yield "masklet_type", ["auto"] * len(rows)
    yield "masklet_size_abs", [round(row.mean_area, DIGITS) for row in rows]
    yield "masklet_size_rel", [round(row.mean_area / (height * width), 10) for row in rows]
    yield "masklet_size_bucket", [row.bucket for row in rows]
    yield "masklet_visibility_changes", [row.visibility_changes for row in rows]
    yield "masklet_first_appeared_frame", [row.first_frame for row in rows]
    yield "masklet_frame_count", [row.num_frames for row in rows]
    yield "masklet_edited_frame_count", [row.num_prompted for row in rows]


def _names(about: VideoFacts) -> Iterator[tuple[str, Any]]:
    """Yield the names of objects by their ids as text, if there are any."""
    names = {str(object_id): about.names.get(object_id) for object_id in about.object_ids}
    if named := {object_id: name for object_id, name in names.items() if name}:
        yield "object_names", named


def _write_table(
    file: TextIO,
    name: str,
    about: VideoFacts,
    frames: Iterable[TrackedFrame],
    value: Callable[[ObjectOnFrame], Any],
) -> None:
    """Write `[frame][object]`, a line per frame; null for missing values."""
    file.write(f'"{name}": [\n')
    written = 0
    for tracked in frames:
        _write_untracked(file, range(written, tracked.frame), about.object_ids)
        values = {found.object_id: value(found) for found in tracked.objects}
        _write_row(file, tracked.frame, [values.get(object_id) for object_id in about.object_ids])
        written = tracked.frame + 1
    _write_untracked(file, range(written, about.num_frames), about.object_ids)
    file.write("\n]")


def _write_untracked(file: TextIO, gap: range, object_ids: Sequence[int]) -> None:
    for frame in gap:
        _write_row(file, frame, [None] * len(object_ids))


def _write_row(file: TextIO, frame: int, row: list[Any]) -> None:
    file.write(",\n" * (frame > 0) + json.dumps(row))


def _predicted_iou(found: ObjectOnFrame) -> float:
    return round(found.predicted_iou, DIGITS)


def _object_score(found: ObjectOnFrame) -> float:
    return round(found.object_score, DIGITS)
