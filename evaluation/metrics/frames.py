"""Metrics of one frame: region similarity J and contour accuracy F, 0-1.

Only the part of a picture with masks is processed, and contour pixels common to both masks are
skipped; the numbers equal those of the whole picture.

Suffixes: h, w = rows and columns in pixels, n = pixels of a contour, 2 = row, column.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects
from scipy.spatial import cKDTree

TOLERANCE = 0.008  # of the picture's diagonal: tolerated distance of matching contours


MaskHw = NDArray[np.bool_]
LabelsHw = NDArray[np.integer[Any]]
Part = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class MaskAccuracy:
    """J and F of one object on one frame, 0-1."""

    j: float
    f: float


PERFECT = MaskAccuracy(1.0, 1.0)


def score_frame(truth_hw: MaskHw, predicted_hw: MaskHw) -> MaskAccuracy:
    """Compute J and F of one object on one frame.

    Args:
        truth_hw: The true mask, `(height, width)`.
        predicted_hw: The predicted mask, of the same size.
    """
    part = _occupied_part(truth_hw, predicted_hw)
    return _score_part(truth_hw[part], predicted_hw[part], boundary_radius(*truth_hw.shape))


def score_labels(
    truth_hw: LabelsHw, predicted_hw: LabelsHw, object_ids: Iterable[int]
) -> dict[int, MaskAccuracy]:
    """Compute J and F of several objects on one frame.

    Args:
        truth_hw: True labels, `(height, width)`, 0 for the background.
        predicted_hw: Predicted labels, of the same size.
        object_ids: Objects to score; an object on neither map scores 1.
    """
    radius = boundary_radius(*truth_hw.shape)
    places = [find_objects(labels_hw.astype(np.int32)) for labels_hw in (truth_hw, predicted_hw)]
    scores = {}
    for number in object_ids:
        found = [
            place[number - 1] for place in places if number <= len(place) and place[number - 1]
        ]
        if not found:
            scores[number] = PERFECT
            continue
        part = _around(found)
        scores[number] = _score_part(truth_hw[part] == number, predicted_hw[part] == number, radius)
    return scores


def region_similarity(truth_hw: MaskHw, predicted_hw: MaskHw) -> float:
    """Compute J of one frame: intersection over union, 1 if both masks are empty."""
    union = np.count_nonzero(truth_hw | predicted_hw)
    return np.count_nonzero(truth_hw & predicted_hw) / union if union else 1.0


def contour_accuracy(truth_hw: MaskHw, predicted_hw: MaskHw) -> float:
    """Compute F of one frame: harmonic mean of the contours' precision and recall.

    Two empty contours match (1), one empty contour does not (0).

    Args:
        truth_hw: The true mask, `(height, width)`.
        predicted_hw: The predicted mask, of the same size.

    Returns:
        F, 0-1.

    Source: davis2017-evaluation, `f_measure` (definition in the DAVIS 2016 paper, section 5).
    Differs: instead of dilating contours by a disc, computes the distance to the nearest pixel of
        the other contour, which is equivalent.
    """
    part = _occupied_part(truth_hw, predicted_hw)
    radius = boundary_radius(*truth_hw.shape)
    return _contour_accuracy(truth_hw[part], predicted_hw[part], radius)


def boundary_map(mask_hw: MaskHw) -> MaskHw:
    """Mark pixels that differ from their right, lower or lower-right neighbor.

    The line is one pixel thick, half a pixel to the top left of the edge. A mask that fills the
    picture has none: the last row and column have no neighbors beyond.
    """
    edges_hw = np.zeros_like(mask_hw)
    edges_hw[:, :-1] |= mask_hw[:, :-1] != mask_hw[:, 1:]
    edges_hw[:-1] |= mask_hw[:-1] != mask_hw[1:]
    edges_hw[:-1, :-1] |= mask_hw[:-1, :-1] != mask_hw[1:, 1:]
    return edges_hw


def boundary_radius(height: int, width: int) -> int:
    """Compute the tolerated distance of matching contours, in pixels."""
    return math.ceil(TOLERANCE * math.hypot(height, width))


def _score_part(truth_hw: MaskHw, predicted_hw: MaskHw, radius: int) -> MaskAccuracy:
    return MaskAccuracy(
        region_similarity(truth_hw, predicted_hw),
        _contour_accuracy(truth_hw, predicted_hw, radius),
    )


def _contour_accuracy(truth_hw: MaskHw, predicted_hw: MaskHw, radius: int) -> float:
    truth, predicted = boundary_map(truth_hw), boundary_map(predicted_hw)
    num_truth, num_predicted = np.count_nonzero(truth), np.count_nonzero(predicted)
    if not num_truth or not num_predicted:
        return float(num_truth == num_predicted)
    common = truth & predicted
    num_common = np.count_nonzero(common)
    only_truth, only_predicted = np.argwhere(truth & ~common), np.argwhere(predicted & ~common)
    precision = recall = num_common
    if len(only_predicted):
        precision += _count_near(only_predicted, np.argwhere(truth), radius)
    if len(only_truth):
        recall += _count_near(only_truth, np.argwhere(predicted), radius)
    if not precision and not recall:
        return 0.0
    shares = precision / num_predicted, recall / num_truth
    return 2 * shares[0] * shares[1] / (shares[0] + shares[1])


def _count_near(contour_n2: NDArray[np.intp], other_n2: NDArray[np.intp], radius: int) -> int:
    """Count the pixels of a contour that lie within `radius` pixels of another."""
    reach = math.sqrt(radius**2 + 0.5)  # squared distances are whole numbers
    distances, _ = cKDTree(other_n2).query(contour_n2, distance_upper_bound=reach)
    return int(np.isfinite(distances).sum())


def _occupied_part(*masks: MaskHw) -> Part:
    """Find the rows and columns with masks, plus one on each side for the contour."""
    places = [found for mask_hw in masks for found in find_objects(mask_hw.astype(np.int32))]
    return _around(places) if places else (slice(0, 1), slice(0, 1))


def _around(places: list[Part]) -> Part:
    """Enclose parts, plus one pixel on each side for the contour."""
    rows, columns = (
        slice(
            max(min(place[axis].start for place in places) - 1, 0),
            max(place[axis].stop for place in places) + 1,
        )
        for axis in (0, 1)
    )
    return rows, columns
