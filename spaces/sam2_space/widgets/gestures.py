"""Gestures on a picture, the preview under the cursor, and downloads in one step.

A `gr.HTML` is the channel to the browser: `page.js` fires its events with values of its own, and
reads what the server answers.
"""

import base64
import html
import io
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import PromptError
from sam2_hf.overlay import Rgb

CONNECT = "(window.sam2Channels ??= []).push({ element, trigger, watch });"
BOX, EXCLUDE, INCLUDE = "box", "exclude", "include"
OPACITY = 110  # of 255; fainter than a mask that was clicked
SLOW = 0.6  # seconds of one preview, above which it only disturbs
SLOW_IN_A_ROW = 3  # a single one may have waited for another visitor
PAUSE = 60.0  # seconds without previews, after which the machine gets another try
_numbers = itertools.count(1)  # the browser sees a new answer only if it differs


def channel(elem_id: str, value: str = "") -> gr.HTML:
    """Make a channel to the browser.

    Args:
        elem_id: The tab's name and the channel's, such as "photo-gestures".
        value: What it shows at first.
    """
    return gr.HTML(value, elem_id=elem_id, elem_classes="line", js_on_load=CONNECT)


def gestures(tab: str, *, boxes: bool = True) -> gr.HTML:
    """Make the channel of drags, Shift-clicks, right-clicks and keys on the picture of a tab.

    Args:
        tab: Name of the tab.
        boxes: Whether a drag makes a box.
    """
    value = "<span data-boxes></span>" if boxes else ""
    return gr.HTML(value, elem_id=f"{tab}-gestures", elem_classes="channel", js_on_load=CONNECT)


@dataclass(frozen=True, slots=True)
class Gesture:
    """A gesture, in pixels of the shown picture.

    Attributes:
        kind: `BOX`, `EXCLUDE`, or `INCLUDE` for a click by keyboard.
        xy: The click, or the first corner.
        other: The opposite corner of a box; None for a click.
    """

    kind: str
    xy: tuple[float, float]
    other: tuple[float, float] | None = None

    @classmethod
    def of_event(cls, event: gr.SelectData) -> "Gesture":
        """Read what the browser sent.

        Raises:
            PromptError: It has another form.
        """
        if event.value == BOX:
            x0, y0, x1, y1 = numbers_of(event, 4)
            return cls(BOX, (x0, y0), (x1, y1))
        x, y = numbers_of(event, 2)
        return cls(INCLUDE if event.value == INCLUDE else EXCLUDE, (x, y))


def numbers_of(event: gr.SelectData, count: int) -> list[float]:
    """Read the numbers of an event.

    Raises:
        PromptError: There are more or fewer, or they are no numbers.
    """
    sent = event.index if isinstance(event.index, list) else []
    numbers = [float(value) for value in sent if isinstance(value, int | float)]
    if len(sent) != count or len(numbers) != count or not np.isfinite(numbers).all():
        raise PromptError("This gesture was not recognized. Reload the page and try again.")
    return numbers


class PreviewPace:
    """Speed of previews on this server, which switches them off where they are slow.

    Args:
        clock: Monotonic clock, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slow = 0
        self._until = 0.0

    @property
    def is_off(self) -> bool:
        """Whether previews pause, since the last ones were slow."""
        return self._clock() < self._until

    def record(self, seconds: float) -> None:
        """Record how long one took."""
        self._slow = self._slow + 1 if seconds > SLOW else 0
        if self._slow >= SLOW_IN_A_ROW:
            self._slow, self._until = 0, self._clock() + PAUSE


def preview_answer(shown: str, mask_hw: NDArray[np.bool_] | None, color: Rgb, note: str) -> str:
    """Make the answer to the cursor: a mask to lay over the picture, and a note in words.

    Args:
        shown: Address of the picture that the cursor was on.
        mask_hw: `(height, width)`; None if there is none.
        color: Color of the mask.
        note: Shown beside the switch.
    """
    about = f'<span data-of="{html.escape(shown)}" data-number="{next(_numbers)}"></span>'
    picture = ""
    if mask_hw is not None:
        pixels_hw4 = np.zeros((*mask_hw.shape, 4), np.uint8)
        pixels_hw4[mask_hw] = (*color, OPACITY)
        buffer = io.BytesIO()
        Image.fromarray(pixels_hw4).save(buffer, format="PNG", compress_level=1)
        data = base64.b64encode(buffer.getvalue()).decode("ascii")
        picture = f'<img hidden alt="" src="data:image/png;base64,{data}">'
    return f"{about}{picture}{html.escape(note)}"


def file_link(path: Path) -> str:
    """Make the link to a written file, which the browser follows at once."""
    name = html.escape(path.name)
    address = html.escape(f"gradio_api/file={path}")
    return (
        f'<span data-number="{next(_numbers)}"></span>'
        f'Saved: <a href="{address}" download="{name}">{name}</a>'
    )
