"""How well masks match: region similarity J, contour accuracy F, and their mean over a masklet.

J and F of one frame are shares (0-1); scores of masklets and data sets are 0-100, as papers print
them. A masklet's score is the mean over its frames without the first and the last; a data set's is
the plain mean over all objects of all sequences.

Suffixes: t = frames, h, w = rows and columns in pixels, n = pixels of a contour, 2 = row, column.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from sam2_hf.errors import DataError

TOLERANCE = 0.008  # of the picture's diagonal: how far two contours may be apart and still match
SKIPPED = 2  # frames of a masklet that are not scored: the first, which is given, and the last
BELOW_NEXT = 0.5  # squared distances between pixels are whole numbers

MaskHw = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MaskletScore:
    """Scores of one object in one sequence, or of a data set, 0-100."""

    j: float
    f: float

    @property
    def j_and_f(self) -> float:
        """The mean of both, by which methods are ranked."""
        return (self.j + self.f) / 2


def region_similarity(truth_hw: MaskHw, predicted_hw: MaskHw) -> float:
    """Compute J of one frame: intersection over union, 1 if both masks are empty."""
    union = np.count_nonzero(truth_hw | predicted_hw)
    return np.count_nonzero(truth_hw & predicted_hw) / union if union else 1.0


def boundary_map(mask_hw: MaskHw) -> MaskHw:
    """Mark pixels that differ from their right, lower or lower-right neighbour.

    The line is one pixel thick and lies half a pixel to the top left of the edge. A mask that fills
    the picture has none: beyond the last row and column there is nothing to differ from.
    """
    edges_hw = np.zeros_like(mask_hw)
    edges_hw[:, :-1] |= mask_hw[:, :-1] != mask_hw[:, 1:]
    edges_hw[:-1] |= mask_hw[:-1] != mask_hw[1:]
    edges_hw[:-1, :-1] |= mask_hw[:-1, :-1] != mask_hw[1:, 1:]
    return edges_hw


def boundary_radius(height: int, width: int) -> int:
    """Compute how many pixels apart two contours of a picture may be and still match."""
    return math.ceil(TOLERANCE * math.hypot(height, width))


def contour_accuracy(truth_hw: MaskHw, predicted_hw: MaskHw) -> float:
    """Compute F of one frame: harmonic mean of the contours' precision and recall.

    Two empty contours match (1), one empty contour does not (0).

    Args:
        truth_hw: The true mask, `(height, width)`.
        predicted_hw: The mask to judge, of the same size.

    Returns:
        A share, 0-1.

    Source: davis2017-evaluation, `f_measure` (definition in the DAVIS 2016 paper, section 5).
    Differs: instead of widening contours by a disc, asks for the distance to the nearest pixel of
        the other contour, which is the same question; looks only at the part with masks in it.
    """
    part = _occupied_part(truth_hw, predicted_hw)
    truth_n2 = np.argwhere(boundary_map(truth_hw[part]))
    predicted_n2 = np.argwhere(boundary_map(predicted_hw[part]))
    if not len(truth_n2) or not len(predicted_n2):
        return float(len(truth_n2) == len(predicted_n2))
    radius = boundary_radius(*truth_hw.shape)
    precision = _share_near(predicted_n2, truth_n2, radius)
    recall = _share_near(truth_n2, predicted_n2, radius)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def score_masklet(truth_thw: MaskHw, predicted_thw: MaskHw) -> MaskletScore:
    """Score one object of one sequence on all frames but the first and the last.

    Args:
        truth_thw: True masks, `(frames, height, width)`.
        predicted_thw: Masks to judge, of the same shape; those of the first and last frame
            do not count.

    Returns:
        Means over the scored frames, 0-100.

    Raises:
        DataError: If the shapes differ, or fewer than three frames leave none to score.
    """
    if truth_thw.shape != predicted_thw.shape:
        raise DataError(
            f"the true masks have the shape {truth_thw.shape}, those to judge "
            f"{predicted_thw.shape}. Bring both to one (frames, height, width)."
        )
    if len(truth_thw) <= SKIPPED:
        raise DataError(
            f"a sequence of {len(truth_thw)} frame(s) has none to score: the first and the last "
            "do not count. Give at least three frames."
        )
    pairs = list(zip(truth_thw[1:-1], predicted_thw[1:-1], strict=True))
    j = float(np.mean([region_similarity(*pair) for pair in pairs]))
    f = float(np.mean([contour_accuracy(*pair) for pair in pairs]))
    return MaskletScore(100 * j, 100 * f)


def mean_score(objects: Sequence[MaskletScore]) -> MaskletScore:
    """Average objects, each counting the same however long its sequence is.

    Raises:
        DataError: If there are none.
    """
    if not objects:
        raise DataError("there are no objects to average. Give at least one scored masklet.")
    return MaskletScore(
        float(np.mean([score.j for score in objects])),
        float(np.mean([score.f for score in objects])),
    )


def _occupied_part(*masks: MaskHw) -> tuple[slice, slice]:
    """Find the rows and columns with masks in them, one more on each side for the contour."""
    union_hw = np.logical_or.reduce(masks)
    spans = []
    for axis in (1, 0):
        places = np.flatnonzero(union_hw.any(axis=axis))
        ends = (places[0], places[-1]) if places.size else (0, 0)
        spans.append(slice(max(int(ends[0]) - 1, 0), int(ends[1]) + 2))
    return spans[0], spans[1]


def _share_near(contour_n2: NDArray[np.intp], other_n2: NDArray[np.intp], radius: int) -> float:
    """Tell which share of a contour lies within `radius` pixels of another."""
    reach = math.sqrt(radius**2 + BELOW_NEXT)
    distances, _ = cKDTree(other_n2).query(contour_n2, distance_upper_bound=reach)
    return float(np.isfinite(distances).mean())
