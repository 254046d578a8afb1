"""Which masks show something new: by IoU, and by how much of one lies in the other, both ways.

Suffixes: n = new masks, m = known masks, h, w = rows and columns.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import is_finite_number, shown

Masks = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MatchingRules:
    """When two masks show the same object.

    Attributes:
        iou: They do if their IoU is at least this.
        containment: They also do if at least this part of one lies in the other: an object and the
            visible part of it, or one of its details.

    Raises:
        PromptError: A value is not above 0 and at most 1.
    """

    iou: float = 0.5
    containment: float = 0.8

    def __post_init__(self) -> None:
        for name in ("iou", "containment"):
            value = getattr(self, name)
            if not is_finite_number(value) or not 0 < value <= 1:
                raise PromptError(f"{name} is {shown(value)}, it must be above 0 and at most 1.")


@dataclass(frozen=True, slots=True, eq=False)
class MaskOverlaps:
    """Overlaps of new masks with known ones; 0 where a mask is empty.

    Attributes:
        iou_nm: Intersection over union.
        new_in_known_nm: Part of a new mask that lies in a known one.
        known_in_new_nm: Part of a known mask that lies in a new one.
    """

    iou_nm: NDArray[np.float64]
    new_in_known_nm: NDArray[np.float64]
    known_in_new_nm: NDArray[np.float64]

    def same_object(self, rules: MatchingRules) -> Masks:
        """Tell which pairs show the same object, `(n, m)`."""
        is_inside = np.maximum(self.new_in_known_nm, self.known_in_new_nm) >= rules.containment
        matches: Masks = (self.iou_nm >= rules.iou) | is_inside
        return matches


def mask_overlaps(new_nhw: Masks, known_mhw: Masks) -> MaskOverlaps:
    """Compare new masks with known ones.

    Args:
        new_nhw: `(n, h, w)`, boolean.
        known_mhw: `(m, h, w)`, boolean, of the same picture at the same size.
    """
    # in float32 the product of matrices is fast, and counts of pixels up to 2 ** 24 are exact
    num_pixels = math.prod(new_nhw.shape[1:])
    new_np = new_nhw.reshape(-1, num_pixels).astype(np.float32)
    known_mp = known_mhw.reshape(-1, num_pixels).astype(np.float32)
    both_nm = (new_np @ known_mp.T).astype(np.float64)
    new_n1 = new_np.sum(1, dtype=np.float64)[:, None]
    known_1m = known_mp.sum(1, dtype=np.float64)[None]
    return MaskOverlaps(
        both_nm / np.maximum(new_n1 + known_1m - both_nm, 1),
        both_nm / np.maximum(new_n1, 1),
        both_nm / np.maximum(known_1m, 1),
    )
