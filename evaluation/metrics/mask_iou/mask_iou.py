"""Mean IoU of masks as a module of the library `evaluate`.

    evaluate.load("evaluation/metrics/mask_iou").compute(predictions=[...], references=[...])

Run it from the checkout; it calls `evaluation.metrics`.
"""

from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from evaluation.metrics.frames import region_similarity
from sam2_hf.errors import DataError

DESCRIPTION = "Intersection over union of each mask with the true one, and their mean, 0-100."
CITATION = """@article{Kirillov2023, author = {A. Kirillov and others}, title = {Segment Anything},
journal = {arXiv:2304.02643}, year = {2023}}"""
INPUTS = """
Args:
    predictions: Masks, each (height, width); all but 0 belongs to the object.
    references: The true ones, of the same shapes.
Returns:
    mean_iou: 0-100. Two empty masks have an IoU of 100.
    ious: That of each mask.
"""


class MaskIou(evaluate.Metric):
    """Mean IoU of masks."""

    def _info(self) -> evaluate.MetricInfo:
        masks = datasets.Sequence(datasets.Sequence(datasets.Value("bool")))
        return evaluate.MetricInfo(
            description=DESCRIPTION,
            citation=CITATION,
            inputs_description=INPUTS,
            features=datasets.Features({"predictions": masks, "references": masks}),
        )

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, Any]:
        ious = []
        for number, (mask, truth) in enumerate(zip(predictions, references, strict=True)):
            mask_hw, truth_hw = np.asarray(mask, bool), np.asarray(truth, bool)
            if mask_hw.shape != truth_hw.shape:
                raise DataError(
                    f"mask {number} has the shape {mask_hw.shape}, the true one {truth_hw.shape}. "
                    "Bring both to the size of the picture."
                )
            ious.append(100 * region_similarity(truth_hw, mask_hw))
        return {"mean_iou": float(np.mean(ious)), "ious": ious}
