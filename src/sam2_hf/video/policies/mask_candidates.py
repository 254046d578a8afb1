"""Candidate masks of an object on one frame, as a memory policy compares them.

Suffixes: m = candidates, h, w = rows and columns of mask logits, a quarter of the model's input.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

Box = tuple[float, float, float, float]  # x0, y0, x1, y1
EIGHT_NEIGHBORS = np.ones((3, 3), dtype=bool)


class MaskCandidates:
    """Candidate masks of one object on one frame; masks are copied to the host when asked for.

    Args:
        logits_mhw: Mask logits; above 0 is mask.
        iou: Predicted IoU of each, probability.
        score: Object score, logits; above 0 the object is in view.

    Attributes:
        best: The candidate of the highest predicted IoU, the first one of several.
    """

    def __init__(self, logits_mhw: Tensor, iou: Sequence[float], score: float) -> None:
        self._logits_mhw = logits_mhw
        self.iou = tuple(iou)
        self.score = score
        self.best = self.iou.index(max(self.iou))

    def mask(self, index: int) -> NDArray[np.bool_]:
        """Return a mask, `(h, w)`."""
        return (self._logits_mhw[index] > 0).numpy(force=True)

    def area(self, index: int) -> int:
        """Count the pixels of a mask."""
        return int((self._logits_mhw[index] > 0).sum())

    def box(self, index: int) -> Box | None:
        """Return the box around a mask, in cells of the mask; None if it is empty."""
        return box_around(self.mask(index))


def box_around(mask_hw: NDArray[np.bool_]) -> Box | None:
    """Return the box around a mask; None if it is empty."""
    rows, columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    if not len(rows):
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def box_iou(first: Box | None, second: Box | None) -> float:
    """Return the IoU of two boxes; 0 if one is missing."""
    if first is None or second is None:
        return 0.0
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    union = sum(areas) - shared
    return shared / union if union > 0 else 0.0


def largest_part(mask_hw: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the largest connected component of a mask that is not empty (8-connectivity)."""
    labels_hw, _ = ndimage.label(mask_hw, structure=EIGHT_NEIGHBORS)
    sizes = np.bincount(labels_hw.ravel())
    sizes[0] = 0
    part_hw: NDArray[np.bool_] = labels_hw == sizes.argmax()
    return part_hw
