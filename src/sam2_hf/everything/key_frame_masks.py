"""Masks found on a key frame, and how they overlap with others.

Suffixes: m = masks, n = other masks, h, w = rows and columns in pixels of the frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from sam2_hf import rle
from sam2_hf.rle import CocoRle

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class KeyFrameMask:
    """A mask found on a key frame.

    Attributes:
        segmentation: The mask, in COCO's compressed run lengths.
        area: Pixels of it.
        quality: Predicted IoU, 0-1.
    """

    segmentation: CocoRle
    area: int
    quality: float

    @classmethod
    def of(cls, mask_hw: Mask, quality: float) -> "KeyFrameMask":
        """Compress a mask."""
        runs = rle.encode(mask_hw)
        return cls(rle.to_coco(runs), rle.area(runs), quality)

    def mask(self) -> Mask:
        """Draw the mask, `(height, width)`."""
        return rle.decode(rle.from_coco(self.segmentation))


class MaskFinder(Protocol):
    """Something that finds the masks of a key frame, such as everything-mode for photos."""

    def __call__(self, frame: int, picture_hw3: NDArray[np.uint8]) -> Sequence[KeyFrameMask]:
        """Find masks.

        Args:
            frame: Number of the frame.
            picture_hw3: Its pixels, `(height, width, 3)`, RGB.
        """


@dataclass(frozen=True, slots=True, eq=False)
class Overlaps:
    """Overlaps of masks with others.

    Attributes:
        shared_mn: Pixels that two masks share.
        area_m: Pixels of each mask.
        area_n: Pixels of each other mask.
    """

    shared_mn: NDArray[np.float64]
    area_m: NDArray[np.float64]
    area_n: NDArray[np.float64]

    @classmethod
    def of(cls, masks: Sequence[CocoRle], others: Sequence[CocoRle]) -> "Overlaps":
        """Measure the overlaps of all pairs."""
        areas = [
            np.array([coco_mask.area(dict(mask)) for mask in part], float)
            for part in (masks, others)
        ]
        if not masks or not others:
            return cls(np.zeros((len(masks), len(others))), *areas)
        # of a "crowd" it is the share of the first mask that lies in the second
        is_crowd = np.ones(len(others), np.uint8)
        inside_mn = coco_mask.iou([*map(dict, masks)], [*map(dict, others)], is_crowd)
        return cls(np.rint(inside_mn * areas[0][:, None]), *areas)

    @property
    def iou_mn(self) -> NDArray[np.float64]:
        """Intersection over union of all pairs; 0 for empty masks."""
        union_mn = self.area_m[:, None] + self.area_n[None] - self.shared_mn
        return self.shared_mn / np.maximum(union_mn, 1)


def pair_up(score_mn: NDArray[np.float64], least: float) -> list[tuple[int, int]]:
    """Pair rows with columns, best score first, each at most once.

    Args:
        score_mn: Scores of all pairs.
        least: Least score of a pair.
    """
    pairs: list[tuple[int, int]] = []
    rows: set[int] = set()
    columns: set[int] = set()
    for flat in np.argsort(-score_mn, axis=None, kind="stable").tolist():
        row, column = divmod(flat, score_mn.shape[1])
        if score_mn[row, column] < least or score_mn[row, column] <= 0:
            break
        if row not in rows and column not in columns:
            pairs.append((row, column))
            rows.add(row)
            columns.add(column)
    return pairs
