"""J and F of a sequence against the definition over whole frames.

The peer implements the definition with scipy's distance transform, the fastest option without
OpenCV, which the official evaluators need.

Suffixes: t = frames, h, w = rows and columns.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from evaluation.metrics.sequences import score_sequence

from .timing import Result, Sides, take_turns

SIZE, FRAMES, OBJECTS = (480, 854), 50, 3
RADIUS_SHARE = 0.008  # of the diagonal
EXACT = 1e-12
Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def time_metric(rounds: int) -> list[Result]:
    """Time both on label maps in memory, of moving and shrinking discs."""
    truth_thw, found_thw = (_moving_discs(shift) for shift in (0.0, 5.0))

    def ours() -> dict[int, tuple[float, float]]:
        return score_sequence(truth_thw, found_thw, policy="davis")

    def peer() -> dict[int, tuple[float, float]]:
        return whole_frame_scores(truth_thw, found_thw)

    mine, theirs = ours(), peer()
    if not all(np.allclose(mine[number], theirs[number], rtol=EXACT, atol=0) for number in theirs):
        raise SystemExit(f"J and F are {mine} here and {theirs} by definition.")
    case = f"J and F, {OBJECTS} objects, {FRAMES} frames, whole frames beside it"
    return [take_turns(case, Sides(ours, peer), rounds)]


def whole_frame_scores(truth_thw: Labels, found_thw: Labels) -> dict[int, tuple[float, float]]:
    """Score every object on every frame but the first and the last, 0-100."""
    scores = {}
    for number in range(1, OBJECTS + 1):
        pairs = [
            (true == number, found == number)
            for true, found in zip(truth_thw[1:-1], found_thw[1:-1], strict=True)
        ]
        j, f = (100 * float(np.mean([rule(*pair) for pair in pairs])) for rule in (_j, _f))
        scores[number] = j, f
    return scores


def _j(true_hw: Mask, found_hw: Mask) -> float:
    union = np.count_nonzero(true_hw | found_hw)
    return np.count_nonzero(true_hw & found_hw) / union if union else 1.0


def _f(true_hw: Mask, found_hw: Mask) -> float:
    radius = math.ceil(RADIUS_SHARE * math.hypot(*true_hw.shape))
    true_edge, found_edge = _boundary(true_hw), _boundary(found_hw)
    if not true_edge.any() or not found_edge.any():
        return float(true_edge.any() == found_edge.any())
    near_true, near_found = (
        distance_transform_edt(~edge) <= radius for edge in (true_edge, found_edge)
    )
    precision = np.count_nonzero(found_edge & near_true) / np.count_nonzero(found_edge)
    recall = np.count_nonzero(true_edge & near_found) / np.count_nonzero(true_edge)
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def _boundary(mask_hw: Mask) -> Mask:
    wide = np.pad(mask_hw, ((0, 1), (0, 1)), mode="edge")
    here = wide[:-1, :-1]
    return (here ^ wide[:-1, 1:]) | (here ^ wide[1:, :-1]) | (here ^ wide[1:, 1:])


def _moving_discs(shift: float) -> Labels:
    labels_thw = np.zeros((FRAMES, *SIZE), np.uint8)
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    for frame, labels_hw in enumerate(labels_thw):
        for number in range(1, OBJECTS + 1):
            center = 80 + 110 * number + 2 * frame + shift, 40 + 100 * number
            radius = 30 * number - frame / 4
            labels_hw[(x - center[0]) ** 2 + (y - center[1]) ** 2 < radius**2] = number
    return labels_thw
