"""Video prompts: those of one object on one frame, as given and as stored by a session.

Each call of a session is a round: the decoder runs on all prompts of the frame so far and on its
own output of the round before, at any time. So a preview never changes results.

Suffixes: h, w = rows and columns of the model's input.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

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
    """All prompts of an object on a frame. A mask replaces clicks and box, and vice versa.

    Attributes:
        clicks: Positive and negative points, in order.
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
        """Set the mask, replacing everything else."""
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
LARGEST_ID = 2**63 - 1  # int64, as in saved files


def read_object_id(object_id: object) -> int:
    """Read an object id: any 64-bit integer.

    Raises:
        PromptError: It is not one.
    """
    number = read_whole(object_id)
    if number is None:
        raise PromptError(f"object_id is {shown(object_id)}; it must be a whole number.")
    if not -LARGEST_ID <= number <= LARGEST_ID:
        raise PromptError(f"object_id is {shown(number)}; it must have no more than 63 bits.")
    return number


def read_object_ids(object_ids: object) -> list[int]:
    """Read several object ids.

    Raises:
        PromptError: They are not whole numbers, or not several.
    """
    if not isinstance(object_ids, Iterable) or isinstance(object_ids, str | bytes):
        raise PromptError(f"objects are {shown(object_ids)}. Give a list of object ids.")
    return [read_object_id(object_id) for object_id in object_ids]


def read_clicks(
    xy: object, positive: object, size: tuple[int, int] | None, what: str
) -> tuple[Click, ...]:
    """Read the clicks of a session's call, at least one; see [`prompt_reading.read_clicks`].

    Args:
        xy: `(x, y)`, or a list, array or tensor of them; or [`Click`]s, with `positive` left True.
        positive: One flag for all, or one per click.
        size: `(height, width)` of the frame; None if unknown yet.
        what: Name of the object in messages.

    Raises:
        PromptError: There is none, one lies outside, or flags and clicks differ in number.
    """
    # None would mean "all positive", for which a session uses True.
    labels = None if positive is True else [] if positive is None else positive
    clicks = read_listed_clicks(xy, labels, what, SESSION_NAMES)
    if not clicks:
        raise PromptError(f"xy of {what} is {shown(xy)}. Give (x, y), or a list of (x, y).")
    if size is not None:
        check_clicks(clicks, size, what)
    return clicks


class TakesPrompts(Protocol):
    """Interface of a session to a [`VideoPrompt`]."""

    @property
    def size(self) -> tuple[int, int] | None:
        """`(height, width)` of the original frames; None before the first one of a stream."""

    def mask(self, frame: int, object_id: int, mask_hw: Mask) -> None:
        """Add the mask of an object on a frame."""

    def prompts_of(self, frame: int, object_id: int) -> FramePrompts:
        """Return the prompts of an object on a frame."""

    def put_prompts(self, frame: int, object_id: int, prompts: FramePrompts) -> None:
        """Set all prompts of an object on a frame."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoPrompt:
    """Clicks, a box or a mask for one object on one frame; pixels of the original frame.

    Attributes:
        frame: The frame, from 0.
        object_id: The object, any integer; the same id on several frames is one object.
        clicks: [`Click`]s, or `(x, y)` for positive ones; one or several.
        box: `(x0, y0, x1, y1)`.
        mask: `(height, width)` of the frame; nonzero is the object. Not together with clicks or a
            box.
        name: What the object is, for results; it need not be repeated on other frames.

    Raises:
        PromptError: It is empty, combines a mask with other prompts, or is malformed.

    Example:
        >>> beside = Click((20, 20), positive=False)
        >>> prompt = VideoPrompt(frame=0, object_id=1, clicks=[(115, 100), beside])
        >>> len(prompt.clicks)
        2
    """

    frame: int
    object_id: int
    clicks: Sequence[Click | Xy] | Click | Xy = ()
    box: Sequence[float] | None = None
    mask: Mask | None = field(default=None, repr=False)
    name: str | None = None

    def __post_init__(self) -> None:
        """Normalize clicks."""
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
        """Its name in messages."""
        return f"object {self.object_id} on frame {self.frame}"

    @property
    def listed(self) -> tuple[Click, ...]:
        """The clicks, as a tuple."""
        return cast("tuple[Click, ...]", self.clicks)  # since `__post_init__`

    def described(self) -> dict[str, Any]:
        """Describe it for JSON: frame, points with labels, boxes.

        Example:
            >>> VideoPrompt(frame=0, object_id=1, clicks=(115, 100)).described()["points"]
            [[115.0, 100.0, 1]]
        """
        return {
            "frame": self.frame,
            "points": [[*click.xy, int(click.positive)] for click in self.listed],
            "boxes": [] if self.box is None else [list(self.box)],
            "has_mask": self.mask is not None,
        }

    def add_to(self, session: TakesPrompts) -> None:
        """Add it to a session's existing prompts; clicks and box count as one call.

        Raises:
            FrameError: The session has no such frame.
            PromptError: A click or the box lies outside, or the mask has another size.

        Example:
            >>> VideoPrompt(frame=0, object_id=1, clicks=(120, 90)).add_to(session)
            >>> len(session.prompts_of(0, 1).clicks)
            2
        """
        self._give(session, session.prompts_of(self.frame, self.object_id))

    def replace_in(self, session: TakesPrompts) -> None:
        """Replace the session's prompts there; raises as `add_to`.

        Example:
            >>> VideoPrompt(frame=0, object_id=1, clicks=(120, 90)).replace_in(session)
            >>> len(session.prompts_of(0, 1).clicks)
            1
        """
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
