"""transformers' own mask generation, made to fit the models of this package.

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

LEAST_IOU = 0.88  # transformers' default
AREAS = ("max_hole_area", "max_sprinkle_area")


class BatchedMaskGenerationPipeline(MaskGenerationPipeline):
    """What `transformers.pipeline("mask-generation")` makes after `sam2_hf.register()`.

    Differs from transformers, with a model of this package alone: a `batch_size` changes nothing.
    There a batch of clicks of several photos is answered for its first photo only, where it does
    not fail; here each photo goes by itself, and its clicks are decoded together as before
    (`points_per_batch`). The masks of one click at a time are brought to the size of the photo, so
    192 of them need not fit in memory at once.
    """

    def get_iterator(self, inputs: object, *settings: Any, **named: Any) -> object:
        """Go through photos, one at a time with a model of this package."""
        bound = signature(super().get_iterator).bind(inputs, *settings, **named)
        if isinstance(self.model, Sam2Model):
            bound.arguments["batch_size"] = 1
        return super().get_iterator(*bound.args, **bound.kwargs)

    def _forward(self, model_inputs: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Decode some clicks, and keep the masks that are good enough as run lengths."""
        if not isinstance(self.model, Sam2Model):
            kept: dict[str, Any] = super()._forward(model_inputs, **options)
            return kept
        inputs = dict(model_inputs)
        crop_box, is_last = inputs.pop("input_boxes")[0], inputs.pop("is_last")
        sizes = inputs.pop("original_sizes").tolist()
        photo_size = inputs.pop("full_image_size").tolist()
        output = self.model(**inputs)
        areas = {name: options.pop(name, None) or 0.0 for name in AREAS}
        options = {"pred_iou_thresh": LEAST_IOU, **options}
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
        """Go through the clicks: logits at the size of the crop, and predicted IoU."""
        threshold = options.get("mask_threshold", 0.0)
        masks_pmhw: Any = output.pred_masks
        iou_pm: Any = output.iou_scores
        for masks_1mhw, iou_1m in zip(masks_pmhw[0].split(1), iou_pm[0].split(1), strict=True):
            (logits_1mhw,) = self.image_processor.post_process_masks(
                masks_1mhw[None], sizes, threshold, binarize=False, **areas
            )
            yield logits_1mhw, iou_1m
