"""Compare mask logits with true masks at full size without ever holding full-size maps.

A decoder's masks have a sixteenth of the pixels of the true ones. They are enlarged, compared and
dropped, a few at a time; kept for the backward pass are the gradients at the decoder's size. The
numbers are those of enlarging everything first.

Suffixes: k = masks, n = pixels of a true mask, h, w = rows and columns.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

# Pixels that are compared at once: a CPU holds them in its caches, a GPU is kept busy.
PIXELS_AT_ONCE_CPU, PIXELS_AT_ONCE_GPU = 2**18, 2**26


@dataclass(frozen=True, slots=True)
class FocalRule:
    """A focal loss.

    Attributes:
        alpha: Weight of the object, 1 - alpha that of the rest; negative for 1 and 1.
        gamma: Power of the probability of being wrong.
    """

    alpha: float
    gamma: float

    @property
    def weights(self) -> tuple[float, float]:
        """Weights of the object and of the rest."""
        return (self.alpha, 1.0 - self.alpha) if self.alpha >= 0 else (1.0, 1.0)

    def loss(self, logits: Tensor, share: Tensor) -> Tensor:
        """Compute the loss of each logit.

        Args:
            logits: Logits of any shape.
            share: How much of each is the object, 0 to 1; the loss is linear in it.

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
        share_kn: How much of each pixel of the label belongs to the object, 0 to 1.
        size: Rows and columns of the labels.
        rule: The focal loss.
        pixels_per_cell: How many pixels of the true mask a pixel of the label stands for.

    Returns:
        Three of `(k,)`; the IoU carries no gradient, and is 0 where both masks are empty.

    Source: training/loss_fns.py:19-106 @ 2b90b9f.
    Differs: dice and IoU count pixels of the true mask, whatever the size of the labels.
    """
    return _Comparison.apply(logits_khw, share_kn, size, rule, pixels_per_cell)


class _Comparison(torch.autograd.Function):
    """Both losses with gradients made on the way, while the enlarged masks are at hand."""

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
        ctx: Any,  # noqa: ANN401 - likewise
        of_focal_k: Tensor,
        of_dice_k: Tensor,
        _: Tensor,
    ) -> tuple[Tensor | None, ...]:
        """Weigh the gradients of both losses."""
        focal_khw, dice_khw = ctx.saved_tensors
        slope_khw = focal_khw * of_focal_k[:, None, None]
        return slope_khw.addcmul_(dice_khw, of_dice_k[:, None, None]), None, None, None, None


def _compared(
    logits_kn: Tensor, share_kn: Tensor, rule: FocalRule, one: float, *, learns: bool
) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[Tensor, ...]]:
    """Compute focal loss, dice loss and IoU, and the gradients of the losses if they are needed."""
    mask_kn = torch.gt(logits_kn, 0.0, out=torch.empty_like(logits_kn))  # 0.0 and 1.0
    size_k = share_kn.sum(dim=1)
    both_k = _dot(mask_kn, share_kn)
    iou_k = both_k / (mask_kn.sum(dim=1) + size_k - both_k).clamp(min=one)
    prob_kn, rest_kn = logits_kn.sigmoid(), functional.softplus(logits_kn)
    fail_kn, object_kn = 1.0 - prob_kn, rest_kn - logits_kn
    of_object, of_rest = (weight / logits_kn.shape[1] for weight in rule.weights)
    rest_factor_kn, object_factor_kn = _power(prob_kn, rule.gamma), _power(fail_kn, rule.gamma)
    rest_loss_kn = rest_kn * rest_factor_kn
    focal_k = of_object * _dot(object_kn * object_factor_kn, share_kn)
    focal_k += of_rest * (rest_loss_kn.sum(dim=1) - _dot(rest_loss_kn, share_kn))
    top_k = 2.0 * _dot(prob_kn, share_kn) + one
    bottom_k = prob_kn.sum(dim=1) + size_k + one
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


def _dot(one_kn: Tensor, other_kn: Tensor) -> Tensor:
    """Multiply and add up, row by row."""
    return torch.linalg.vecdot(one_kn, other_kn)


def _power(prob_kn: Tensor, gamma: float) -> Tensor:
    return prob_kn**gamma if gamma > 0 else torch.ones_like(prob_kn)


def _resizing_matrix(old: int, new: int, like: Tensor) -> Tensor | None:
    """Write bilinear resizing of one side as a matrix, `(new, old)`; None where nothing changes."""
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
    """Bring gradients back to the size that was resized."""
    down, across = matrices
    if down is not None:
        slope_khw = down.T @ slope_khw
    return slope_khw if across is None else slope_khw @ across
