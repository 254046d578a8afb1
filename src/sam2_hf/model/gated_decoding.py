"""Draw only masks worth drawing: everything-mode asks a thousand prompts and keeps a few.

Suffixes: p = prompts, m = masks, n = cells of the image embedding, c = channels, h, w = rows and
columns.
"""

import torch
from torch import Tensor

from .mask_choice import choose_single
from .mask_decoder import MaskDecoder
from .outputs import DecodedMasks, DecodedTokens, GatedMasks

PROMPTS_AT_ONCE = (
    4  # their upscaled features, 8 MiB each, are read back before they leave the cache
)


def decode_gated(
    decoder: MaskDecoder,
    tokens: DecodedTokens,
    image_embeddings: list[Tensor],
    *,
    multimask: bool,
    min_iou: float,
) -> GatedMasks:
    """Draw the candidates of one picture whose predicted IoU exceeds a gate.

    Args:
        decoder: The mask decoder.
        tokens: Its tokens for the prompts of one picture.
        image_embeddings: The picture's maps at strides 4, 8 and 16.
        multimask: Offer the three masks of each prompt, or the single one (with its stability
            fallback).
        min_iou: Probability; 0 or less keeps every mask.

    Source: sam2/automatic_mask_generator.py:310-342 @ 2b90b9f.
    Differs: the gate comes before the drawing. The same masks pass, since the predicted IoU does
        not depend on the drawn mask.
    """
    iou_pm = tokens.iou_bpm[0]
    wanted_pm = torch.ones_like(iou_pm, dtype=torch.bool) if min_iou <= 0 else iou_pm > min_iou
    if multimask:
        wanted_pm = wanted_pm & (torch.arange(iou_pm.shape[1], device=iou_pm.device) > 0)
    drawn: list[tuple[Tensor, Tensor]] = []
    chosen: list[Tensor] = []
    # splitting no prompts gives one empty part, so there is always something to join
    for prompts_p in wanted_pm.any(dim=1).nonzero()[:, 0].split(PROMPTS_AT_ONCE):
        logits_pmhw = _draw(decoder, tokens, image_embeddings, prompts_p)
        if multimask or not decoder.config.dynamic_multimask_via_stability:
            mask_pm = (
                wanted_pm[prompts_p] if multimask else wanted_pm[prompts_p] & _only_first(iou_pm)
            )
        else:
            choice_p1 = choose_single(logits_pmhw[None], iou_pm[prompts_p][None], decoder.config)[0]
            mask_pm = (
                torch.zeros_like(wanted_pm[prompts_p]).scatter(1, choice_p1, value=True)
                & wanted_pm[prompts_p]
            )
        index_m, mask_m = mask_pm.nonzero(as_tuple=True)
        drawn.append((logits_pmhw[index_m, mask_m], iou_pm[prompts_p[index_m], mask_m]))
        chosen.append(prompts_p[index_m])
    logits_mhw, iou_m = (torch.cat(parts) for parts in zip(*drawn, strict=True))
    return GatedMasks(logits_mhw, iou_m, torch.cat(chosen))


def gated(decoded: DecodedMasks, min_iou: float) -> GatedMasks:
    """Choose the masks that `decode_gated` draws from all masks of one picture.

    Args:
        decoded: What a call of the mask decoder returned.
        min_iou: As in `decode_gated`.
    """
    iou_pm = decoded.iou_bpm[0]
    wanted_pm = torch.ones_like(iou_pm, dtype=torch.bool) if min_iou <= 0 else iou_pm > min_iou
    index_m = wanted_pm.nonzero()[:, 0]
    return GatedMasks(decoded.logits_bpmhw[0][wanted_pm], iou_pm[wanted_pm], index_m)


def _draw(
    decoder: MaskDecoder, tokens: DecodedTokens, image_embeddings: list[Tensor], prompts_p: Tensor
) -> Tensor:
    """Draw all candidates of some prompts, `(p, m, h, w)`."""
    return decoder.draw(
        tokens.image_bpnc[:, prompts_p], tokens.mask_tokens_bpmc[:, prompts_p], image_embeddings
    )[0]


def _only_first(iou_pm: Tensor) -> Tensor:
    """Mark the single mask among the candidates."""
    return torch.arange(iou_pm.shape[1], device=iou_pm.device) == 0
