"""What a visitor has said about the objects of a video: values, so that undo is easy."""

from dataclasses import dataclass, replace

from sam2_hf.overlay import DrawnPrompts, Xyxy

from .limits import too_many_objects
from .photo_scene import Xy


@dataclass(frozen=True, slots=True)
class SaidOnFrame:
    """A click or a box.

    Attributes:
        frame: On which frame.
        number: About which object.
        click: `(x, y, positive)`; None for a box.
        box: None for a click.
    """

    frame: int
    number: int
    click: tuple[float, float, bool] | None = None
    box: Xyxy | None = None


@dataclass(frozen=True, slots=True)
class VideoScene:
    """All that was said, and which object is next.

    Attributes:
        said: Clicks and boxes, in order.
        active: Number of the object that clicks are for.
        corner: First corner of a box whose second is still to come, and its frame.
    """

    said: tuple[SaidOnFrame, ...] = ()
    active: int = 1
    corner: tuple[int, Xy] | None = None

    @property
    def numbers(self) -> list[int]:
        """The objects, the active one included."""
        return sorted({self.active, *(one.number for one in self.said)})

    @property
    def prompted(self) -> list[int]:
        """The objects about which something was said."""
        return sorted({one.number for one in self.said})

    def prompted_on(self, frame: int) -> frozenset[int]:
        """List the objects about which something was said on a frame."""
        return frozenset(one.number for one in self.said if one.frame == frame)

    def drawn_on(self, frame: int) -> DrawnPrompts:
        """Collect what is to be drawn on a frame: what concerns the active object."""
        mine = [one for one in self.said if (one.frame, one.number) == (frame, self.active)]
        clicks = [one.click for one in mine if one.click is not None]
        if self.corner is not None and self.corner[0] == frame:
            clicks.append((*self.corner[1], True))
        return DrawnPrompts(tuple(clicks), tuple(one.box for one in mine if one.box is not None))

    def with_said(self, said: SaidOnFrame) -> "VideoScene":
        """Add a click or a box."""
        return replace(self, said=(*self.said, said), corner=None)

    def without_frame(self, frame: int) -> "VideoScene":
        """Forget what was said about the active object on a frame."""
        here = (frame, self.active)
        said = tuple(one for one in self.said if (one.frame, one.number) != here)
        return replace(self, said=said, corner=None)

    def without_active(self) -> "VideoScene":
        """Forget the active object."""
        said = tuple(one for one in self.said if one.number != self.active)
        left = {one.number for one in said}
        return VideoScene(said, min(left, default=1))

    def with_new_object(self, most: int, taken: frozenset[int] = frozenset()) -> "VideoScene":
        """Let the next click begin another object, unless the active one is still without any.

        Args:
            most: How many there may be.
            taken: Numbers that are in use although nothing is said about them any more.

        Raises:
            LimitError: There are `most` already.
        """
        used = {*self.prompted, *taken}
        if self.active not in used:
            return self
        if len(used) >= most:
            raise too_many_objects(most)
        free = next(number for number in range(1, most + 1) if number not in used)
        return replace(self, active=free, corner=None)
