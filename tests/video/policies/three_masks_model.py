"""The mixing model with three candidate masks, so that a policy has something to choose from.

Suffixes: b = objects, m = candidates, d = channels of a pointer.
"""

import torch

from sam2_hf.model.outputs import ObjectMasks
from tests.video.mixing_model import CELLS, LOGITS, MixingModel


class ThreeMasksModel(MixingModel):
    """See `MixingModel`; the candidates are its mask, shifted and turned upside down."""

    fingerprint = "0" * 64
    hidden_dim = 2
    mask_input_size = (LOGITS, LOGITS)
    memory_shape = (1, CELLS, CELLS)

    def decode_masks(self, features, embedding_bdhw, prompts, *, multimask_output, **options):
        found = super().decode_masks(
            features, embedding_bdhw, prompts, multimask_output=multimask_output, **options
        )
        if not multimask_output:
            return found
        logits = found.logits_b1hw
        candidates_bmhw = torch.cat((logits, logits.roll(2, -1), 0.5 - logits.flip(-2)), dim=1)
        places_hw = torch.arange(LOGITS * LOGITS, dtype=torch.float64).view(LOGITS, LOGITS)
        mixed_bm = (candidates_bmhw.double() * (places_hw * 0.7).cos()).sum((2, 3))
        iou_bm = ((mixed_bm.sin() * 3).sigmoid() * 1024).round().float() / 1024
        best_b1 = iou_bm.argmax(dim=-1, keepdim=True)
        score_b1 = ((found.score_b1.double() * 29).sin() * 1024).round().float() / 1024 * 4 + 1
        tokens_bmd = found.pointer_bd[:, None] + torch.arange(3)[:, None] / 8
        return ObjectMasks(
            candidates_bmhw,
            iou_bm,
            candidates_bmhw.take_along_dim(best_b1[..., None, None], dim=1),
            iou_bm.gather(1, best_b1),
            tokens_bmd.take_along_dim(best_b1[..., None], dim=1)[:, 0],
            score_b1,
            candidate_tokens_bmd=tokens_bmd,
        )

    def object_pointers(self, token_bd, score_b1):
        """The tokens are the pointers."""
        return token_bd
