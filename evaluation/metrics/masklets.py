"""Scores of masklets and data sets, 0-100 as papers print them.

A masklet's score is the mean over its scored frames; a data set's is the unweighted mean over all
objects of all sequences.

Suffixes: t = frames, h, w = rows and columns in pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import DataError

from .frames import MaskAccuracy, MaskHw, score_frame

SKIPPED = 2  # unscored frames: the first, which is prompted, and the last
GOOD = 0.5  # threshold of J or F for recall
QUARTERS = 4
PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class MaskletScore:
    """Scores of one object in one sequence, or of a data set, 0-100."""

    j: float
    f: float

    @property
    def j_and_f(self) -> float:
        """Mean of J and F, the ranking metric."""
        return (self.j + self.f) / 2


@dataclass(frozen=True, slots=True)
class MaskletValues:
    """J and F of one object, frame by frame.

    Attributes:
        frames: Values of the scored frames, in temporal order.
    """

    frames: tuple[MaskAccuracy, ...]

    @classmethod
    def from_lists(cls, row: Mapping[str, Sequence[float]]) -> Self:
        """Restore from `to_lists`, for a JSON file."""
        pairs = zip(row["j"], row["f"], strict=True)
        return cls(tuple(MaskAccuracy(*pair) for pair in pairs))

    def to_lists(self) -> dict[str, list[float]]:
        """Return J and F of all frames, for a JSON file."""
        return {"j": self.j_t.tolist(), "f": self.f_t.tolist()}

    @property
    def score(self) -> MaskletScore:
        """The means over the frames, 0-100."""
        return MaskletScore(_mean(self.j_t), _mean(self.f_t))

    @property
    def j_t(self) -> NDArray[np.float64]:
        """J of each frame, 0-1."""
        return np.array([frame.j for frame in self.frames])

    @property
    def f_t(self) -> NDArray[np.float64]:
        """F of each frame, 0-1."""
        return np.array([frame.f for frame in self.frames])


@dataclass(frozen=True, slots=True)
class Summary:
    """Metrics of DAVIS for a set of objects, 0-100; decay may be negative.

    Attributes:
        j: Mean region similarity.
        f: Mean contour accuracy.
        j_recall: Fraction of frames with J above 0.5.
        f_recall: Fraction of frames with F above 0.5.
        j_decay: Drop of J from the first quarter of a sequence to the last.
        f_decay: Drop of F.
        num_objects: Number of objects.
    """

    j: float
    f: float
    j_recall: float
    f_recall: float
    j_decay: float
    f_decay: float
    num_objects: int

    @property
    def j_and_f(self) -> float:
        """The mean of J and F."""
        return (self.j + self.f) / 2


def score_masklet(truth_thw: MaskHw, predicted_thw: MaskHw) -> MaskletScore:
    """Score one object of one sequence on all frames but the first and the last.

    Args:
        truth_thw: True masks, `(frames, height, width)`.
        predicted_thw: Predicted masks, of the same shape; those of the first and last frame are
            ignored.

    Returns:
        Means over the scored frames, 0-100.

    Raises:
        DataError: The shapes differ, or there are fewer than three frames.
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
    pairs = zip(truth_thw[1:-1], predicted_thw[1:-1], strict=True)
    return MaskletValues(tuple(score_frame(*pair) for pair in pairs)).score


def mean_score(objects: Sequence[MaskletScore]) -> MaskletScore:
    """Average objects with equal weight, regardless of the length of their sequences.

    Raises:
        DataError: If there are none.
    """
    if not objects:
        raise DataError("there are no objects to average. Give at least one scored masklet.")
    return MaskletScore(
        float(np.mean([score.j for score in objects])),
        float(np.mean([score.f for score in objects])),
    )


def summarize(objects: Iterable[MaskletValues]) -> Summary:
    """Average means, recalls and decays over objects with equal weight.

    Raises:
        DataError: If there are none.
    """
    listed = list(objects)
    mean = mean_score([values.score for values in listed])
    values = [(values.j_t, values.f_t) for values in listed]
    j_recall, f_recall = (float(np.mean([recall(pair[at]) for pair in values])) for at in (0, 1))
    j_decay, f_decay = (float(np.mean([decay(pair[at]) for pair in values])) for at in (0, 1))
    return Summary(mean.j, mean.f, j_recall, f_recall, j_decay, f_decay, len(listed))


def recall(values_t: NDArray[np.float64]) -> float:
    """Compute the percentage of frames above the threshold."""
    return _mean(values_t > GOOD)


def decay(values_t: NDArray[np.float64]) -> float:
    """Compute the drop from the first quarter of the frames to the last, in points.

    Source: davis2017-evaluation, `db_statistics` @ ac7c43f.
    Differs: the original counts frames in 8 bits, so that beyond 256 frames decay is wrong or NaN;
        here it follows the formula.
    """
    count = len(values_t)
    edges = np.round(np.linspace(1, count, QUARTERS + 1) + 1e-10).astype(int) - 1
    first, last = values_t[: edges[1] + 1], values_t[edges[-2] : edges[-1] + 1]
    return _mean(first) - _mean(last)


def _mean(values_t: NDArray) -> float:
    return PERCENT * float(np.mean(values_t))
