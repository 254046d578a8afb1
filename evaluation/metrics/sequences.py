"""Scores of whole sequences of label maps, by the rules of either official evaluator.

The two disagree about which objects count and from which frame on, so a number means something only
together with its policy:

- "davis" (davis2017-evaluation): the objects 1 to the highest number on the first frame, also those
  that are not there; all frames count; 255 is background; a higher number in a prediction is an
  error.
- "vos" (vos-benchmark, and the evaluator of SA-V): every number that is in the truth of a scored
  frame, 255 too, from the first scored frame on where it is in the truth or the prediction; other
  numbers in a prediction do not matter.

Suffixes: t = frames, h, w = rows and columns in pixels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sam2_hf.errors import DataError

from .frames import LabelsHw, MaskAccuracy, score_labels
from .masklets import SKIPPED, MaskletValues

VOID = 255  # of DAVIS: pixels about which the annotation does not say
DIMENSIONS = 3
Policy = Literal["davis", "vos"]


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """What is scored.

    Attributes:
        policy: Which objects count, and from which frame on.
        skip_first_and_last: Whether the first frame, which is given, and the last are left out. The
            unsupervised and the interactive task of DAVIS score all frames.
        void_label: Pixels with this number in the truth do not count: they are taken out of both
            masks. None for none; the semi-supervised tasks have none.
    """

    policy: Policy = "davis"
    skip_first_and_last: bool = True
    void_label: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no policy."""
        if self.policy not in ("davis", "vos"):
            raise DataError(f'policy={self.policy!r} must be "davis" or "vos".')


class SequenceScorer:
    """Scores a sequence frame by frame; of the frames only numbers are kept.

    Args:
        first_hw: True numbers of the first frame, `(height, width)`.
        rules: What is scored. The caller leaves out the first and the last frame.
    """

    def __init__(self, first_hw: LabelsHw, rules: ScoringRules) -> None:
        self._rules = rules
        self._size = first_hw.shape
        self._in_truth: set[int] = set()
        self._values: dict[int, list[MaskAccuracy]] = {}
        if rules.policy == "davis":
            known = _without(first_hw, rules.void_label, VOID)
            self._in_truth.update(range(1, int(known.max(initial=0)) + 1))
            self._values = {number: [] for number in self._in_truth}

    def feed(self, truth_hw: LabelsHw, predicted_hw: LabelsHw, frame: str = "the frame") -> None:
        """Score the next frame.

        Args:
            truth_hw: True numbers, `(height, width)`, 0 for the background.
            predicted_hw: Numbers to judge.
            frame: What messages call it.

        Raises:
            DataError: Sizes differ, or by the policy "davis" a predicted number is too high.
        """
        for kind, labels_hw in (("truth", truth_hw), ("prediction", predicted_hw)):
            if labels_hw.shape != self._size:
                raise DataError(
                    f"{frame}: the {kind} has the shape {labels_hw.shape}, the sequence "
                    f"{self._size}. Save masks at the size of their video."
                )
        if self._rules.void_label is not None:
            known_hw = truth_hw != self._rules.void_label
            truth_hw, predicted_hw = truth_hw * known_hw, predicted_hw * known_hw
        if self._rules.policy == "davis":
            truth_hw = _without(truth_hw, VOID)
            self._refuse_unknown(predicted_hw, frame)
        else:
            self._meet(truth_hw, predicted_hw)
        for number, score in score_labels(truth_hw, predicted_hw, self._values).items():
            self._values[number].append(score)

    def conclude(self) -> dict[int, MaskletValues]:
        """Give the values of every object that counts, by its number, in ascending order.

        Raises:
            DataError: No frame was scored.
        """
        if self._rules.policy == "davis" and not all(self._values.values()):
            raise DataError("no frame was scored. Give at least three frames.")
        return {
            number: MaskletValues(tuple(self._values[number])) for number in sorted(self._in_truth)
        }

    def _refuse_unknown(self, predicted_hw: LabelsHw, frame: str) -> None:
        highest, last = int(predicted_hw.max(initial=0)), max(self._in_truth, default=0)
        if highest > last:
            raise DataError(
                f"{frame}: the prediction has the object {highest}, but the first true frame has "
                f'none above {last}. Leave it out, or score with policy="vos", where objects may '
                "come later."
            )

    def _meet(self, truth_hw: LabelsHw, predicted_hw: LabelsHw) -> None:
        """Take note of objects that are seen for the first time."""
        in_truth = {int(number) for number in np.unique(truth_hw) if number}
        in_prediction = {int(number) for number in np.unique(predicted_hw) if number}
        self._in_truth |= in_truth
        for number in in_truth | in_prediction:
            self._values.setdefault(number, [])


def score_sequence(
    ground_truth_thw: LabelsHw,
    prediction_thw: LabelsHw,
    *,
    policy: Policy = "davis",
    rules: ScoringRules | None = None,
) -> dict[int, tuple[float, float]]:
    """Score a sequence of label maps.

    Args:
        ground_truth_thw: True numbers, `(frames, height, width)`, 0 for the background.
        prediction_thw: Numbers to judge, of the same shape.
        policy: "davis" or "vos", see above.
        rules: All rules, in place of `policy`.

    Returns:
        J and F of every object that counts, 0-100; by the policy "vos" there may be none.

    Raises:
        DataError: Shapes differ, there is no frame to score, or by the policy "davis" a predicted
            number is too high.
    """
    values = sequence_values(ground_truth_thw, prediction_thw, rules or ScoringRules(policy))
    return {number: (one.score.j, one.score.f) for number, one in values.items()}


def sequence_values(
    ground_truth_thw: LabelsHw, prediction_thw: LabelsHw, rules: ScoringRules
) -> dict[int, MaskletValues]:
    """Score a sequence of label maps, frame by frame.

    Raises:
        DataError: As `score_sequence`.
    """
    if ground_truth_thw.shape != prediction_thw.shape or ground_truth_thw.ndim != DIMENSIONS:
        raise DataError(
            f"the truth has the shape {ground_truth_thw.shape}, the prediction "
            f"{prediction_thw.shape}. Give two arrays of one (frames, height, width)."
        )
    skipped = SKIPPED if rules.skip_first_and_last else 0
    num_frames = len(ground_truth_thw)
    if num_frames <= skipped:
        raise DataError(
            f"a sequence of {num_frames} frame(s) has none to score: {skipped} do not count. Give "
            f"at least {skipped + 1}."
        )
    scorer = SequenceScorer(ground_truth_thw[0], rules)
    for frame in range(skipped // 2, num_frames - skipped // 2):
        scorer.feed(ground_truth_thw[frame], prediction_thw[frame], f"frame {frame}")
    return scorer.conclude()


def _without(labels_hw: LabelsHw, *voids: int | None) -> LabelsHw:
    """Make numbers background."""
    for void in voids:
        if void is not None:
            labels_hw = np.where(labels_hw == void, 0, labels_hw)
    return labels_hw
