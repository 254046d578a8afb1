"""Scores of whole sequences of label maps, by the rules of either official evaluator.

They differ in which objects are scored and from which frame on, so a number is only meaningful with
its policy:

- "davis" (davis2017-evaluation): the objects 1 to the highest label on the first frame, even absent
  ones; all frames are scored; 255 is background; a higher label in a prediction is an error.
- "vos" (vos-benchmark, and the evaluator of SA-V): every label in the truth of a scored
  frame, including 255, from the first scored frame with it in truth or prediction; other labels in
  a prediction are ignored.

Suffixes: t = frames, h, w = rows and columns in pixels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sam2_hf.errors import DataError

from .frames import LabelsHw, MaskAccuracy, score_labels
from .masklets import SKIPPED, MaskletValues

VOID = 255  # of DAVIS: unannotated pixels

Policy = Literal["davis", "vos"]


@dataclass(frozen=True, slots=True)
class ScoringRules:
    """Rules of scoring.

    Attributes:
        policy: Which objects are scored, and from which frame on.
        skip_first_and_last: Whether the first frame, which is prompted, and the last are skipped.
            The unsupervised and the interactive task of DAVIS score all frames.
        void_label: Pixels with this true label are ignored in both masks. None for none; the
            semi-supervised tasks have none.
    """

    policy: Policy = "davis"
    skip_first_and_last: bool = True
    void_label: int | None = None

    def __post_init__(self) -> None:
        """Check the policy."""
        if self.policy not in ("davis", "vos"):
            raise DataError(f'policy={self.policy!r} must be "davis" or "vos".')


class SequenceScorer:
    """Incremental scorer of a sequence; keeps no frames.

    Args:
        first_hw: True labels of the first frame, `(height, width)`.
        rules: The rules. The caller skips the first and the last frame.
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
            truth_hw: True labels, `(height, width)`, 0 for the background.
            predicted_hw: Predicted labels.
            frame: Its name in messages.

        Raises:
            DataError: Sizes differ, or with the policy "davis" a predicted label is too high.
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
        """Return the values of every scored object, by id in ascending order.

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
        """Register objects that appear for the first time."""
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
        ground_truth_thw: True labels, `(frames, height, width)`, 0 for the background.
        prediction_thw: Predicted labels, of the same shape.
        policy: "davis" or "vos", see above.
        rules: All rules, instead of `policy`.

    Returns:
        J and F of every scored object, 0-100; with the policy "vos" there may be none.

    Raises:
        DataError: Shapes differ, there is no frame to score, or with the policy "davis" a predicted
            label is too high.
    """
    values = sequence_values(ground_truth_thw, prediction_thw, rules or ScoringRules(policy))
    return {number: (masklet.score.j, masklet.score.f) for number, masklet in values.items()}


def sequence_values(
    ground_truth_thw: LabelsHw, prediction_thw: LabelsHw, rules: ScoringRules
) -> dict[int, MaskletValues]:
    """Score a sequence of label maps, frame by frame.

    Raises:
        DataError: As `score_sequence`.
    """
    if ground_truth_thw.shape != prediction_thw.shape or ground_truth_thw.ndim != 3:
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
    """Set labels to background."""
    for void in voids:
        if void is not None:
            labels_hw = np.where(labels_hw == void, 0, labels_hw)
    return labels_hw
