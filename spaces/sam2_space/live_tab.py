"""Webcam tab: live tracking of clicked objects.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import base64
import io
import threading
import time
from typing import Any

import gradio as gr
import numpy as np
from gradio.data_classes import ImageData
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.overlay import DrawnPrompts
from sam2_hf.results.labeled_overlay import draw_masklets
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_space.widgets import components as parts, gestures
from sam2_space.widgets.gestures import Gesture

from .limits import LimitError, Limits, ShownSize
from .photo_work import Xy
from .readable_errors import readable
from .service import CLICKS, CLICKS_AT_A_TIME, Service
from .space_model import SpaceModel
from .visitors import JPEG_QUALITY

LIVE_SIDE = 640  # pixels; smaller pictures transfer faster
CLICK_SHOWN = 3.0  # seconds; by then the object has moved on


class LiveWork:
    """One stream of pictures.

    Args:
        model: The model.
        limits: Maximum number of objects.

    Attributes:
        active: Number of the object that clicks apply to.
        rate: Recent pictures per second.
    """

    def __init__(self, model: SpaceModel, limits: Limits) -> None:
        self.active = 1
        self.rate = 0.0
        self._model = model
        self._limits = limits
        self._lock = threading.RLock()
        self._session = Sam2VideoInferenceSession.open(None, model.video)
        self._size: tuple[int, int] | None = None
        self._frame = -1
        self._before = time.monotonic()
        self._clicks: list[tuple[float, tuple[float, float, bool]]] = []

    @property
    def numbers(self) -> list[int]:
        """The objects, the active one included."""
        return sorted({self.active, *self._session.object_ids})

    @property
    def doing(self) -> str:
        """What happens now, in words."""
        followed = list(self._session.object_ids)
        waits = self.active not in followed
        if not followed:
            return "Watching. Click an object to track it"
        text = f"Following object{'s' * (len(followed) > 1)} {', '.join(map(str, followed))}"
        return f"{text}. Click object {self.active} next" if waits else text

    def step(self, picture_hw3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Track all objects into the next picture.

        A change of size, as after rotating a phone, starts over.

        Returns:
            The picture with masks, `(height, width, 3)`.
        """
        size = picture_hw3.shape[0], picture_hw3.shape[1]
        small_hw3 = ShownSize.within(size, LIVE_SIDE).picture(picture_hw3)
        with self._model.lock.taken(), self._lock:
            if self._size not in (None, small_hw3.shape[:2]):
                self.reset()
            self._size = small_hw3.shape[0], small_hw3.shape[1]
            result = self._session.step(small_hw3)
            self._frame = result.frame
            now = time.monotonic()
            self.rate = 1 / max(now - self._before, 1e-3)
            self._before = now
            recent = [(at, click) for at, click in self._clicks if now - at < CLICK_SHOWN]
            self._clicks = recent
        prompts = DrawnPrompts(tuple(click for _, click in recent))
        return draw_masklets(small_hw3, result.masks, self._color_order(), prompts)

    def click(self, xy: Xy, *, positive: bool) -> None:
        """Add a positive or negative click on the active object in the newest picture.

        Raises:
            LimitError: There is no picture yet, or there are too many objects.
            PromptError: The click is outside.
        """
        with self._lock:
            if self._frame < 0:
                raise LimitError("There is no picture yet. Start the camera first.")
            if self.active not in self._session.object_ids:
                if not positive:
                    raise LimitError(
                        "Click on the object first; then exclude the parts that do not belong."
                    )
                self._limits.check_objects(len(self._session.object_ids))
            self._session.click(self._frame, self.active, xy, positive=positive)
            self._clicks.append((time.monotonic(), (*xy, positive)))

    def new_object(self) -> None:
        """Start another object with the next click.

        Raises:
            LimitError: There are too many.
        """
        with self._lock:
            if self.active in self._session.object_ids:
                self._limits.check_objects(len(self._session.object_ids))
                self.active = max(self._session.object_ids) + 1

    def reset(self) -> None:
        """Drop all objects and pictures."""
        with self._lock:
            self._session.close()
            self._session = Sam2VideoInferenceSession.open(None, self._model.video)
            self._size, self._frame, self.active = None, -1, 1
            self._clicks = []

    def close(self) -> None:
        """Close the session."""
        with self._lock:
            self._session.close()

    def _color_order(self) -> list[int]:
        return list(range(1, max(self.numbers) + 1))


def inline_picture(picture_hw3: NDArray[np.uint8] | None) -> ImageData | None:
    """Put a picture into the answer itself.

    By default, Gradio sends the address of a file. Over a slow connection, the next address arrives
    before that file does, and the browser never shows any.

    Args:
        picture_hw3: `(height, width, 3)`; None before the first one.

    Returns:
        The picture as a JPEG in a `data:` address; None if there is none.
    """
    if picture_hw3 is None:
        return None
    buffer = io.BytesIO()
    Image.fromarray(picture_hw3).save(buffer, "JPEG", quality=JPEG_QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return ImageData(url=f"data:image/jpeg;base64,{data}")


TAB = "live"
Updates = dict[Any, Any]
WELCOME = (
    "**1** Start the camera. **2** Click an object in the large picture, and its mask "
    "follows it from then on. More clicks correct the mask; each is shown for three seconds."
)
WAITING = "The camera is off; nothing is sent."
EVERY = 0.25  # seconds between two pictures
LONGEST = 300  # seconds of one stream
KINDS = (parts.INCLUDE, parts.EXCLUDE)


class LiveTab:
    """Components of the tab, and their handlers.

    Args:
        service: The server's parts.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.hint = gr.Markdown(WELCOME, elem_classes="hint", elem_id="live-hint")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="pictures"):
                self.view = gr.Image(
                    label="Click here",
                    show_label=False,
                    alt_text="The latest camera picture with its masks",
                    interactive=False,
                    buttons=["fullscreen"],
                    height=380,
                    elem_id="live-view",
                    elem_classes="canvas",
                )
                # Not a subclass: Gradio would write a stub file beside this module for it.
                self.view.postprocess = inline_picture  # type: ignore[method-assign, assignment]
                self.gestures = gestures.gestures(TAB, boxes=False)
                self.status = gr.HTML(parts.status_line(WAITING), elem_id="live-status")
            with gr.Column(scale=2, min_width=320, elem_classes="tools"):
                self.camera = gr.Image(
                    label="Camera",
                    sources=["webcam"],
                    streaming=True,
                    type="numpy",
                    height=240,
                    elem_id="live-camera",
                )
                self.kind = gr.Radio(
                    list(KINDS),
                    value=parts.INCLUDE,
                    label="Click type",
                    elem_classes="kind",
                )
                gr.HTML("Shift-click or right-click to exclude.", elem_classes=["note", "mouse"])
                with gr.Row():
                    self.new = gr.Button("New object", size="sm", min_width=110)
                    self.reset = gr.Button("Start over", size="sm", min_width=110)
                self.x, self.y, self.add = parts.typed_click()
        gr.Markdown(
            f"A picture every {EVERY:g} seconds is sent, processed and discarded; a stream ends "
            f"after {LONGEST // 60} minutes. Up to {service.limits.objects} objects.",
            elem_classes="limits",
        )
        self._connect()

    def _connect(self) -> None:
        quick: dict[str, Any] = {
            "outputs": self.status,
            "api_visibility": "private",
            "concurrency_id": CLICKS,
            "concurrency_limit": CLICKS_AT_A_TIME,
            "show_progress": "hidden",
        }
        self.camera.stream(
            readable(self.step),
            self.camera,
            [self.view, self.status],
            stream_every=EVERY,
            time_limit=LONGEST,
            concurrency_limit=CLICKS_AT_A_TIME,
            show_progress="hidden",
            api_visibility="private",
        )
        self.view.select(readable(self.click), self.kind, **quick, trigger_mode="multiple")
        self.gestures.select(readable(self.gesture), **quick, trigger_mode="multiple")
        self.add.click(readable(self.click_typed), [self.kind, self.x, self.y], **quick)
        self.new.click(readable(self.new_object), **quick)
        self.reset.click(readable(self.start_over), **quick)

    def step(self, picture_hw3: NDArray[np.uint8] | None, request: gr.Request) -> tuple[Any, str]:
        """Track all objects into the newest picture."""
        if picture_hw3 is None:
            return gr.skip(), gr.skip()
        visitor = self.service.visitor(request)
        with visitor.lock:
            work = visitor.works.get(TAB)
            if not isinstance(work, LiveWork):
                work = LiveWork(self.service.model, self.service.limits)
                visitor.set_work(TAB, work)
        drawn_hw3 = work.step(picture_hw3)
        text = f"{work.doing} · {work.rate:.1f} pictures a second"
        visitor.touch()
        return drawn_hw3, parts.status_line(text)

    def click(self, kind: str, event: gr.SelectData, request: gr.Request) -> str:
        """Handle a click on the shown picture."""
        return self._point(kind, (event.index[0], event.index[1]), request)

    def gesture(self, event: gr.SelectData, request: gr.Request) -> str:
        """Handle a Shift-click, a right-click or a click by keyboard on the shown picture."""
        given = Gesture.of_event(event)
        kind = parts.INCLUDE if given.kind == gestures.INCLUDE else parts.EXCLUDE
        return self._point(kind, given.xy, request)

    def click_typed(self, kind: str, x: float | None, y: float | None, request: gr.Request) -> str:
        """Handle a typed click, in pixels of the shown picture."""
        if x is None or y is None:
            raise LimitError("Type both x and y, in pixels of the picture.")
        return self._point(kind, (x, y), request)

    def new_object(self, request: gr.Request) -> str:
        """Start another object with the next click."""
        work = self._work(request)
        work.new_object()
        return parts.status_line(f"Click object {work.active}.")

    def start_over(self, request: gr.Request) -> str:
        """Drop all objects."""
        self._work(request).reset()
        return parts.status_line("Click an object.")

    def _point(self, kind: str, xy: tuple[float, float], request: gr.Request) -> str:
        work = self._work(request)
        work.click(xy, positive=kind == parts.INCLUDE)
        verb = "Included in" if kind == parts.INCLUDE else "Excluded from"
        return parts.status_line(f"{verb} object {work.active} at {xy[0]:.0f}, {xy[1]:.0f}.")

    def _work(self, request: gr.Request) -> LiveWork:
        work = self.service.visitor(request).works.get(TAB)
        if not isinstance(work, LiveWork):
            raise LimitError("There is no picture yet. Start the camera first.")
        return work
