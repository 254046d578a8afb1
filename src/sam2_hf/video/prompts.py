"""Prompts of one object on one frame of a video: as they are given, and as a session keeps them.

Each call of a session is a round: the decoder answers it from all prompts of the frame so far and
from its own answer to the round before, whenever it is asked to. So a preview never changes what
comes out.

Suffixes: h, w = rows and columns of the model's input.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.geometry import to_model_pixels
from sam2_hf.number_reading import read_whole, shown
from sam2_hf.processing.mask_values import Mask as Mask
from sam2_hf.processing.prompt_reading import (
    PROMPT_NAMES,
    SESSION_NAMES,
    Click,
    Xyxy as Xyxy,
    check_clicks,
    labeled_points,
    read_box as read_box,
    read_clicks as read_listed_clicks,
    read_mask as read_mask,
)


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
        xy, labels = labeled_points(self.clicks, self.box)
        return to_model_pixels(xy, size, side), labels


Xy = tuple[float, float]
LARGEST_ID = 2**63 - 1  # what a file can hold


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
    """Read the clicks of a session's call, at least one; see [`prompt_reading.read_clicks`].

    Args:
        xy: `(x, y)`, or a list, array or tensor of them; or [`Click`]s, with `positive` left True.
        positive: One flag for all, or one for each.
        size: `(height, width)` of the frame; None if it is not known yet.
        what: Whose clicks, for messages.

    Raises:
        PromptError: There is none, one lies outside, or flags and clicks differ in number.
    """
    # None would mean "all positive", which a session says by True.
    labels = None if positive is True else [] if positive is None else positive
    clicks = read_listed_clicks(xy, labels, what, SESSION_NAMES)
    if not clicks:
        raise PromptError(f"xy of {what} is {shown(xy)}. Give (x, y), or a list of (x, y).")
    if size is not None:
        check_clicks(clicks, size, what)
    return clicks


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
        clicks = read_listed_clicks(self.clicks, None, self.what, PROMPT_NAMES)
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
        """Give it to a session, beside what was said there; clicks and box count as one call.

        Raises:
            FrameError: The session has no such frame.
            PromptError: A click or the box lies outside, or the mask has another size.
        """
        self._give(session, session.prompts_of(self.frame, self.object_id))

    def replace_in(self, session: TakesPrompts) -> None:
        """Give it to a session, in place of everything that was said there; raises as `add_to`."""
        self._give(session, FramePrompts())

    def _give(self, session: TakesPrompts, prompts: FramePrompts) -> None:
        if self.mask is not None:
            session.mask(self.frame, self.object_id, self.mask)
            return
        if self.clicks:
            prompts = prompts.with_clicks(
                read_clicks(self.clicks, positive=True, size=session.size, what=self.what)
            )
        if self.box is not None:
            prompts = prompts.with_box(read_box(self.box, session.size, self.what))
        session.put_prompts(self.frame, self.object_id, prompts)
