"""Values of mask prompts: one rule of interpretation for photos and videos.

The type of the values and their range decide which pixels are the object:

| values | object where |
|---|---|
| booleans | true |
| whole numbers from 0, such as 0 and 1, 0 and 255, or labels; of any type | not 0 |
| floats from 0 to 1: probabilities, soft edges | at least 0.5 after resizing |
| floats on both sides of 0, or all below it: logits | above 0 |

Other values are ambiguous and refused: nonnegative floats that are neither whole nor within 0-1,
floats that leave 0-1 only slightly, negative whole numbers, NaN.

A photo's mask may also be an earlier answer of the model, which is smaller than the photo. At that
size floats up to 32 that are not all whole count as logits even if all are positive, which happens
where the object fills the photo.

Suffixes: h, w = rows and columns.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import UNREADABLE

Mask = np.ndarray | Tensor | Image.Image
MASK_DIMENSIONS = 2
MASK_THRESHOLD = 0.5  # of probabilities, and of resized masks
ROUNDING_SLACK = 1e-3  # probabilities this far beyond 0-1 come from rounding
MOST_LOGIT = 32.0  # answers are clamped to this, as in the original
DRAWN_LOGIT = 10.0  # of a binary mask as logits; sigmoid(10) = 0.99995
RINGING = 0.25  # overshoot of bicubic resizing of zeros and ones


def one_map(mask: Mask, what: str) -> Tensor:
    """Read a single map from an array, tensor or picture.

    Args:
        mask: `(height, width)`, also with leading axes of length 1.
        what: Name of the mask, for messages.

    Returns:
        `(height, width)`, on the CPU.

    Raises:
        PromptError: It is not one map.
    """
    try:
        # a copy: torch warns of read-only arrays
        array = mask if isinstance(mask, Tensor) else np.array(mask)
        mask_hw = torch.as_tensor(array).detach().cpu()
    except UNREADABLE:
        mask_hw = torch.zeros(0)
    while mask_hw.ndim > MASK_DIMENSIONS and mask_hw.shape[0] == 1:
        mask_hw = mask_hw[0]
    if mask_hw.ndim != MASK_DIMENSIONS or not mask_hw.numel() or mask_hw.is_complex():
        raise PromptError(
            f"{what} has the shape {tuple(mask_hw.shape)}; it must be one map (height, width), "
            "such as one of the three masks of an answer."
        )
    return mask_hw


def drawn_mask(mask_hw: Tensor, side: int, what: str, *, keeps_logits: bool = False) -> Tensor:
    """Read a mask as booleans, at another size.

    Args:
        mask_hw: Read by the rule at the top of this file.
        side: Rows and columns of the result.
        what: Name of the mask, for messages.
        keeps_logits: Whether to threshold resized logits at 0.5, as both other implementations do.

    Returns:
        `(side, side)`, boolean.

    Raises:
        PromptError: Its values are ambiguous.
    """
    soft_hw = _soft_mask(mask_hw, what, keeps_logits=keeps_logits)
    if soft_hw.shape != (side, side):
        soft_hw = functional.interpolate(
            soft_hw[None, None], (side, side), mode="bilinear", antialias=True
        )[0, 0]
    return soft_hw >= MASK_THRESHOLD


def check_mask_values(mask_hw: Tensor, what: str) -> None:
    """Refuse ambiguous values.

    Raises:
        PromptError: They are ambiguous.
    """
    _soft_mask(mask_hw, what, keeps_logits=False)


def is_answer(mask_hw: Tensor, side: int) -> bool:
    """Whether a map is an earlier answer of the model: logits of that size.

    Args:
        mask_hw: A map of any size and type.
        side: Rows and columns of the model's answers.
    """
    if mask_hw.shape != (side, side) or not mask_hw.is_floating_point():
        return False
    low, high = _extremes(mask_hw)
    if _are_logits(low, high):
        return True
    is_above = low >= 0 and 1 + RINGING <= high <= MOST_LOGIT
    return is_above and not torch.equal(mask_hw, mask_hw.round())


def drawn_logits(mask_hw: Tensor, side: int, what: str) -> Tensor:
    """Convert a mask to low-resolution logits.

    Args:
        mask_hw: Read by the rule at the top of this file.
        side: Rows and columns of the model's answers.
        what: Name of the mask, for messages.

    Returns:
        `(side, side)`, logits: an earlier answer unchanged, other masks as -10 and 10.

    Raises:
        PromptError: Its values are ambiguous.
    """
    if is_answer(mask_hw, side):
        return mask_hw.to(torch.float32)
    drawn_hw = drawn_mask(mask_hw, side, what)
    return torch.where(drawn_hw, DRAWN_LOGIT, -DRAWN_LOGIT)


def _are_logits(low: float, high: float) -> bool:
    """Whether this range is that of logits, not of probabilities or masks with ringing."""
    rings = low > -RINGING and 1 <= high < 1 + RINGING
    return low < 0 and not rings and not _are_probabilities(low, high)


def _are_probabilities(low: float, high: float) -> bool:
    return low >= -ROUNDING_SLACK and high <= 1 + ROUNDING_SLACK


def _soft_mask(mask_hw: Tensor, what: str, *, keeps_logits: bool) -> Tensor:
    """Convert a mask to floats, at least 0.5 on the object."""
    if mask_hw.dtype == torch.bool:
        return mask_hw.to(torch.float32)
    is_float = mask_hw.is_floating_point()
    values_hw = mask_hw.to(torch.float32 if is_float else torch.int64)
    low, high = _extremes(values_hw)
    if is_float and _are_probabilities(low, high):
        return values_hw
    if is_float and _are_logits(low, high):
        can_be_resized = keeps_logits and math.isfinite(low) and math.isfinite(high)
        return values_hw if can_be_resized else (values_hw > 0).to(torch.float32)
    if low >= 0 and math.isfinite(high) and torch.equal(values_hw, values_hw.round()):
        return (values_hw != 0).to(torch.float32)
    raise PromptError(
        f"{what} has {mask_hw.dtype} values from {low:g} to {high:g}, which may mean more than one "
        "thing. Give booleans: mask > 0 of logits, mask >= 128 of bytes."
    )


def _extremes(values_hw: Tensor) -> tuple[float, float]:
    low, high = torch.aminmax(values_hw)
    return float(low), float(high)
