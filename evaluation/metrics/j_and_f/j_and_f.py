"""J, F and J&F of video object segmentation as a module of the library `evaluate`.

    evaluate.load("evaluation/metrics/j_and_f").compute(predictions=[...], references=[...])

Run it from the checkout; it calls `evaluation.metrics`.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from evaluation.metrics.masklets import summarize
from evaluation.metrics.sequences import Policy, ScoringRules, sequence_values

DESCRIPTION = (
    "Region similarity J, contour accuracy F and their mean J&F, 0-100, with recall and decay: the "
    "measures of DAVIS, averaged over all objects of all sequences."
)
CITATION = """@inproceedings{Perazzi2016, author = {F. Perazzi and J. Pont-Tuset and B. McWilliams
and L. Van Gool and M. Gross and A. Sorkine-Hornung}, title = {A Benchmark Dataset and Evaluation
Methodology for Video Object Segmentation}, booktitle = {CVPR}, year = {2016}}"""
INPUTS = """
Args:
    predictions: Label maps of sequences, each (frames, height, width), 0 for the background.
    references: The true ones, of the same shapes.
    policy: "davis" or "vos": which objects count, see evaluation/metrics/sequences.py.
    void_label: True pixels with this number do not count; None for none.
    skip_first_and_last: Whether the first and the last frame are left out.
Returns:
    j, f, j_and_f, j_recall, f_recall, j_decay, f_decay: means over objects, 0-100.
    objects: j and f of each object of each sequence, in order.
"""


class JAndF(evaluate.Metric):
    """J, F and J&F of label maps."""

    def _info(self) -> evaluate.MetricInfo:
        maps = datasets.Sequence(datasets.Sequence(datasets.Sequence(datasets.Value("int32"))))
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": maps, "references": maps}),
        )

    def _compute(
        self,
        predictions: Sequence[Any],
        references: Sequence[Any],
        policy: Policy = "davis",
        void_label: int | None = None,
        skip_first_and_last: bool = True,  # noqa: FBT001, FBT002 - evaluate passes names
    ) -> dict[str, Any]:
        rules = ScoringRules(policy, skip_first_and_last, void_label)
        scored = [
            sequence_values(np.asarray(truth), np.asarray(predicted), rules)
            for predicted, truth in zip(predictions, references, strict=True)
        ]
        summary = summarize(values for objects in scored for values in objects.values())
        return {
            "j": summary.j,
            "f": summary.f,
            "j_and_f": summary.j_and_f,
            "j_recall": summary.j_recall,
            "f_recall": summary.f_recall,
            "j_decay": summary.j_decay,
            "f_decay": summary.f_decay,
            "objects": [
                {
                    number: {"j": values.score.j, "f": values.score.f}
                    for number, values in objects.items()
                }
                for objects in scored
            ],
        }
