"""A model in which everything that is read changes what comes out, in microseconds.

It has the steps of the real one and none of its meaning: each output is a mixture of all inputs,
and another memory, age, pointer, click or earlier mask gives another mixture. Steps are taken in
float64 and rounded to 1024ths, so numbers depend neither on how objects are grouped nor on the
order of sums.

Suffixes: b = objects, p = pointers, h, w = rows and columns.
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from sam2_hf.model.outputs import FrameFeatures, ObjectMasks

SIDE, CELLS, LOGITS = 16, 4, 8  # model input, side of the embedding, and of the logits
SPREAD = 6.0  # of logits


class MixingModel:
    """See above."""

    def __init__(self):
        self.config = SimpleNamespace(
            num_maskmem=7,
            max_object_pointers_in_encoder=16,
            max_cond_frame_num=-1,
            multimask_output_in_sam=True,
            multimask_output_for_tracking=True,
            multimask_min_pt_num=0,
            multimask_max_pt_num=1,
        )
        self.num_maskmem = self.config.num_maskmem
        self.image_size = SIDE
        self.device, self.dtype = torch.device("cpu"), torch.float32
        self.training = False
        self.vision_encoder = nn.Identity()
        self.mask_decoder = SimpleNamespace(
            narrows=True, conv_s0=nn.Identity(), conv_s1=nn.Identity()
        )

    def encode_image(self, pixel_values) -> FrameFeatures:
        means = torch.nn.functional.avg_pool2d(pixel_values, SIDE // CELLS).sum(1, keepdim=True)
        means = _rounded(means)
        return FrameFeatures(means, means, _rounded(means.double().tanh()))

    def condition_on_memory(self, features, recollection) -> Tensor:
        embedding = features.embedding_bchw.double()
        if recollection is None:
            return _rounded(embedding + 0.5)
        for memory, age in zip(recollection.spatial, recollection.ages, strict=True):
            embedding = embedding + 0.3 * memory.double() * (1 + 0.37 * age)
        if recollection.pointers_bpd is not None:
            weights_bp1 = (1.3 + 2.1 * recollection.times_bp.double())[..., None]
            mixed_bd = (recollection.pointers_bpd * weights_bp1).sum(1)
            embedding = embedding + 0.2 * mixed_bd[:, :1, None, None]
        return _rounded(embedding.sin())

    def decode_masks(
        self, features, embedding_bdhw, prompts, *, multimask_output, **options
    ) -> ObjectMasks:
        mixed = embedding_bdhw.double().repeat_interleave(2, -1).repeat_interleave(2, -2)
        if prompts.points_bpt2 is not None:
            labels = prompts.labels_bpt
            weights = 0.013 * torch.arange(1, labels.shape[-1] + 1) * (labels + 1.7)
            points_bp = (prompts.points_bpt2.double().sum(-1) * weights).sum(-1)
            mixed = mixed + points_bp[..., None, None]
        if prompts.masks_bphw is not None:
            mixed = mixed + 0.1 * prompts.masks_bphw
        return _masks((mixed + 0.21 * multimask_output).sin() * SPREAD, features)

    def use_mask_as_output(self, features, mask_b1hw) -> ObjectMasks:
        full_b1hw = mask_b1hw.float() * 20 - 10
        low_b1hw = torch.nn.functional.avg_pool2d(full_b1hw, SIDE // LOGITS)
        return _masks(low_b1hw, features, full_b1hw)

    def encode_memory(self, features, logits_b1hw, score_b1, *, binarize) -> Tensor:
        logits = logits_b1hw.double()
        values = (logits > 0).double() if binarize else logits.sigmoid()
        seen = torch.nn.functional.adaptive_avg_pool2d(values, CELLS)
        mixed = seen * 2 + features.embedding_bchw + 0.1 * score_b1[..., None, None]
        return _rounded(mixed.sin())


def _masks(logits_b1hw, features, full_b1hw=None):
    logits_b1hw = _rounded(logits_b1hw).double()
    score_b1 = logits_b1hw.mean((2, 3)).sin() + 0.5 * features.fine_bchw.double().mean((2, 3)).sin()
    iou_b1 = (logits_b1hw * logits_b1hw.roll(1, -1)).mean((2, 3)).sigmoid()
    pointer_bd = torch.cat((logits_b1hw.amax((2, 3)).sin() + score_b1, score_b1), dim=1)
    logits, iou, pointer, score = map(_rounded, (logits_b1hw, iou_b1, pointer_bd, score_b1))
    return ObjectMasks(logits, iou, logits, iou, pointer, score, full_b1hw)


def _rounded(values):
    return ((values * 1024).round() / 1024).float()
