"""Comparison of two runs on one video: on which frames their masks differ, and how much.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from transformers.utils import logging

from sam2_hf import rle
from sam2_hf.contact_sheet import Cell, contact_sheet
from sam2_hf.errors import DataError
from sam2_hf.frames.borrowed import borrow_frames
from sam2_hf.overlay import NEGATIVE, OKABE_ITO, POSITIVE, draw_overlay
from sam2_hf.results.pictures import NO_PICTURE, png_bytes, write_picture

from .run_masks import FrameRles, masklets_of, read_run, video_of

SHOWN, ROW = 6, 3  # frames of a plot, and in a row
CHART_HEIGHT, CHART_WIDTH = 120, 480  # pixels
SMALLEST_INPUT = 64  # pixels; only original pictures are read
LEAST_BAR = 4  # pixels, for an IoU of 0
PAPER, INK = (255, 255, 255), (220, 220, 220)
DIFFERS = OKABE_ITO[1]  # orange
LEGEND = (
    "bars: IoU, 1 at the top; gray equal, orange different, red only in one run; "
    "masks: blue both, red only first, green only second"
)

logger = logging.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ObjectComparison:
    """Masks of one object in two runs.

    Attributes:
        object_id: The object.
        iou: Frame -> IoU of both masks, 1 if both are empty; of frames that both runs have.
        only_before: Frames that only the first run has.
        only_after: Frames that only the second run has.
        changed: Frames whose masks differ, or that one run lacks, in order.
    """

    object_id: int
    iou: Mapping[int, float]
    only_before: tuple[int, ...]
    only_after: tuple[int, ...]
    changed: tuple[int, ...]

    @property
    def first_changed(self) -> int | None:
        """The first frame that differs; None if none does."""
        return self.changed[0] if self.changed else None

    @property
    def last_changed(self) -> int | None:
        """The last frame that differs; None if none does."""
        return self.changed[-1] if self.changed else None

    @property
    def mean_iou(self) -> float | None:
        """Mean IoU of the frames that both runs have; None if there is none."""
        return float(np.mean(list(self.iou.values()))) if self.iou else None

    def described(self) -> dict[str, Any]:
        """Describe it for JSON.

        Example:
            >>> compare_runs(tracked, tracked).objects[1].described()["changed"]
            []
        """
        return {
            "object_id": self.object_id,
            "changed": list(self.changed),
            "first_changed": self.first_changed,
            "last_changed": self.last_changed,
            "mean_iou": self.mean_iou,
            "iou": {str(frame): iou for frame, iou in self.iou.items()},
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }

    def summary(self) -> str:
        """Describe it in a line.

        Example:
            >>> compare_runs(tracked, tracked).objects[1].summary()
            'object 1: all 3 frames are equal'
        """
        missing = "".join(
            f"; {len(frames)} only in the {which} run"
            for which, frames in (("first", self.only_before), ("second", self.only_after))
            if frames
        )
        return f"object {self.object_id}: {self._differences()}{missing}"

    def _differences(self) -> str:
        """Describe the frames that both runs have."""
        if not self.iou:
            return "no frame is in both runs"
        differing = [frame for frame in self.changed if frame in self.iou]
        if not differing:
            return f"all {len(self.iou)} frames are equal"
        first, last = differing[0], differing[-1]
        where = f"on frame {first}" if first == last else f"from {first} to {last}"
        count = f"{len(differing)} of {len(self.iou)} frames differ"
        worst = min(differing, key=lambda frame: self.iou[frame])
        mean, lowest = _rounded(self.mean_iou or 0.0), _rounded(self.iou[worst])
        return f"{count}, {where}; mean IoU {mean}, lowest {lowest} on frame {worst}"


@dataclass(frozen=True, slots=True, eq=False)
class RunComparison:
    """Two runs on one video: what a correction, an option or another model changed.

    Attributes:
        objects: Object id -> comparison, of the objects of both runs.
        only_before: Objects that only the first run has.
        only_after: Objects that only the second run has.
        size: `(height, width)` of the masks.

    Example:
        >>> before = VideoSegmentationPipeline(model)(clip, [VideoPrompt(0, 1, (115, 100))])
        >>> tracked.click(2, 1, (20, 20), positive=False)
        >>> for result in tracked.propagate():
        ...     pass
        >>> compare_runs(before, tracked).objects[1].only_after
        ()
    """

    objects: Mapping[int, ObjectComparison]
    only_before: tuple[int, ...]
    only_after: tuple[int, ...]
    size: tuple[int, int]
    _masks: tuple[Mapping[int, FrameRles], Mapping[int, FrameRles]] = field(repr=False)

    @property
    def changed(self) -> tuple[int, ...]:
        """Frames on which any object of both runs differs, in order."""
        return tuple(sorted({frame for one in self.objects.values() for frame in one.changed}))

    def described(self) -> dict[str, Any]:
        """Describe it for JSON.

        Example:
            >>> compare_runs(tracked, tracked).described()["only_after"]
            []
        """
        return {
            "objects": [compared.described() for compared in self.objects.values()],
            "only_before": list(self.only_before),
            "only_after": list(self.only_after),
        }

    def plot(self, video: object = None) -> Image.Image:
        """Draw the IoU of every frame, and the frames that differ most.

        Blue is what both runs have, red what only the first, green what only the second one has. A
        chart has a bar for each frame: gray where both are equal, orange where they differ, red
        where only one run has a mask; its height is the IoU.

        Args:
            video: The video, to draw over, see [`open_frames`]; gray if None.

        Raises:
            VideoError: The video cannot be opened.
            DataError: Its frames have another size than the masks.
            FrameError: It has no such frame.

        Example:
            >>> picture = compare_runs(tracked, tracked).plot(clip)
        """
        charts = [[Cell(one.summary(), _chart(one))] for one in self.objects.values()]
        if charts:
            charts.append([Cell(LEGEND, np.full((1, CHART_WIDTH, 3), PAPER, np.uint8))])
        worst = sorted(self._worst(), key=lambda row: row[1:])
        cells = []
        with contextlib.ExitStack() as opened:
            read: Callable[[int], NDArray[np.uint8]] = partial(_gray, self.size)
            if video is not None:
                frames = opened.enter_context(borrow_frames(video, image_size=SMALLEST_INPUT))
                self._require_size(frames.size)
                read = frames.picture
            for iou, frame, number in worst:
                title = f"frame {frame}, object {number}: IoU {iou:.3f}"
                cells.append(Cell(title, self._drawn(frame, number, read)))
        rows = [cells[start : start + ROW] for start in range(0, len(cells), ROW)]
        return contact_sheet([*charts, *rows] or [[Cell("no object is in both runs", _blank())]])

    def save(self, path: str | os.PathLike[str], video: object = None) -> Path:
        """Write the plot as a picture.

        Raises:
            OutputError: It cannot be written.
            VideoError: The video cannot be opened.
            DataError: Its frames have another size than the masks.
            FrameError: It has no such frame.

        Example:
            >>> path = compare_runs(tracked, tracked).save("changes.png")
        """
        return write_picture(Path(path), self.plot(video))

    def _repr_png_(self) -> bytes:
        """Show the plot in a notebook."""
        return png_bytes(self.plot())

    def _require_size(self, size: tuple[int, int] | None) -> None:
        """Refuse a video whose frames do not fit the masks.

        Raises:
            DataError: Its frames have another size.
        """
        has_masks = any(frames for masks in self._masks for frames in masks.values())
        if size is not None and size != self.size and has_masks:
            raise DataError(
                f"the frames of the video are {size[0]} x {size[1]} (height x width), and the "
                f"masks {self.size[0]} x {self.size[1]}. Give the video that was tracked."
            )

    def _worst(self) -> list[tuple[float, int, int]]:
        """List IoU, frame and object of the masks that differ most."""
        differing = [
            (compared.iou[frame], frame, compared.object_id)
            for compared in self.objects.values()
            for frame in compared.changed
            if frame in compared.iou
        ]
        return sorted(differing)[:SHOWN]

    def _drawn(
        self, frame: int, object_id: int, read: Callable[[int], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Draw what both masks of a frame share, and what only one of them has."""
        before_hw, after_hw = (
            rle.decode(rle.from_coco(masks[object_id][frame])) for masks in self._masks
        )
        parts = (before_hw & after_hw, before_hw & ~after_hw, after_hw & ~before_hw)
        return draw_overlay(read(frame), parts, colors=(OKABE_ITO[0], NEGATIVE, POSITIVE))


def compare_runs(before: object, after: object) -> RunComparison:
    """Compare two runs on one video.

    Args:
        before: A [`VideoSegmentation`], a session, a [`Masklet`], or results of `sam2-hf track`: a
            file STEM_masklets.json, its folder, or a folder of label PNGs.
        after: Another one.

    Raises:
        DataError: There are no masks, they cannot be read, a run is closed, both are one session,
            or they are of different videos, as far as sizes and numbers of frames tell.

    Example:
        >>> compare_runs(tracked, tracked).changed
        ()
    """
    _require_apart(before, after)
    runs = read_run(before), read_run(after)
    _require_same_video(video_of(before), video_of(after))
    sizes = [
        {tuple(mask["size"]) for masks in run.values() for mask in masks.values()} for run in runs
    ]
    found = sizes[0] | sizes[1]
    if len(found) > 1:
        listed = ", ".join(f"{height} x {width}" for height, width in sorted(found))
        raise DataError(
            f"the masks of the two runs have different sizes: {listed} (height x width). Compare "
            "runs on the same video."
        )
    both = [object_id for object_id in runs[0] if object_id in runs[1]]
    return RunComparison(
        {number: _compare(number, runs[0][number], runs[1][number]) for number in both},
        tuple(object_id for object_id in runs[0] if object_id not in runs[1]),
        tuple(object_id for object_id in runs[1] if object_id not in runs[0]),
        cast("tuple[int, int]", next(iter(found), (1, 1))),
        runs,
    )


def _require_apart(before: object, after: object) -> None:
    """Refuse two views of one session, which are always equal.

    Raises:
        DataError: They are.
    """
    if isinstance(before, str | os.PathLike) or isinstance(after, str | os.PathLike):
        return
    views = [(one, other) for one in masklets_of(before) for other in masklets_of(after)]
    if before is not after and any(one.is_view_of_same(other) for one, other in views):
        raise DataError(
            "both runs are views of one session, so they always have the same masks. Before a "
            "correction, save the results and compare the file, or track again in a new session."
        )


def _require_same_video(
    before: tuple[str | None, int | None], after: tuple[str | None, int | None]
) -> None:
    """Refuse videos of different lengths; warn of different names.

    Raises:
        DataError: The lengths differ.
    """
    if None not in (before[1], after[1]) and before[1] != after[1]:
        raise DataError(
            f"the runs are of different videos: one has {before[1]} frames, the other {after[1]}. "
            "Compare runs on the same video."
        )
    if None not in (before[0], after[0]) and before[0] != after[0]:
        logger.warning(f"the videos of the two runs are called {before[0]} and {after[0]}.")


def _rounded(iou: float) -> str:
    """Format an IoU; one below 1 never as 1."""
    text = f"{iou:.3f}"
    return "above 0.999" if text == "1.000" and iou < 1 else text


def _compare(object_id: int, before: FrameRles, after: FrameRles) -> ObjectComparison:
    iou = {frame: _iou(before[frame], after[frame]) for frame in sorted(before) if frame in after}
    only_before = tuple(sorted(frame for frame in before if frame not in after))
    only_after = tuple(sorted(frame for frame in after if frame not in before))
    differing = {frame for frame in iou if before[frame]["counts"] != after[frame]["counts"]}
    changed = tuple(sorted(differing | {*only_before, *only_after}))
    return ObjectComparison(object_id, iou, only_before, only_after, changed)


def _iou(before: rle.CocoRle, after: rle.CocoRle) -> float:
    """Compute the IoU of two masks; 1 if both are empty."""
    if before["counts"] == after["counts"]:
        return 1.0
    return float(coco_mask.iou([dict(before)], [dict(after)], [False])[0, 0])


def _gray(size: tuple[int, int], _frame: int) -> NDArray[np.uint8]:
    """Draw a frame of a video that is not there."""
    return np.full((*size, 3), NO_PICTURE, np.uint8)


def _chart(compared: ObjectComparison) -> NDArray[np.uint8]:
    """Draw the IoU of every frame as a bar, the lowest still visible; see `LEGEND`."""
    frames = sorted({*compared.iou, *compared.changed})
    width = max(1, round(CHART_WIDTH / max(len(frames), 1)))
    chart_hw3 = _blank(width * max(len(frames), 1))
    for place, frame in enumerate(frames):
        iou = compared.iou.get(frame)
        color = NEGATIVE if iou is None else DIFFERS if frame in compared.changed else INK
        height = CHART_HEIGHT if iou is None else max(LEAST_BAR, round(CHART_HEIGHT * iou))
        chart_hw3[CHART_HEIGHT - height :, place * width : (place + 1) * width] = color
    return chart_hw3


def _blank(width: int = 1) -> NDArray[np.uint8]:
    return np.full((CHART_HEIGHT, width, 3), PAPER, np.uint8)
