"""Mask search in one crop: click on a grid, filter by quality, suppress duplicates.

Suffixes: m = masks, n = clicks, h, w = rows and columns of the low-resolution map,
2 = x, y; 4 = x0, y0, x1, y1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from sam2_hf.boxes import near_crop_edge, nms, uncrop_boxes
from sam2_hf.geometry import to_model_pixels
from sam2_hf.masks import clean_masks
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.outputs import GatedMasks
from sam2_hf.processing.mask_values import MOST_LOGIT
from sam2_hf.upsampled_masks import upsampled_statistics

from .everything_options import EverythingOptions
from .point_grid import Crop, Grid

KEEP_ALL = 0.0  # threshold of predicted IoU


@dataclass(frozen=True, slots=True, eq=False)
class FoundMasks:
    """Masks found in one crop.

    Attributes:
        logits_mhw: Low-resolution logits, `(m, h, w)` float32, without holes and speckles.
        iou_m: Predicted IoU, `(m,)` float32.
        stability_m: Stability score, `(m,)` float32.
        boxes_m4: Boxes around them, `(m, 4)` int64.
        points_m2: The click of each, `(m, 2)` float32.
    """

    logits_mhw: Tensor
    iou_m: Tensor
    stability_m: Tensor
    boxes_m4: Tensor
    points_m2: Tensor

    def pick(self, which_m: Tensor) -> "FoundMasks":
        """Select masks by booleans, or by indices in order."""
        return FoundMasks(*(getattr(self, field.name)[which_m] for field in fields(self)))

    @classmethod
    def joined(cls, parts: list["FoundMasks"]) -> "FoundMasks":
        """Concatenate masks."""
        names = [field.name for field in fields(cls)]
        return cls(*(torch.cat([getattr(part, name) for part in parts]) for name in names))

    def __len__(self) -> int:
        return len(self.iou_m)


@dataclass(frozen=True, slots=True, eq=False)
class CropSearch:
    """One encoded crop of a photo.

    Attributes:
        model: The model.
        model_size: Its input size, model pixels.
        embeddings: Features of the crop.
        crop: The crop.
        photo_size: `(height, width)` of the photo.
        options: Density and thresholds.
    """

    model: Sam2Model
    model_size: int
    embeddings: list[Tensor]
    crop: Crop
    photo_size: tuple[int, int]
    options: EverythingOptions

    def run(self, grid: Grid, on_clicks: Callable[[int], None]) -> FoundMasks:
        """Click on every point of a grid and keep the best mask of each object.

        Args:
            grid: `(n, 2)` fractions of the crop's width and height.
            on_clicks: Called after each batch with its number of clicks.

        Returns:
            The masks, best predicted IoU first; boxes and points in pixels of the photo.

        Source: sam2/automatic_mask_generator.py:254-304 @ 2b90b9f.
        Differs: masks that are dropped are never upsampled, and run lengths are made later.
        """
        height, width = self.crop.size
        clicks_n2 = torch.as_tensor(grid * np.array([width, height]), dtype=torch.float32)
        parts = []
        for batch_n2 in clicks_n2.split(self.options.points_per_batch or max(len(clicks_n2), 1)):
            parts.append(self._keep_good(batch_n2))
            on_clicks(len(batch_n2))
        found = FoundMasks.joined(parts)
        kept = nms(found.boxes_m4.float(), found.iou_m, self.options.box_nms_thresh)
        found = found.pick(kept)
        left_top = torch.tensor(self.crop.xyxy[:2], device=found.points_m2.device)
        return FoundMasks(
            found.logits_mhw,
            found.iou_m,
            found.stability_m,
            uncrop_boxes(found.boxes_m4, self.crop.xyxy),
            found.points_m2 + left_top,
        )

    def _keep_good(self, clicks_n2: Tensor) -> FoundMasks:
        """Decode a batch of clicks and apply every threshold; pixels of the crop.

        Source: sam2/automatic_mask_generator.py:306-384 @ 2b90b9f.
        """
        options = self.options
        clicks_n2 = clicks_n2.to(self.embeddings[-1].device)
        if options.use_m2m:
            drawn = self._refined(clicks_n2)
        else:
            drawn = self._decode(clicks_n2, multimask=options.multimask_output, gated=True)
        logits_mhw = clean_masks(
            drawn.logits_mhw.float(),
            options.hole_area,
            options.sprinkle_area,
            options.mask_threshold,
        )
        measured = upsampled_statistics(
            logits_mhw,
            self.crop.size,
            threshold=options.mask_threshold,
            offset=options.stability_score_offset,
        )
        found = FoundMasks(
            logits_mhw,
            drawn.iou_m.float(),
            measured.stability_m,
            measured.boxes_m4,
            clicks_n2[drawn.prompt_m],
        )
        keep_m = ~near_crop_edge(found.boxes_m4, self.crop.xyxy, self.photo_size)
        if options.stability_score_thresh > 0:
            # an empty mask's stability is NaN, which fails every comparison
            keep_m &= found.stability_m >= options.stability_score_thresh
        return found.pick(keep_m)

    def _refined(self, clicks_n2: Tensor) -> GatedMasks:
        """Decode clicks, then again with each mask as a prompt; the IoU gate comes after that.

        Source: sam2/automatic_mask_generator.py:344-359 and 434-454 @ 2b90b9f.
        """
        first = self._decode(clicks_n2, multimask=self.options.multimask_output, gated=False)
        prompts_mhw = first.logits_mhw.clamp(-MOST_LOGIT, MOST_LOGIT)
        parts = []
        for start, mask_prompts_mhw in self._batches(prompts_mhw):
            prompt_m = first.prompt_m[start : start + len(mask_prompts_mhw)]
            second = self._decode(
                clicks_n2[prompt_m], mask_prompts_mhw, multimask=False, gated=True
            )
            parts.append((second.logits_mhw, second.iou_m, prompt_m[second.prompt_m]))
        return GatedMasks(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def _batches(self, masks_mhw: Tensor) -> Iterator[tuple[int, Tensor]]:
        step = self.options.points_per_batch or max(len(masks_mhw), 1)
        for start in range(0, len(masks_mhw), step):
            yield start, masks_mhw[start : start + step]

    def _decode(
        self, clicks_n2: Tensor, masks_nhw: Tensor | None = None, *, multimask: bool, gated: bool
    ) -> GatedMasks:
        """Decode clicks, each a separate object."""
        points_n2 = to_model_pixels(clicks_n2, self.crop.size, self.model_size)
        return self.model.decode_gated(
            self.embeddings,
            points_n2[None, :, None],
            torch.ones_like(points_n2[None, :, :1], dtype=torch.int64),
            None if masks_nhw is None else masks_nhw[None],
            multimask_output=multimask,
            min_iou=self.options.pred_iou_thresh if gated else KEEP_ALL,
        )
