"""Which of the decoder's candidate masks is the answer.

Suffixes: b = images, p = objects of an image, m = masks of an object, h, w = rows and columns.
"""

import torch
from torch import Tensor

from .configuration_sam2 import Sam2MaskDecoderConfig


def stability_bp(logits_bphw: Tensor, delta: float) -> Tensor:
    """Measure how little a mask changes with its threshold: IoU of the cuts at +delta and -delta.

    Args:
        logits_bphw: Mask logits.
        delta: Shift of the cut, logits.

    Returns:
        Stability, `(b, p)`, 0-1; 1 for a mask that is empty at both cuts.

    Source: sam2/modeling/sam/mask_decoder.py:246-256 @ 2b90b9f.
    """
    inner_bp = (logits_bphw > delta).sum(dim=(-2, -1)).float()
    outer_bp = (logits_bphw > -delta).sum(dim=(-2, -1)).float()
    return torch.where(outer_bp > 0, inner_bp / outer_bp, 1.0)


def choose_single(logits_bpmhw: Tensor, iou_bpm: Tensor, config: Sam2MaskDecoderConfig) -> Tensor:
    """Pick the single mask where it is stable, else the best of the others.

    Args:
        logits_bpmhw: All candidates, the single mask first.
        iou_bpm: Their predicted IoU.
        config: Where the cut and the wanted stability stand.

    Returns:
        Index of the chosen candidate, `(b, p, 1)` int64.

    Source: sam2/modeling/sam/mask_decoder.py:258-295 @ 2b90b9f.
    """
    stability = stability_bp(logits_bpmhw[:, :, 0], config.dynamic_multimask_stability_delta)
    best_bp = 1 + iou_bpm[:, :, 1:].argmax(dim=-1)
    is_stable_bp = stability >= config.dynamic_multimask_stability_thresh
    return torch.where(is_stable_bp, 0, best_bp)[..., None]
