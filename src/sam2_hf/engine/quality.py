"""Quality scores of masklets, from their masks and scores alone.

Suffixes: h, w = rows and columns in pixels.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame

from .claims import Beat, no_beat

DIGITS = 6  # of scores; more is float32 noise
Seen = tuple[int, ObjectOnFrame]  # frame, and the object on it


def masklet_scores(
    frames: Iterable[TrackedFrame],
    agreement: Mapping[int, float] | None = None,
    beat: Beat = no_beat,
) -> dict[int, dict[str, float | None]]:
    """Score every masklet, each score from 0 to 1.

    `predicted_iou` and `object_score` are means over the frames where the object is shown, the
    latter of the probability that it is in view. `stability` is the mean over neighboring frames
    of the IoU of their masks, after the earlier one is moved onto the center of the later one, so
    that motion does not count. `agreement` is what the caller measured. A score is None where
    there is nothing to measure: no frame, no neighbors, no way back.

    Args:
        frames: In order.
        agreement: By object id.
        beat: Called after each pair of frames, as a sign of progress.

    Returns:
        By object id, then by name.
    """
    measured = agreement or {}
    return {
        object_id: {
            **_scores_alone(rows, beat),
            "agreement": _rounded(measured.get(object_id)),
        }
        for object_id, rows in sorted(rows_by_object(frames).items())
    }


def _scores_alone(rows: Sequence[Seen], beat: Beat) -> dict[str, float | None]:
    shown = [(frame, found) for frame, found in rows if found.area]
    ious = [found.predicted_iou for _, found in shown]
    in_view = [_probability(found.object_score) for _, found in shown]
    return {
        "predicted_iou": _rounded(_mean(ious)),
        "object_score": _rounded(_mean(in_view)),
        "stability": _rounded(_mean(_stabilities(shown, beat))),
    }


def _stabilities(shown: Sequence[Seen], beat: Beat) -> list[float]:
    masks = ((frame, found.box(), found.mask()) for frame, found in shown)
    found_ious = []
    for (first, before_box, before_hw), (second, now_box, now_hw) in pairwise(masks):
        if second == first + 1:
            window = _window(before_box, now_box)
            found_ious.append(moved_iou(before_hw[window], now_hw[window]))
        beat()
    return found_ious


def _window(*boxes: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Return the part of a frame that two masks stay in while they are moved onto each other.

    Args:
        boxes: Left, top, width and height of each.
    """
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] + box[side + 2] for box in boxes) for side in (0, 1))
    width, height = right - left, bottom - top
    rows = slice(max(top - height, 0), bottom + height)
    return rows, slice(max(left - width, 0), right + width)


def mask_iou(first_hw: NDArray[np.bool_], second_hw: NDArray[np.bool_]) -> float:
    """IoU of two masks; 1 if both are empty."""
    union = int((first_hw | second_hw).sum())
    return int((first_hw & second_hw).sum()) / union if union else 1.0


def moved_iou(before_hw: NDArray[np.bool_], now_hw: NDArray[np.bool_]) -> float:
    """IoU of two masks whose centers are moved onto each other, by whole pixels.

    What leaves the frame by the move does not count against them.
    """
    height, width = now_hw.shape
    down, right = (
        round(float(now.mean() - before.mean()))
        for now, before in zip(np.nonzero(now_hw), np.nonzero(before_hw), strict=True)
    )
    rows, columns = _overlap(down, height), _overlap(right, width)
    from_rows, from_columns = _overlap(-down, height), _overlap(-right, width)
    return mask_iou(before_hw[from_rows, from_columns], now_hw[rows, columns])


def _overlap(shift: int, length: int) -> slice:
    return slice(max(shift, 0), length + min(shift, 0))


def way_back(
    rows: Sequence[Seen], least_iou: float, least_score: float
) -> tuple[Seen, Seen] | None:
    """Find where tracking back begins and ends: the last confident frame, and the first one.

    Without a confident frame after the first, it begins on the last one that shows the object.

    Returns:
        Both, in order of time; None if the object is shown on one frame or none.
    """
    shown = [(frame, found) for frame, found in rows if found.area]
    good = [
        (frame, found)
        for frame, found in shown[1:]
        if found.predicted_iou >= least_iou and _probability(found.object_score) >= least_score
    ]
    return (shown[0], (good or shown)[-1]) if len(shown) > 1 else None


def rows_by_object(frames: Iterable[TrackedFrame]) -> dict[int, list[Seen]]:
    """List each object on its frames."""
    seen: dict[int, list[Seen]] = {}
    for tracked in frames:
        for found in tracked.objects:
            seen.setdefault(found.object_id, []).append((tracked.frame, found))
    return seen


def _probability(logit: float) -> float:
    return 1 / (1 + math.exp(-max(min(logit, 50.0), -50.0)))


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
