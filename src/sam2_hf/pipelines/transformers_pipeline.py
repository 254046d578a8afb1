"""Mask generation of transformers, adapted to the models of this package.

Suffixes: p = clicks, m = masks of a click, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Iterator
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from transformers import MaskGenerationPipeline

from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.outputs import Sam2ImageSegmentationOutput
from sam2_hf.rle import Rle


class BatchedMaskGenerationPipeline(MaskGenerationPipeline):
    """Class of `transformers.pipeline("mask-generation")` after `sam2_hf.register()`.

    Differs from transformers, with a model of this package only: `batch_size` changes nothing.
    There a batch of several photos fails or returns masks of the first photo only; here photos are
    processed one by one, with their clicks batched as before (`points_per_batch`). Masks are
    resized one click at a time, so that 192 full-size masks need not fit in memory.
    """

    def get_iterator(self, inputs: object, *settings: Any, **named: Any) -> object:
        """Iterate over photos, one at a time with a model of this package."""
        bound = signature(super().get_iterator).bind(inputs, *settings, **named)
        if isinstance(self.model, Sam2Model):
            bound.arguments["batch_size"] = 1
        return super().get_iterator(*bound.args, **bound.kwargs)

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Decode some clicks, and keep masks above the thresholds as run lengths."""
        if not isinstance(self.model, Sam2Model):
            kept: dict[str, Any] = super()._forward(model_inputs, **options)
            return kept
        inputs = dict(model_inputs)
        crop_box, is_last = inputs.pop("input_boxes")[0], inputs.pop("is_last")
        sizes = inputs.pop("original_sizes").tolist()
        photo_size = inputs.pop("full_image_size").tolist()
        output = self.model(**inputs)
        areas = {
            name: options.pop(name, None) or 0.0 for name in ("max_hole_area", "max_sprinkle_area")
        }
        options = {"pred_iou_thresh": 0.88, **options}  # transformers' default
        found = [
            self.image_processor.filter_masks(masks_1mhw, iou_1m, photo_size, crop_box, **options)
            for masks_1mhw, iou_1m in self._full_size(output, sizes, areas, options)
        ]
        rles: list[Rle] = [rle for of_click, _, _ in found for rle in of_click]
        ious, boxes = ([part[place] for part in found] for place in (1, 2))
        return {
            "masks": rles,
            "is_last": is_last,
            "boxes": torch.cat(boxes),
            "iou_scores": torch.cat(ious),
        }

    def _full_size(
        self,
        output: Sam2ImageSegmentationOutput,
        sizes: list[list[int]],
        areas: dict[str, float],
        options: dict[str, Any],
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield logits at the size of the crop and predicted IoU, click by click."""
        threshold = options.get("mask_threshold", 0.0)
        masks_pmhw: Any = output.pred_masks
        iou_pm: Any = output.iou_scores
        for masks_1mhw, iou_1m in zip(masks_pmhw[0].split(1), iou_pm[0].split(1), strict=True):
            (logits_1mhw,) = self.image_processor.post_process_masks(
                masks_1mhw[None], sizes, threshold, binarize=False, **areas
            )
            yield logits_1mhw, iou_1m
