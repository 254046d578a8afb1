"""Losses of masks, predicted IoU and object score, at the size of the true masks.

Decoded masks have a sixteenth of the pixels of the true ones. They are enlarged and compared a few
at a time; only the gradients at the decoder's size are kept for the backward pass. The results
equal those of enlarging everything first. Everything is float32, regardless of autocast.

Suffixes: b = objects, k, m = candidate masks of an object, n = pixels of a mask, h, w = rows and
columns.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Pixels compared at once: they fit a CPU's caches and keep a GPU busy.
PIXELS_AT_ONCE_CPU, PIXELS_AT_ONCE_GPU = 2**18, 2**26


@dataclass(frozen=True, slots=True)
class FocalRule:
    """A focal loss.

    Attributes:
        alpha: Weight of the object, 1 - alpha that of the background; negative for no weighting.
        gamma: Exponent of the error probability.
    """

    alpha: float
    gamma: float

    @property
    def weights(self) -> tuple[float, float]:
        """Weights of the object and of the background."""
        return (self.alpha, 1.0 - self.alpha) if self.alpha >= 0 else (1.0, 1.0)

    def loss(self, logits: Tensor, share: Tensor) -> Tensor:
        """Compute the loss of each logit.

        Args:
            logits: Logits of any shape.
            share: Target, the share of the object, 0 to 1; the loss is linear in it.

        Source: training/loss_fns.py:47-81 @ 2b90b9f.
        """
        of_object, of_rest = self.weights
        prob = logits.sigmoid()
        rest_loss = functional.softplus(logits)  # cross-entropy where there is no object
        object_loss = rest_loss - logits
        if self.gamma > 0:
            rest_loss = rest_loss * prob**self.gamma
            object_loss = object_loss * (1.0 - prob) ** self.gamma
        return of_object * share * object_loss + of_rest * (1.0 - share) * rest_loss


def compare_masks(
    logits_khw: Tensor,
    share_kn: Tensor,
    size: tuple[int, int],
    rule: FocalRule,
    pixels_per_cell: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute focal loss (mean over pixels), dice loss and IoU of each mask with its label.

    Args:
        logits_khw: Mask logits, float32, of any size.
        share_kn: Share of the object in each pixel of the label, 0 to 1.
        size: Rows and columns of the labels.
        rule: The focal loss.
        pixels_per_cell: Pixels of the true mask per pixel of the label.

    Returns:
        Three of `(k,)`; the IoU carries no gradient, and is 0 where both masks are empty.

    Source: training/loss_fns.py:19-106 @ 2b90b9f.
    Differs: dice and IoU count pixels of the true mask, whatever the size of the labels.
    """
    return _Comparison.apply(logits_khw, share_kn, size, rule, pixels_per_cell)


class _Comparison(torch.autograd.Function):
    """Both losses, with gradients computed in the forward pass while the enlarged masks exist."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch does not type its attributes
        logits_khw: Tensor,
        share_kn: Tensor,
        size: tuple[int, int],
        rule: FocalRule,
        pixels_per_cell: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Compare a few masks at a time."""
        learns = ctx.needs_input_grad[0]
        enlarge = [
            _resizing_matrix(old, new, logits_khw)
            for old, new in zip(logits_khw.shape[1:], size, strict=True)
        ]
        budget = PIXELS_AT_ONCE_CPU if logits_khw.device.type == "cpu" else PIXELS_AT_ONCE_GPU
        count = max(1, budget // share_kn.shape[1])
        rows, slopes = [], []
        parts = zip(logits_khw.split(count), share_kn.split(count), strict=True)
        for logits, share in parts:
            large = _resized(logits, enlarge).flatten(1)
            terms, found = _compared(large, share, rule, 1.0 / pixels_per_cell, learns=learns)
            rows.append(terms)
            slopes += [_shrunk(slope.unflatten(1, size), enlarge) for slope in found]
        if learns:
            ctx.save_for_backward(torch.cat(slopes[::2]), torch.cat(slopes[1::2]))
        focal_k, dice_k, iou_k = (torch.cat(parts) for parts in zip(*rows, strict=True))
        ctx.mark_non_differentiable(iou_k)
        return focal_k, dice_k, iou_k

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,  # noqa: ANN401 - torch does not type its attributes
        of_focal_k: Tensor,
        of_dice_k: Tensor,
        _: Tensor,
    ) -> tuple[Tensor | None, ...]:
        """Combine the gradients of both losses."""
        focal_khw, dice_khw = ctx.saved_tensors
        slope_khw = focal_khw * of_focal_k[:, None, None]
        return slope_khw.addcmul_(dice_khw, of_dice_k[:, None, None]), None, None, None, None


def _compared(
    logits_kn: Tensor, share_kn: Tensor, rule: FocalRule, unit: float, *, learns: bool
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
    """Compute focal loss, dice loss and IoU, and the gradients of the losses if they are needed."""
    mask_kn = torch.gt(logits_kn, 0.0, out=torch.empty_like(logits_kn))  # 0.0 and 1.0
    size_k = share_kn.sum(dim=1)
    both_k = _dot(mask_kn, share_kn)
    iou_k = both_k / (mask_kn.sum(dim=1) + size_k - both_k).clamp(min=unit)
    prob_kn, rest_kn = logits_kn.sigmoid(), functional.softplus(logits_kn)
    fail_kn, object_kn = 1.0 - prob_kn, rest_kn - logits_kn
    of_object, of_rest = (weight / logits_kn.shape[1] for weight in rule.weights)
    rest_factor_kn, object_factor_kn = _power(prob_kn, rule.gamma), _power(fail_kn, rule.gamma)
    rest_loss_kn = rest_kn * rest_factor_kn
    focal_k = of_object * _dot(object_kn * object_factor_kn, share_kn)
    focal_k += of_rest * (rest_loss_kn.sum(dim=1) - _dot(rest_loss_kn, share_kn))
    top_k = 2.0 * _dot(prob_kn, share_kn) + unit
    bottom_k = prob_kn.sum(dim=1) + size_k + unit
    terms = (focal_k, 1.0 - top_k / bottom_k, iou_k)
    if not learns:
        return terms, ()
    # derivatives by the logit: of softplus, prob; of prob, prob * fail
    rest_slope_kn = rest_kn.mul_(fail_kn).mul_(rule.gamma).add_(prob_kn).mul_(rest_factor_kn)
    object_slope_kn = object_kn.mul_(prob_kn).mul_(rule.gamma).add_(fail_kn).mul_(object_factor_kn)
    object_slope_kn.mul_(-of_object)
    rest_slope_kn.mul_(of_rest)
    focal_slope_kn = torch.lerp(rest_slope_kn, object_slope_kn, share_kn)
    dice_slope_kn = (share_kn * (-2.0 / bottom_k)[:, None]).add_((top_k / bottom_k**2)[:, None])
    return terms, (focal_slope_kn, dice_slope_kn.mul_(prob_kn).mul_(fail_kn))


def _dot(first_kn: Tensor, second_kn: Tensor) -> Tensor:
    """Compute the dot product of each row."""
    return torch.linalg.vecdot(first_kn, second_kn)


def _power(prob_kn: Tensor, gamma: float) -> Tensor:
    return prob_kn**gamma if gamma > 0 else torch.ones_like(prob_kn)


def _resizing_matrix(old: int, new: int, like: Tensor) -> Tensor | None:
    """Return bilinear resizing of one side as a matrix, `(new, old)`; None for equal sizes."""
    if old == new:
        return None
    each = torch.eye(old, dtype=like.dtype, device=like.device)[None]
    return functional.interpolate(each, new, mode="linear")[0].T.contiguous()


def _resized(map_khw: Tensor, matrices: list[Tensor | None]) -> Tensor:
    """Resize maps: first columns, then rows."""
    down, across = matrices
    if across is not None:
        map_khw = map_khw @ across.T
    return map_khw if down is None else down @ map_khw


def _shrunk(slope_khw: Tensor, matrices: list[Tensor | None]) -> Tensor:
    """Apply the transpose of `_resized` to gradients."""
    down, across = matrices
    if down is not None:
        slope_khw = down.T @ slope_khw
    return slope_khw if across is None else slope_khw @ across


@dataclass(frozen=True, slots=True, kw_only=True)
class LossRules:
    """Weights and options of the losses; the defaults are those of the released models.

    Attributes:
        focal: Weight of the focal loss.
        dice: Weight of the dice loss.
        iou: Weight of the error of the predicted IoU.
        object_score: Weight of the loss of the object score.
        focal_alpha: Weight of object pixels, 1 - alpha that of others; negative for no weighting.
        focal_gamma: Exponent that down-weights pixels that are already right.
        others: Share of the mask losses on all candidates but the best. Above 0, each candidate
            also learns the most likely object (Rupprecht et al., arXiv:1612.00197).
        supervise_all_iou: Whether the predicted IoU of every candidate is supervised, or of the
            best alone.
        iou_l1: Whether the error of the predicted IoU is absolute (L1) or squared.
        scores_objects: Whether the object score is trained. If not, absent objects are trained on
            empty masks.
        object_score_gamma: As `focal_gamma`, for the object score.
        object_score_alpha: As `focal_alpha`, for the object score.
        loss_size: Side at which masks are compared; None for that of the labels. A quarter of the
            side costs a sixteenth and equals nearest-neighbor enlargement.
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
        """Check ranges."""
        weights = ("focal", "dice", "iou", "object_score", "others")
        for name in (*weights, "focal_gamma", "object_score_gamma"):
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
    """Unweighted terms of the loss, summed over objects; scalars.

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
        """Divide every term by the number of objects."""
        return MaskLosses(
            self.focal / num_objects,
            self.dice / num_objects,
            self.iou / num_objects,
            self.object_score / num_objects,
        )

    def total(self, rules: LossRules) -> Tensor:
        """Return the weighted sum of the terms."""
        return (
            rules.focal * self.focal
            + rules.dice * self.dice
            + rules.iou * self.iou
            + rules.object_score * self.object_score
        )


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """True masks prepared for the losses; shared by all predictions on a frame.

    Attributes:
        share_bn: Share of the object in each cell, 0 to 1.
        present_b1: Whether the object is present, 0 or 1.
        size: Rows and columns of the cells.
        pixels_per_cell: Pixels of the true mask per cell.
    """

    share_bn: Tensor
    present_b1: Tensor
    size: tuple[int, int]
    pixels_per_cell: float


def read_labels(masks_bhw: Tensor, rules: LossRules) -> Labels:
    """Area-resize true masks to the size at which they are compared.

    Args:
        masks_bhw: True masks, bool, or numbers above 0 for the object.
        rules: Holds the size.
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
    """Compare one prediction with the true masks.

    Of several candidates the one with the lowest focal and dice loss is supervised; see
    `rules.others`.

    Args:
        candidates_bmhw: Mask logits, resized to the labels if needed.
        iou_bm: Their predicted IoU, probability.
        score_b1: Object scores, logits.
        labels: The true masks, from `read_labels`.
        rules: Loss options.

    Returns:
        Sums over objects, absent ones only in the object score; and the true IoU of every
        candidate, `(b, m)`, 0 where there is no object.

    Source: training/loss_fns.py:145-301 @ 2b90b9f.
    Differs: the search for the best candidate is not differentiated, which does not change
        gradients. At a smaller `loss_size` every term equals the original's with nearest-neighbor
        enlargement.
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
        focal_b1, dice_b1 = (
            (share_bm * loss_bm).sum(1, keepdim=True) for loss_bm in (focal_bm, dice_bm)
        )
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
