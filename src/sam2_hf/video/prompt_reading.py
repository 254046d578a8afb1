"""What the session's verbs are given, read and checked once."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import UNREADABLE, read_flags, read_numbers, read_whole, shown
from sam2_hf.processing.prompts import Click, ObjectPrompt

from .object_prompts import Xyxy

Xy = tuple[float, float]
Mask = np.ndarray | Tensor | Image.Image
MASK_DIMENSIONS = 2
LARGEST_ID = 2**63 - 1  # what a file can hold
NO_LIMIT = 0  # of sizes that nobody knows yet
MASK_THRESHOLD = 0.5  # of probabilities, and of resized masks
ROUNDING_SLACK = 1e-3  # probabilities this far beyond 0-1 come from rounding
RINGING = 0.25  # how far bicubic resizing of zeros and ones goes beyond them


def read_object_id(object_id: object) -> int:
    """Read an object's id: any whole number.

    Raises:
        PromptError: It is something else.
    """
    number = read_whole(object_id)
    if number is None:
        raise PromptError(f"object_id is {shown(object_id)}, it must be a whole number.")
    if not -LARGEST_ID <= number <= LARGEST_ID:
        raise PromptError(f"object_id is {shown(number)}; it must have no more than 63 bits.")
    return number


def read_clicks(
    xy: object, positive: object, size: tuple[int, int] | None, what: str
) -> tuple[Click, ...]:
    """Read one click or several.

    Args:
        xy: `(x, y)`, or a list, array or tensor of them.
        positive: One flag for all, or one for each.
        size: `(height, width)` of the frame; None if nobody knows yet.
        what: Whose clicks, for messages.

    Raises:
        PromptError: There is none, one lies outside, or flags and clicks differ in number.
    """
    numbers = read_numbers(xy)
    points_n2 = np.zeros(0) if numbers is None else np.atleast_2d(numbers)
    if points_n2.ndim != 2 or points_n2.shape[-1] != 2 or not len(points_n2):
        raise PromptError(f"a click of {what} is {shown(xy)}. Give (x, y), or a list of (x, y).")
    flags = read_flags(positive)
    if flags is None:
        raise PromptError(
            f"positive is {shown(positive)} for {what}. Give True for a click on the object, False "
            "for one beside it, or a list of these."
        )
    if len(flags) == 1:
        flags *= len(points_n2)
    if len(flags) != len(points_n2):
        raise PromptError(
            f"there are {len(points_n2)} clicks of {what} and {len(flags)} values of positive. "
            "Give one for all, or one for each."
        )
    clicks = tuple(
        Click((x, y), positive=flag) for (x, y), flag in zip(points_n2.tolist(), flags, strict=True)
    )
    if size is not None:
        ObjectPrompt(clicks=clicks).check(size, NO_LIMIT, what)
    return clicks


def read_box(xyxy: Sequence[float], size: tuple[int, int] | None, what: str) -> Xyxy:
    """Read a box.

    Raises:
        PromptError: It is not four numbers, is turned over, or lies outside the frame.
    """
    prompt = ObjectPrompt(box=xyxy)  # type: ignore[arg-type]  # it reads them
    if size is not None:
        prompt.check(size, NO_LIMIT, what)
    if prompt.box is None:
        raise PromptError(f"the box of {what} is missing. Give (x0, y0, x1, y1).")
    return prompt.box


def read_mask(
    mask: Mask,
    size: tuple[int, int] | None,
    side: int,
    what: str,
    *,
    as_transformers: bool = False,
) -> Tensor:
    """Read a mask and bring it to the model's input size.

    What is the object follows from the type of the values and from all of them together:

    | values | the object is where |
    |---|---|
    | booleans | they are true |
    | whole numbers from 0, such as 0 and 1, 0 and 255, or labels; of any type | they are not 0 |
    | floats from 0 to 1: probabilities, soft edges | they are at least 0.5 once resized |
    | floats on both sides of 0, or all below it: logits | they are above 0 |

    Others could be meant in more ways than one, and are refused: floats that are neither whole nor
    within 0-1 but never negative, floats that only just leave 0-1, negative whole numbers, NaN.

    Args:
        mask: `(height, width)`, also with leading axes of length 1.
        size: `(height, width)` of the frame; None allows any.
        side: Input size of the model.
        what: Whose mask, for messages.
        as_transformers: Whether the object is where logits are at least 0.5 once resized, as in
            both other implementations.

    Returns:
        `(side, side)`, boolean.

    Raises:
        PromptError: It is not one map, of another size than the frame, or can be read in more ways
            than one.

    Source: sam2/sam2_video_predictor.py:312-334 @ 2b90b9f.
    Differs: there, and in transformers, an array of floats is the object wherever it is not 0, so
        logits and probabilities cover the frame; a tensor is read as here.
    """
    mask_hw = _one_map(mask, what)
    if size is not None and tuple(mask_hw.shape) != tuple(size):
        raise PromptError(
            f"the mask of {what} is {tuple(mask_hw.shape)} and the frames are {tuple(size)} "
            "(height, width). Give the mask at the size of the original frame."
        )
    soft_hw = _soft_mask(mask_hw, what, keeps_logits=as_transformers)
    if soft_hw.shape != (side, side):
        soft_hw = functional.interpolate(
            soft_hw[None, None], (side, side), mode="bilinear", antialias=True
        )[0, 0]
    return soft_hw >= MASK_THRESHOLD


def _one_map(mask: Mask, what: str) -> Tensor:
    """Take the one map out of an array, tensor or picture."""
    try:
        # torch warns of read-only arrays
        array = mask if isinstance(mask, Tensor) else np.array(mask)
        mask_hw = torch.as_tensor(array).detach().cpu()
    except UNREADABLE:
        mask_hw = torch.zeros(0)
    while mask_hw.ndim > MASK_DIMENSIONS and mask_hw.shape[0] == 1:
        mask_hw = mask_hw[0]
    if mask_hw.ndim != MASK_DIMENSIONS or not mask_hw.numel() or mask_hw.is_complex():
        raise PromptError(
            f"the mask of {what} has the shape {tuple(mask_hw.shape)}, it must be one map "
            "(height, width)."
        )
    return mask_hw


def _soft_mask(mask_hw: Tensor, what: str, *, keeps_logits: bool) -> Tensor:
    """Make floats that are at least 0.5 where the object is; see `read_mask`."""
    if mask_hw.dtype == torch.bool:
        return mask_hw.to(torch.float32)
    is_float = mask_hw.is_floating_point()
    values_hw = mask_hw.to(torch.float32 if is_float else torch.int64)
    low, high = (float(value) for value in torch.aminmax(values_hw))
    if is_float and low >= -ROUNDING_SLACK and high <= 1 + ROUNDING_SLACK:
        return values_hw
    may_be_logits = is_float and low < 0 and not (low > -RINGING and 1 <= high < 1 + RINGING)
    if may_be_logits:
        can_be_resized = keeps_logits and math.isfinite(low) and math.isfinite(high)
        return values_hw if can_be_resized else (values_hw > 0).to(torch.float32)
    if low >= 0 and math.isfinite(high) and torch.equal(values_hw, values_hw.round()):
        return (values_hw != 0).to(torch.float32)
    raise PromptError(
        f"the mask of {what} has {mask_hw.dtype} values from {low:g} to {high:g}, which may mean "
        "more than one thing. Give booleans: mask > 0 of logits, mask >= 128 of bytes."
    )
