"""What training minimises: how far masks, their predicted quality and presence are from labels.

Suffixes: b = objects, m = candidate masks of an object, n = cells of a mask, h, w = rows and
columns. Everything is float32, whatever autocast says.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from .mask_comparison import FocalRule, compare_masks

NOT_NEGATIVE = (
    "focal",
    "dice",
    "iou",
    "object_score",
    "focal_gamma",
    "object_score_gamma",
    "others",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRules:
    """How losses are weighed and compared; the defaults are those of the released models.

    Attributes:
        focal: Weight of the focal loss.
        dice: Weight of the dice loss.
        iou: Weight of the error of the predicted IoU.
        object_score: Weight of the loss of the object score.
        focal_alpha: Weight of pixels of the object, 1 - alpha that of others; negative for none.
        focal_gamma: How much pixels that are already right are left out.
        others: Share of the mask losses that candidates other than the best bear together. Above 0,
            each also learns what the object usually is (Rupprecht et al., arXiv:1612.00197).
        supervise_all_iou: Whether every candidate's predicted IoU is supervised, or the best
            one's alone.
        iou_l1: Whether the error of the predicted IoU is absolute, or squared.
        scores_objects: Whether absence is learnt by the object score. If not, there is no such
            loss, and absent objects are taught empty masks.
        object_score_gamma: As `focal_gamma`, for the object score.
        object_score_alpha: As `focal_alpha`, for the object score.
        loss_size: Side at which masks are compared; None for that of the labels. A quarter of it
            costs a sixteenth, and compares what enlarging to the nearest pixel would show.
    """

    focal: float = 20.0
    dice: float = 1.0
    iou: float = 1.0
    object_score: float = 1.0
    focal_alpha: float = 0.25
    focal_gamma: float = 2.0
    others: float = 0.0
    supervise_all_iou: bool = True
    iou_l1: bool = True
    scores_objects: bool = True
    object_score_gamma: float = 0.0
    object_score_alpha: float = -1.0
    loss_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        for name in NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must be 0 or more.")
        for name in ("focal_alpha", "object_score_alpha", "others"):
            if getattr(self, name) > 1:
                raise ValueError(
                    f"{name}={getattr(self, name)} must be at most 1; alphas below 0 weigh nothing."
                )
        if self.loss_size is not None and self.loss_size < 1:
            raise ValueError(f"loss_size={self.loss_size} must be 1 or more, or None.")


@dataclass(frozen=True, slots=True, eq=False)
class MaskLosses:
    """The terms of the loss, not weighed, summed over objects; scalars.

    Attributes:
        focal: Focal loss of the supervised masks, mean over pixels.
        dice: Dice loss of the supervised masks.
        iou: Error of the predicted IoU.
        object_score: Loss of the object score.
    """

    focal: Tensor
    dice: Tensor
    iou: Tensor
    object_score: Tensor

    def __add__(self, other: Self) -> "MaskLosses":
        return MaskLosses(
            self.focal + other.focal,
            self.dice + other.dice,
            self.iou + other.iou,
            self.object_score + other.object_score,
        )

    def divided(self, num_objects: float) -> "MaskLosses":
        """Divide every term by the number of objects it is a mean over."""
        return MaskLosses(
            self.focal / num_objects,
            self.dice / num_objects,
            self.iou / num_objects,
            self.object_score / num_objects,
        )

    def total(self, rules: LossRules) -> Tensor:
        """Weigh the terms and add them up."""
        return (
            rules.focal * self.focal
            + rules.dice * self.dice
            + rules.iou * self.iou
            + rules.object_score * self.object_score
        )


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """True masks as losses compare them; made once for all answers on a frame.

    Attributes:
        share_bn: How much of each cell belongs to the object, 0 to 1.
        present_b1: Whether the object is there at all, 0 or 1.
        size: Rows and columns of the cells.
        pixels_per_cell: How many pixels of the true mask a cell stands for.
    """

    share_bn: Tensor
    present_b1: Tensor
    size: tuple[int, int]
    pixels_per_cell: float


def read_labels(masks_bhw: Tensor, rules: LossRules) -> Labels:
    """Bring true masks to the size at which they are compared, by area.

    Args:
        masks_bhw: True masks, bool, or numbers above 0 for the object.
        rules: Says the size.
    """
    masks_bhw = masks_bhw > 0
    present_b1 = masks_bhw.flatten(1).any(dim=1, keepdim=True).float()
    height, width = masks_bhw.shape[-2:]
    size = (height, width) if rules.loss_size is None else (rules.loss_size,) * 2
    share_b1hw = masks_bhw.float()[:, None]
    if size != (height, width):
        share_b1hw = functional.interpolate(share_b1hw, size, mode="area")
    pixels_per_cell = (height * width) / (size[0] * size[1])
    return Labels(share_b1hw.flatten(1), present_b1, size, pixels_per_cell)


def mask_losses(
    candidates_bmhw: Tensor, iou_bm: Tensor, score_b1: Tensor, labels: Labels, rules: LossRules
) -> tuple[MaskLosses, Tensor]:
    """Compare one answer with the true masks.

    Of several candidates the one of least focal and dice loss is supervised; see `rules.others`.

    Args:
        candidates_bmhw: Mask logits, resized to the labels if need be.
        iou_bm: Their predicted IoU, probability.
        score_b1: Object scores, logits.
        labels: What `read_labels` made of the true masks.
        rules: How to compare.

    Returns:
        Sums over objects, of which those that are absent take part in the object score alone; and
        the true IoU of every candidate, `(b, m)`, 0 where there is no object.

    Source: training/loss_fns.py:145-301 @ 2b90b9f.
    Differs: the search for the best candidate is not differentiated, which leaves the gradients as
        they are. At a smaller `loss_size` every term is what the original's would be if it enlarged
        masks to the nearest pixel.
    """
    with torch.autocast(candidates_bmhw.device.type, enabled=False):
        focal_b1, dice_b1, best_b1, true_iou_bm = _compare(candidates_bmhw, labels, rules)
        error_bm = iou_bm.float() - true_iou_bm
        error_bm = error_bm.abs() if rules.iou_l1 else error_bm.square()
        if rules.supervise_all_iou:
            error_b1 = error_bm.mean(dim=1, keepdim=True)
        else:
            error_b1 = error_bm.gather(1, best_b1)
        score_loss = score_b1.new_zeros((), dtype=torch.float32)
        weight_b1 = labels.present_b1
        if rules.scores_objects:
            rule = FocalRule(rules.object_score_alpha, rules.object_score_gamma)
            score_loss = rule.loss(score_b1.float(), weight_b1).sum()
        else:
            weight_b1 = torch.ones_like(weight_b1)
        losses = MaskLosses(
            (focal_b1 * weight_b1).sum(),
            (dice_b1 * weight_b1).sum(),
            (error_b1 * weight_b1).sum(),
            score_loss,
        )
        return losses, true_iou_bm


def _compare(
    candidates_bmhw: Tensor, labels: Labels, rules: LossRules
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute focal and dice loss, and find the index of the best candidate and the IoU of all."""
    count = candidates_bmhw.shape[1]
    if count == 1:
        focal_b1, dice_b1, iou_b1 = _compare_each(candidates_bmhw, labels, rules)
        return focal_b1, dice_b1, torch.zeros_like(iou_b1, dtype=torch.int64), iou_b1
    with torch.set_grad_enabled(torch.is_grad_enabled() and rules.others > 0):
        focal_bm, dice_bm, iou_bm = _compare_each(candidates_bmhw, labels, rules)
    cost_bm = (rules.focal * focal_bm + rules.dice * dice_bm).detach()
    best_b1 = cost_bm.argmin(dim=1, keepdim=True)
    if rules.others > 0:
        share_bm = torch.full_like(cost_bm, rules.others / (count - 1))
        share_bm.scatter_(1, best_b1, 1 - rules.others)
        focal_b1, dice_b1 = ((share_bm * one).sum(1, keepdim=True) for one in (focal_bm, dice_bm))
        return focal_b1, dice_b1, best_b1, iou_bm.detach()
    best_b1hw = candidates_bmhw.take_along_dim(best_b1[..., None, None], dim=1)
    focal_b1, dice_b1, _ = _compare_each(best_b1hw, labels, rules)
    return focal_b1, dice_b1, best_b1, iou_bm


def _compare_each(
    logits_bmhw: Tensor, labels: Labels, rules: LossRules
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute focal loss, dice loss and true IoU of all candidates."""
    shape = logits_bmhw.shape[:2]
    focal_k, dice_k, iou_k = compare_masks(
        logits_bmhw.flatten(0, 1).float(),
        labels.share_bn.repeat_interleave(shape[1], dim=0) if shape[1] > 1 else labels.share_bn,
        labels.size,
        FocalRule(rules.focal_alpha, rules.focal_gamma),
        labels.pixels_per_cell,
    )
    return focal_k.reshape(shape), dice_k.reshape(shape), iou_k.reshape(shape)
