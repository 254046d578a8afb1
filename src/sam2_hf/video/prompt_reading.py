"""What the session's verbs are given, read and checked once."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import read_flags, read_numbers, read_whole, shown
from sam2_hf.processing.mask_values import Mask as Mask, drawn_mask, one_map
from sam2_hf.processing.prompts import Click, ObjectPrompt

from .object_prompts import Xyxy

Xy = tuple[float, float]
LARGEST_ID = 2**63 - 1  # what a file can hold
NO_LIMIT = 0  # of sizes that nobody knows yet


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
    """Read a mask by the rule of `processing/mask_values.py`, at the model's input size.

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
    mask_hw = one_map(mask, f"the mask of {what}")
    if size is not None and tuple(mask_hw.shape) != tuple(size):
        raise PromptError(
            f"the mask of {what} is {tuple(mask_hw.shape)} and the frames are {tuple(size)} "
            "(height, width). Give the mask at the size of the original frame."
        )
    return drawn_mask(mask_hw, side, f"the mask of {what}", keeps_logits=as_transformers)
