"""COCO masks: polygons and run lengths of a frame's objects, and the JSON files of SA-1B and SA-V.

Suffixes: hw = rows and columns of the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sam2_hf import rle
from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json

from .frame_annotations import MaskList

OUTSIDE = 1.0  # how far polygons may leave the picture, in its own sides


def read_segments(segmentations: Sequence[object], size: tuple[int, int]) -> MaskList:
    """Read the objects of a frame, numbered by their places in the list.

    Args:
        segmentations: Polygons `[[x, y, x, y, ...], ...]`, run lengths `{"size", "counts"}`, or
            None if it is unknown whether the object is visible.
        size: `(height, width)` of polygons; run lengths carry their own.

    Raises:
        DataError: A segmentation has another form, is damaged, or has another size; or a polygon
            lies far outside.
    """
    runs: dict[int, rle.Rle] = {}
    for number, segmentation in enumerate(segmentations):
        if segmentation is not None:
            runs[number] = _runs(segmentation, size)
    sizes = {tuple(run["size"]) for run in runs.values()} or {size}
    if len(sizes) > 1:
        raise DataError(f"masks of one picture have several sizes: {sorted(sizes)}.")
    height, width = sizes.pop()
    areas = {number: rle.area(run) for number, run in runs.items()}
    unknown = frozenset(range(len(segmentations))) - frozenset(runs)
    return MaskList((height, width), areas, lru_cache(partial(_draw, runs)), unknown)


def _draw(runs: dict[int, rle.Rle], number: int) -> NDArray[np.bool_]:
    return rle.decode(runs[number])


def _runs(segmentation: Any, size: tuple[int, int]) -> rle.Rle:  # noqa: ANN401 - what JSON holds
    try:
        if isinstance(segmentation, list):
            return _polygon_runs(segmentation, size)
        if isinstance(segmentation["counts"], str):
            return rle.from_coco(segmentation)
        return rle.whole(segmentation)
    except DataError:
        raise
    except (TypeError, KeyError, ValueError, IndexError, OverflowError) as error:
        raise DataError(
            f"a mask is {str(segmentation)[:60]}. Masks are polygons [[x, y, ...]] or run lengths "
            '{"size": [height, width], "counts": ...}.'
        ) from error


def _polygon_runs(polygons: list[list[float]], size: tuple[int, int]) -> rle.Rle:
    """Rasterize polygons; none give an empty mask."""
    height, width = size
    for polygon in polygons:
        _require_drawable(polygon, size)
    if not polygons:
        return {"size": [height, width], "counts": [height * width]}
    packed = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    counts = packed["counts"].decode("ascii")
    return rle.from_coco({"size": [height, width], "counts": counts})


def _require_drawable(polygon: list[float], size: tuple[int, int]) -> None:
    """Refuse polygons that crash pycocotools or that it draws in the wrong place."""
    numbers = np.asarray(polygon, np.float64)
    if numbers.ndim != 1:
        raise ValueError("not a list of numbers")
    if len(numbers) % 2 or len(numbers) < 6:
        raise DataError(
            f"a polygon has {len(numbers)} number(s). It takes x and y of three corners or more."
        )
    height, width = size
    sides = np.tile([width, height], len(numbers) // 2)
    # written so that NaN fails as well
    within = (numbers >= -OUTSIDE * sides) & (numbers <= (1 + OUTSIDE) * sides)
    if not within.all():
        raise DataError(
            f"a polygon has the coordinate {numbers[~within][0]}, far outside its picture of "
            f"{width}x{height} (width x height). Coordinates are pixels."
        )


FRAMES_PER_SECOND = 24  # of SA-V's videos; the files state the annotated frames per second
EXPECTED = (
    'Expected {"annotations": [{"segmentation": run lengths}, ...]} as in SA-1B, or '
    '{"masklet": [[run lengths of each object] for each frame]} as in SA-V.'
)


@dataclass(frozen=True, slots=True)
class AnnotatedFrame:
    """An annotated frame of a file.

    Attributes:
        number: Of the frame in its video.
        segmentations: Of each object; None if it was not annotated.
    """

    number: int
    segmentations: Sequence[object]


def read_segments_file(path: str, every: int) -> list[AnnotatedFrame]:
    """Read the annotated frames of a file.

    Args:
        path: The file.
        every: Distance between annotated frames, if the file does not state it.

    Raises:
        DataError: It is missing, not JSON, has another form, annotates nothing, or states a rate
            that does not divide its video's.

    Source: training/dataset/vos_segment_loader.py:21-47, :206-249,
    training/dataset/vos_raw_dataset.py:289-297 @ 2b90b9f.
    Differs: a frame without annotation of one object still counts for the others.
    """
    content = load_json(path)
    try:
        if isinstance(content, dict) and "annotations" in content:
            listed = [annotation["segmentation"] for annotation in content["annotations"]]
            return [AnnotatedFrame(0, listed)]
        frames, every = _masklets(content, every)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except (TypeError, KeyError, ValueError, IndexError, OverflowError) as error:
        raise DataError(f"{path} has no masks in a known form. {EXPECTED}") from error
    annotated = [
        AnnotatedFrame(place * every, segmentations)
        for place, segmentations in enumerate(frames)
        if segmentations and any(segmentation is not None for segmentation in segmentations)
    ]
    if not annotated:
        raise DataError(f"{path} annotates none of its {len(frames)} frame(s).")
    return annotated


def _masklets(content: Any, every: int) -> tuple[list[list[object]], int]:  # noqa: ANN401
    if isinstance(content, list):
        return _lists(content), every
    frames = content["masklet" if "masklet" in content else "masks"]
    if "fps" in content:
        stated = content["fps"][0] if isinstance(content["fps"], list) else content["fps"]
        every = _distance(float(stated))
    return _lists(frames), every


def _lists(frames: list[Any]) -> list[list[object]]:
    """Check that each frame has a list, or none."""
    if wrong := [frame for frame in frames if frame is not None and not isinstance(frame, list)]:
        raise TypeError(f"a frame has {wrong[0]!r:.40}")
    return list(frames)


def _distance(rate: float) -> int:
    """Return the distance of annotated frames, given annotated frames per second."""
    if not (rate > 0 and FRAMES_PER_SECOND % rate == 0):
        raise DataError(
            f"fps is {rate:g}, but videos have {FRAMES_PER_SECOND} frames a second, so masks "
            f"cannot be matched with frames. It must divide {FRAMES_PER_SECOND}."
        )
    return round(FRAMES_PER_SECOND / rate)
