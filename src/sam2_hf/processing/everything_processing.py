"""The processor's steps of mask generation, as `pipeline("mask-generation")` calls them.

Suffixes: g = crops, n = points of one crop, m = masks, h, w = rows and columns, 2 = x and y,
4 = x0, y0, x1, y1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.boxes import near_crop_edge, nms, uncrop_boxes
from sam2_hf.errors import PromptError
from sam2_hf.geometry import crop_boxes, point_grids_per_layer, to_model_pixels
from sam2_hf.masks import masks_to_boxes, stability_score
from sam2_hf.rle import Rle, decode, encode_all

from .prompt_checks import PADDING_LABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class CropPlan:
    """Layers of crops and density of their points.

    Attributes:
        num_layers: Layers of crops beside the whole picture.
        overlap_ratio: Overlap in the first layer, as a fraction of the shorter side.
        points_per_side: Points along a side of the whole picture.
        downscale: Factor by which each further layer is sparser.
    """

    num_layers: int = 0
    overlap_ratio: float = 512 / 1500
    points_per_side: int = 32
    downscale: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Crops:
    """Crops of one picture, and the points to click in them.

    Attributes:
        boxes_g4: `(g, 4)`, float32, pixels of the picture.
        points_1ng2: `(1, n, g, 2)`, model pixels of each crop.
        labels_1ng: `(1, n, g)`, int64; -10 pads sparser crops.
        images: Each `(3, h, w)`.
    """

    boxes_g4: Tensor
    points_1ng2: Tensor
    labels_1ng: Tensor
    images: list[Tensor]


def cut_crops(image_3hw: Tensor, model_size: int, plan: CropPlan) -> Crops:
    """Cut a picture into crops with grids of points.

    Args:
        image_3hw: The picture.
        model_size: Input size of the model, such as 1024.
        plan: Layers and densities.

    Source: sam2/automatic_mask_generator.py:203-262 @ 2b90b9f.
    Differs from transformers: x and y are each scaled by their own side, not both by the longer
        one, which leaves part of a non-square picture unsearched; and sparser crops are padded
        instead of refused.

    Raises:
        PromptError: A layer would have no point.
    """
    if int(plan.points_per_side / plan.downscale**plan.num_layers) < 1:
        raise PromptError(
            f"crop layer {plan.num_layers} would have no point: {plan.points_per_side} points per "
            f"side are divided by {plan.downscale} in each layer. Use more points or fewer layers."
        )
    _, height, width = image_3hw.shape
    boxes, layers = crop_boxes((height, width), plan.num_layers, plan.overlap_ratio)
    grids = point_grids_per_layer(plan.points_per_side, plan.num_layers, plan.downscale)
    points, images = [], []
    for (left, top, right, bottom), layer in zip(boxes, layers, strict=True):
        size = (bottom - top, right - left)
        pixels_n2 = torch.from_numpy(grids[layer] * [size[1], size[0]]).to(torch.float32)
        points.append(to_model_pixels(pixels_n2, size, model_size))
        images.append(image_3hw[:, top:bottom, left:right].contiguous())
    most = max(len(points_n2) for points_n2 in points)
    padded = [_pad_rows(points_n2, most) for points_n2 in points]
    points_1ng2 = torch.stack(padded, dim=1)[None]
    labels_1ng = torch.where((points_1ng2 == PADDING_LABEL).all(dim=-1), PADDING_LABEL, 1)
    return Crops(
        boxes_g4=torch.tensor(boxes, dtype=torch.float32),
        points_1ng2=points_1ng2,
        labels_1ng=labels_1ng,
        images=images,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterRules:
    """Thresholds of mask quality.

    Attributes:
        pred_iou_thresh: The predicted IoU must be above it; 0 lets all pass.
        stability_score_thresh: The stability score must be at least this; 0 lets all pass.
        mask_threshold: Threshold of a mask, logits.
        stability_score_offset: Shift of it for the stability score.
    """

    pred_iou_thresh: float = 0.88
    stability_score_thresh: float = 0.95
    mask_threshold: float = 0.0
    stability_score_offset: float = 1.0


def filter_masks(
    logits_mhw: Tensor,
    iou_m: Tensor,
    original_size: tuple[int, int],
    crop_box: Sequence[float],
    rules: FilterRules,
) -> tuple[list[Rle], Tensor, Tensor]:
    """Drop poor masks and those cut off by a crop; map the rest to the whole picture.

    Args:
        logits_mhw: Masks at the size of the crop, logits.
        iou_m: Predicted IoU.
        original_size: `(height, width)` of the picture.
        crop_box: The crop in the picture.
        rules: Thresholds.

    Returns:
        Run lengths, predicted IoU `(kept,)` and boxes `(kept, 4)`, in pixels of the picture.

    Source: sam2/automatic_mask_generator.py:314-382 @ 2b90b9f.
    Differs from transformers: `>=` for stability, as in the original; the cheap test comes first.
    """
    good_m = torch.ones_like(iou_m, dtype=torch.bool)
    if rules.pred_iou_thresh > 0:
        good_m = iou_m > rules.pred_iou_thresh
    rles: list[Rle] = []
    rows: list[int] = []
    boxes_n4 = [torch.zeros((0, 4), dtype=torch.int64, device=logits_mhw.device)]
    for row in good_m.nonzero()[:, 0].tolist():  # one by one: full-size maps are large
        mask_1hw = _stable_mask(logits_mhw[row : row + 1], rules)
        if mask_1hw is None:
            continue
        box_14 = masks_to_boxes(mask_1hw)
        if near_crop_edge(box_14, crop_box, original_size).item():
            continue
        rles += encode_all(_uncrop(mask_1hw, crop_box, original_size))
        rows.append(row)
        boxes_n4.append(uncrop_boxes(box_14, crop_box))
    return rles, iou_m[rows], torch.cat(boxes_n4)


def suppress_repeats(
    rles: Sequence[Rle], iou_m: Tensor, boxes_m4: Tensor, threshold: float
) -> tuple[list[Tensor], Tensor, list[Rle], Tensor]:
    """Non-maximum suppression: keep the best of masks whose boxes overlap.

    Returns:
        Boolean masks `(h, w)`, predicted IoU, run lengths and boxes of the kept ones, best first.
    """
    keep = nms(boxes_m4.to(torch.float32), iou_m, threshold)
    kept_rles = [rles[index] for index in keep.tolist()]
    masks = [torch.from_numpy(decode(rle)) for rle in kept_rles]
    return masks, iou_m[keep], kept_rles, boxes_m4[keep]


def _pad_rows(points_n2: Tensor, count: int) -> Tensor:
    missing = count - len(points_n2)
    return functional.pad(points_n2, (0, 0, 0, missing), value=float(PADDING_LABEL))


def _stable_mask(logits_1hw: Tensor, rules: FilterRules) -> Tensor | None:
    """Binarize one map; None if its stability score is too low."""
    if rules.stability_score_thresh > 0:
        score_1 = stability_score(logits_1hw, rules.mask_threshold, rules.stability_score_offset)
        # an empty mask has no score and is dropped
        if not (score_1 >= rules.stability_score_thresh).item():
            return None
    return logits_1hw > rules.mask_threshold


def _uncrop(masks_mhw: Tensor, crop_box: Sequence[float], size: tuple[int, int]) -> Tensor:
    """Put masks of a crop into the frame of the picture."""
    left, top, right, bottom = (int(edge) for edge in crop_box)
    height, width = size
    return functional.pad(masks_mhw, (left, width - right, top, height - bottom), value=0)
