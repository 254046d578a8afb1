"""J, F and the scores of sequences, as slow as their definitions: whole pictures, one by one.

Nothing here is shared with the code under test.
"""

import math

import numpy as np

QUARTERS = 4


def slow_j(truth_hw, predicted_hw):
    """Intersection over union, by counting pixels."""
    pixels = list(zip(truth_hw.ravel().tolist(), predicted_hw.ravel().tolist(), strict=True))
    union = sum(1 for true, predicted in pixels if true or predicted)
    return sum(1 for true, predicted in pixels if true and predicted) / union if union else 1.0


def slow_boundary(mask_hw):
    """The definition: a picture continues beyond its last row and column as it ends there."""
    wide_hw = np.pad(mask_hw, ((0, 1), (0, 1)), mode="edge")
    right_hw, below_hw, both_hw = wide_hw[:-1, 1:], wide_hw[1:, :-1], wide_hw[1:, 1:]
    return (mask_hw ^ right_hw) | (mask_hw ^ below_hw) | (mask_hw ^ both_hw)


def slow_dilation(map_hw, radius):
    """Shift the map to every place of a disc; outside the picture there is nothing."""
    height, width = map_hw.shape
    padded = np.pad(map_hw, radius)
    wide_hw = np.zeros_like(map_hw)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dy * dy + dx * dx <= radius * radius:
                top, left = radius + dy, radius + dx
                wide_hw |= padded[top : top + height, left : left + width]
    return wide_hw


def slow_f(truth_hw, predicted_hw):
    """F by dilation over the whole picture."""
    radius = math.ceil(0.008 * math.sqrt(truth_hw.shape[0] ** 2 + truth_hw.shape[1] ** 2))
    truth, predicted = slow_boundary(truth_hw), slow_boundary(predicted_hw)
    if not truth.any() or not predicted.any():
        return float(truth.any() == predicted.any())
    precision = (predicted & slow_dilation(truth, radius)).sum() / predicted.sum()
    recall = (truth & slow_dilation(predicted, radius)).sum() / truth.sum()
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


def slow_decay(values):
    """Mean of the first quarter less that of the last; quarters share the frame between them."""
    edges = [round(1 + (len(values) - 1) * at / QUARTERS + 1e-10) - 1 for at in range(QUARTERS + 1)]
    first, last = values[edges[0] : edges[1] + 1], values[edges[3] : edges[4] + 1]
    return sum(first) / len(first) - sum(last) / len(last)


def slow_davis(truth_thw, predicted_thw):
    """All objects up to the highest of the first frame, on all frames but the first and last."""
    truth_thw = np.where(truth_thw == 255, 0, truth_thw)
    return {
        number: slow_masklet(truth_thw[1:-1] == number, predicted_thw[1:-1] == number)
        for number in range(1, truth_thw[0].max() + 1)
    }


def slow_vos(truth_thw, predicted_thw):
    """All objects of the true scored frames, from where they are first seen on."""
    truth_thw, predicted_thw = truth_thw[1:-1], predicted_thw[1:-1]
    scores = {}
    for number in set(truth_thw.ravel().tolist()) - {0}:
        seen_t = [
            bool((true == number).any() or (predicted == number).any())
            for true, predicted in zip(truth_thw, predicted_thw, strict=True)
        ]
        start = seen_t.index(True)
        scores[number] = slow_masklet(truth_thw[start:] == number, predicted_thw[start:] == number)
    return scores


def slow_masklet(truth_thw, predicted_thw):
    """Means of J and F, 0-100."""
    pairs = list(zip(truth_thw, predicted_thw, strict=True))
    j, f = ([measure(*pair) for pair in pairs] for measure in (slow_j, slow_f))
    return 100 * sum(j) / len(j), 100 * sum(f) / len(f)
