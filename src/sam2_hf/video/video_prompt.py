"""All that a person said at once about one object on one frame of a video."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sam2_hf.errors import PromptError
from sam2_hf.processing.prompts import Click

from .prompt_reading import Mask, Xy, read_box, read_clicks

if TYPE_CHECKING:
    from .session import Sam2VideoInferenceSession


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

    def add_to(self, session: "Sam2VideoInferenceSession") -> None:
        """Give it to a session; clicks and box count as one round.

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
