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


def read_segments(segmentations: Sequence[object], size: tuple[int, int]) -> MaskList:
    """Read the objects of a frame; their numbers are their places in the list.

    Args:
        segmentations: Polygons `[[x, y, x, y, ...], ...]`, run lengths `{"size", "counts"}`, or
            None where it is not known whether the object is there.
        size: `(height, width)` in which polygons count; run lengths bring their own.

    Raises:
        DataError: One of them is none of these, is damaged, or has another size.
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
            segmentation = rle.from_coco(segmentation)
        height, width = (int(side) for side in segmentation["size"])
        counts = [int(count) for count in segmentation["counts"]]
    except (TypeError, KeyError, ValueError, IndexError) as error:
        raise DataError(
            f"a mask is {str(segmentation)[:60]}. Masks are polygons [[x, y, ...]] or run lengths "
            '{"size": [height, width], "counts": ...}.'
        ) from error
    if sum(counts) != height * width or min(counts, default=0) < 0:
        raise DataError(
            f"the run lengths of a mask cover {sum(counts)} pixels, but its size "
            f"{height}x{width} has {height * width}: they are damaged."
        )
    return {"size": [height, width], "counts": counts}


def _polygon_runs(polygons: list[list[float]], size: tuple[int, int]) -> rle.Rle:
    """Draw polygons; those of fewer than three corners hold no pixel."""
    height, width = size
    usable = [polygon for polygon in polygons if len(polygon) >= MIN_POLYGON]
    if not usable:
        return {"size": [height, width], "counts": [height * width]}
    packed = coco_mask.merge(coco_mask.frPyObjects(usable, height, width))
    counts = packed["counts"].decode("ascii")
    return rle.from_coco({"size": [height, width], "counts": counts})
