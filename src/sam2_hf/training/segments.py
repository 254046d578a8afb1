"""Objects of a frame from COCO's forms: polygons, and run lengths of both kinds.

Suffixes: hw = rows and columns of the picture.
"""

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sam2_hf import rle
from sam2_hf.errors import DataError

from .frame_objects import MaskList

MIN_POLYGON = 6  # numbers: three corners
OUTSIDE = 1.0  # how far polygons may leave the picture, in its own sides


def read_segments(segmentations: Sequence[object], size: tuple[int, int]) -> MaskList:
    """Read the objects of a frame; their numbers are their places in the list.

    Args:
        segmentations: Polygons `[[x, y, x, y, ...], ...]`, run lengths `{"size", "counts"}`, or
            None where it is not known whether the object is there.
        size: `(height, width)` in which polygons count; run lengths bring their own.

    Raises:
        DataError: One of them is none of these, is damaged, or has another size; or a polygon lies
            far outside.
    """
    runs: dict[int, rle.Rle] = {}
    for number, segmentation in enumerate(segmentations):
        if segmentation is not None:
            runs[number] = _runs(segmentation, size)
    sizes = {tuple(one["size"]) for one in runs.values()} or {size}
    if len(sizes) > 1:
        raise DataError(f"masks of one picture have several sizes: {sorted(sizes)}.")
    height, width = sizes.pop()
    areas = {number: rle.area(one) for number, one in runs.items()}
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
    """Draw polygons; none at all hold no pixel."""
    height, width = size
    for polygon in polygons:
        _require_drawable(polygon, size)
    if not polygons:
        return {"size": [height, width], "counts": [height * width]}
    packed = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    counts = packed["counts"].decode("ascii")
    return rle.from_coco({"size": [height, width], "counts": counts})


def _require_drawable(polygon: list[float], size: tuple[int, int]) -> None:
    """Refuse what pycocotools would not survive, or would draw somewhere else."""
    numbers = np.asarray(polygon, np.float64)
    if numbers.ndim != 1:
        raise ValueError("not a list of numbers")
    if len(numbers) % 2 or len(numbers) < MIN_POLYGON:
        raise DataError(
            f"a polygon has {len(numbers)} number(s). It takes x and y of three corners or more."
        )
    height, width = size
    sides = np.tile([width, height], len(numbers) // 2)
    # NaN is not within anything either
    within = (numbers >= -OUTSIDE * sides) & (numbers <= (1 + OUTSIDE) * sides)
    if not within.all():
        raise DataError(
            f"a polygon has the coordinate {numbers[~within][0]}, far outside its picture of "
            f"{width}x{height} (width x height). Coordinates are pixels."
        )
