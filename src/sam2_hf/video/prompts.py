"""Prompts of a video: those of an object on a frame as kept, as read, and as given all at once.

What the session's methods are given is read and checked here, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import to_model_pixels
from sam2_hf.number_reading import read_flags, read_numbers, read_whole, shown
from sam2_hf.processing.mask_values import Mask as Mask, drawn_mask, one_map
from sam2_hf.processing.prompts import Click, ObjectPrompt

Xyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class FramePrompts:
    """All prompts of an object on a frame. A given mask replaces clicks and box, and they it.

    Attributes:
        clicks: Positive and negative points, in the order they came.
        box: `(x0, y0, x1, y1)`, pixels of the original frame.
        mask_hw: A given mask at input size, boolean.
    """

    clicks: tuple[Click, ...] = ()
    box: Xyxy | None = None
    mask_hw: Tensor | None = None

    def with_clicks(self, clicks: tuple[Click, ...]) -> "FramePrompts":
        """Add clicks."""
        return replace(self, clicks=(*self.clicks, *clicks), mask_hw=None)

    def with_box(self, box: Xyxy) -> "FramePrompts":
        """Set the box."""
        return replace(self, box=box, mask_hw=None)

    def with_mask(self, mask_hw: Tensor) -> "FramePrompts":
        """Set the mask, in place of everything else."""
        return FramePrompts(mask_hw=mask_hw)

    def model_points(self, size: tuple[int, int], side: int) -> tuple[Tensor, Tensor]:
        """List corners of the box, then clicks, in model pixels, with their labels.

        Args:
            size: `(height, width)` of the original frame.
            side: Input size of the model.

        Returns:
            `(n, 2)` and `(n,)`.
        """
        xy, labels = ObjectPrompt(clicks=self.clicks, box=self.box).labeled_points()
        return to_model_pixels(xy, size, side), labels.to(torch.int64)


Xy = tuple[float, float]
LARGEST_ID = 2**63 - 1  # what a file can hold
NO_LIMIT = 0  # of sizes that are not known yet


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
        size: `(height, width)` of the frame; None if it is not known yet.
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


class TakesPrompts(Protocol):
    """What a [`VideoPrompt`] needs of the session that it is given to."""

    @property
    def size(self) -> tuple[int, int] | None:
        """`(height, width)` of the original frames; None before the first one of a stream."""

    def mask(self, frame: int, object_id: int, mask_hw: Mask) -> None:
        """Give the mask of an object on a frame."""

    def prompts_of(self, frame: int, object_id: int) -> FramePrompts:
        """Return what has been said about an object on a frame."""

    def put_prompts(self, frame: int, object_id: int, prompts: FramePrompts) -> None:
        """Say all of it at once."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoPrompt:
    """Clicks, a box or a mask for one object on one frame; pixels of the original frame.

    Attributes:
        frame: The frame, from 0.
        object_id: The object, any whole number; the same one on several frames is one object.
        clicks: [`Click`]s, or `(x, y)` for positive ones; a single one may stand by itself.
        box: `(x0, y0, x1, y1)`.
        mask: `(height, width)` of the frame; what is not 0 is the object. Not together with clicks
            or a box.

    Raises:
        PromptError: There is nothing in it, too much, or a part is malformed.
    """

    frame: int
    object_id: int
    clicks: Sequence[Click | Xy] | Click | Xy = ()
    box: Sequence[float] | None = None
    mask: Mask | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Bring clicks into one form."""
        clicks = _clicks(self.clicks, self.what)
        object.__setattr__(self, "clicks", clicks)
        if self.box is not None:
            object.__setattr__(self, "box", read_box(self.box, None, self.what))
        if self.mask is None and self.box is None and not clicks:
            raise PromptError(f"the prompt for {self.what} is empty. Give clicks, a box or a mask.")
        if self.mask is not None and (clicks or self.box is not None):
            raise PromptError(
                f"the prompt for {self.what} has a mask, and clicks or a box. Give the mask alone; "
                "a second prompt on the same frame refines it."
            )

    @property
    def what(self) -> str:
        """What to call it in a message."""
        return f"object {self.object_id} on frame {self.frame}"

    def add_to(self, session: TakesPrompts) -> None:
        """Give it to a session; clicks and box count as one call.

        Raises:
            FrameError: The session has no such frame.
            PromptError: A click or the box lies outside, or the mask has another size.
        """
        if self.mask is not None:
            session.mask(self.frame, self.object_id, self.mask)
            return
        prompts = session.prompts_of(self.frame, self.object_id)
        if clicks := _clicks(self.clicks, self.what):
            xy, positive = [one.xy for one in clicks], [one.positive for one in clicks]
            prompts = prompts.with_clicks(read_clicks(xy, positive, session.size, self.what))
        if self.box is not None:
            prompts = prompts.with_box(read_box(self.box, session.size, self.what))
        session.put_prompts(self.frame, self.object_id, prompts)


def _clicks(given: object, what: str) -> tuple[Click, ...]:
    """Read one click or several."""
    if isinstance(given, Click):
        return (given,)
    if isinstance(given, Sequence) and any(isinstance(one, Click) for one in given):
        return tuple(
            one if isinstance(one, Click) else read_clicks(one, True, None, what)[0]  # noqa: FBT003
            for one in given
        )
    if isinstance(given, Sequence) and not given:
        return ()
    return read_clicks(given, True, None, what)  # noqa: FBT003 - as the session's `positive`
