"""Comparison of two runs on one video: on which frames their masks differ, and how much.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask

from sam2_hf import rle
from sam2_hf.contact_sheet import Cell, contact_sheet
from sam2_hf.errors import DataError, SessionError
from sam2_hf.frames.borrowed import borrow_frames
from sam2_hf.json_input import load_json
from sam2_hf.number_reading import shown
from sam2_hf.overlay import NEGATIVE, OKABE_ITO, POSITIVE, draw_overlay
from sam2_hf.picture_files import PICTURE_ENDINGS, file_problem
from sam2_hf.results.pictures import NO_PICTURE, png_bytes, write_picture
from sam2_hf.video.masklet import Masklet

SHOWN, ROW = 6, 3  # frames of a plot, and in a row
CHART_HEIGHT, CHART_WIDTH = 120, 480  # pixels
SMALLEST_INPUT = 64  # pixels; only original pictures are read
PAPER, INK = (255, 255, 255), (220, 220, 220)
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
    def mean_iou(self) -> float:
        """Mean IoU of the frames that both runs have; 1 if there is none."""
        return float(np.mean(list(self.iou.values()))) if self.iou else 1.0

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
        total = len({*self.iou, *self.only_before, *self.only_after})
        if not self.changed:
            return f"object {self.object_id}: all {total} frames are equal"
        worst = min(self.iou, key=lambda frame: self.iou[frame], default=None)
        lowest = "" if worst is None else f", lowest {self.iou[worst]:.3f} on frame {worst}"
        return (
            f"object {self.object_id}: {len(self.changed)} of {total} frames differ, from "
            f"{self.first_changed} to {self.last_changed}; mean IoU {self.mean_iou:.3f}{lowest}"
        )


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

        Blue is what both runs have, red what only the first, green what only the second one has.

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
        DataError: There are no masks, they cannot be read, their sizes differ, or a run is closed.

    Example:
        >>> compare_runs(tracked, tracked).changed
        ()
    """
    runs = _read_run(before), _read_run(after)
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


def _read_run(run: object) -> Mapping[int, FrameRles]:
    """Read the masks of a run, by object and frame.

    Raises:
        DataError: It has none.
    """
    if isinstance(run, str | os.PathLike):
        return _read_results(Path(run))
    try:
        masklets = _masklets_of(run)
        return {
            masklet.object_id: {frame: masklet.rle(frame) for frame in masklet.frames}
            for masklet in masklets
        }
    except SessionError as error:
        raise DataError(
            f"the masks of {shown(run)} cannot be read: {error} Compare before you close."
        ) from error


def _masklets_of(run: object) -> list[Masklet]:
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
            f"{shown(run)} is no run. Give a VideoSegmentation, a session, a Masklet, or the "
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
            f"{file} is no file of masklets: {error}. Give STEM_masklets.json of sam2-hf track."
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
                f"{file} is no picture of labels: {error}. Give a folder of 00000.png, 00001.png, "
                "and so on."
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


def _gray(size: tuple[int, int], _frame: int) -> NDArray[np.uint8]:
    """Draw a frame of a video that is not there."""
    return np.full((*size, 3), NO_PICTURE, np.uint8)


def _chart(compared: ObjectComparison) -> NDArray[np.uint8]:
    """Draw the IoU of every frame as a bar; red where only one run has a mask."""
    frames = sorted({*compared.iou, *compared.changed})
    width = max(1, round(CHART_WIDTH / max(len(frames), 1)))
    chart_hw3 = _blank(width * max(len(frames), 1))
    for place, frame in enumerate(frames):
        iou = compared.iou.get(frame)
        color = NEGATIVE if iou is None else POSITIVE if frame in compared.changed else INK
        top = round(CHART_HEIGHT * (1 - (0.0 if iou is None else iou)))
        first = 0 if iou is None else top
        chart_hw3[first:, place * width : (place + 1) * width] = color
    return chart_hw3


def _blank(width: int = 1) -> NDArray[np.uint8]:
    return np.full((CHART_HEIGHT, width, 3), PAPER, np.uint8)
