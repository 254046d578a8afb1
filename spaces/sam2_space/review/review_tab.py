"""Review tab: the next doubtful masklet of a set; click, accept, reject, also by key."""

from collections.abc import Callable
from typing import Any

import gradio as gr

from sam2_hf.engine.settings import SCORE_NAMES
from sam2_hf.engine.video_labels import ACCEPTED, REJECTED
from sam2_space.limits import ShownSize
from sam2_space.readable_errors import readable
from sam2_space.service import JOBS, Service, click_event
from sam2_space.visitors import Visitor
from sam2_space.widgets import components as parts, gestures
from sam2_space.widgets.gestures import Gesture

from .review_work import ReviewDesk, ReviewWork, Sheet

TAB = "review"
Updates = dict[Any, Any]
WELCOME = "**Next** shows the most doubtful masklet of the set."
ALL_DONE = "**Nothing waits for a review.** Export the set with `sam2-hf label --export`."
ALL_TAKEN = "**Others are reviewing the last ones.** Press Next in a while."
KEYS = (
    "Keys: <kbd>a</kbd> accept, <kbd>r</kbd> reject, <kbd>n</kbd> next, <kbd>t</kbd> track again, "
    "<kbd>u</kbd> undo. Shift or right click excludes."
)


class ReviewTab:
    """Components of the tab, and their handlers.

    Args:
        service: The server's parts.
        desk: The set.
    """

    def __init__(self, service: Service, desk: ReviewDesk) -> None:
        self.service = service
        self.desk = desk
        self.hint = gr.Markdown(WELCOME, elem_classes="hint", elem_id="review-hint")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="pictures"):
                self.view = parts.picture_view(TAB, "A frame with the mask under review")
                self.gestures = gestures.gestures(TAB, boxes=False)
                self.frame = gr.Slider(
                    0, 1, 0, step=1, label="Frame", visible=False, elem_id="review-frame"
                )
                self.busy = parts.busy_line("review-busy")
            with gr.Column(scale=2, min_width=320, elem_classes="tools"):
                self._build_tools()
        self.outputs = [self.view, self.hint, self.frame, self.about, self.doubts, self.status]
        self._connect()

    def _build_tools(self) -> None:
        self.by = gr.Textbox(
            label="Your name, for the provenance", max_length=parts.MAX_NAME, elem_id="review-by"
        )
        self.kind = gr.Radio(
            [parts.INCLUDE, parts.EXCLUDE], value=parts.INCLUDE, label="Click type"
        )
        with gr.Row():
            self.accept = gr.Button(
                "Accept", variant="primary", min_width=90, elem_id="review-accept"
            )
            self.reject = gr.Button("Reject", variant="stop", min_width=90, elem_id="review-reject")
            self.next = gr.Button("Next", min_width=90, elem_id="review-next")
        with gr.Row():
            self.track = gr.Button("Track again", size="sm", min_width=90, elem_id="review-track")
            self.undo = gr.Button("Undo", size="sm", min_width=90, elem_id="review-undo")
        gr.HTML(KEYS, elem_classes=["note"])
        self.about = gr.Markdown("", elem_id="review-about")
        self.doubts = gr.Radio(
            [],
            label="Frames to look at, most doubtful first",
            elem_id="review-doubts",
            elem_classes="review",
        )
        self.status = gr.HTML("", elem_id="review-status", min_height=28)

    def _connect(self) -> None:
        quick = click_event(self.outputs, self.busy)
        jobs = {**quick, "concurrency_id": JOBS, "concurrency_limit": self.service.limits.jobs}
        self.view.select(readable(self.click), self.kind, **quick, trigger_mode="multiple")
        self.gestures.select(readable(self.gesture), **quick, trigger_mode="multiple")
        self.frame.input(readable(self.scrub), self.frame, **quick, trigger_mode="always_last")
        self.doubts.input(readable(self.scrub), self.doubts, **quick)
        self.next.click(readable(self.show_next), **quick)
        self.undo.click(readable(self._acting(ReviewWork.undo)), **quick)
        self.track.click(readable(self.track_again), self.by, **jobs)
        for button, verdict in ((self.accept, ACCEPTED), (self.reject, REJECTED)):
            button.click(readable(self._deciding(verdict)), self.by, **jobs)

    def click(self, kind: str, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a click on the picture."""
        visitor, work = self._work(request)
        shown = ShownSize.on_page(work.require().video.size)
        xy = shown.xy((event.index[0], event.index[1]))
        work.click(xy, positive=kind == parts.INCLUDE)
        return self._shown(visitor, work)

    def gesture(self, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a Shift click or a right click on the picture, or a click by keyboard."""
        visitor, work = self._work(request)
        shown = ShownSize.on_page(work.require().video.size)
        given = Gesture.of_event(event)
        work.click(shown.xy(given.xy), positive=given.kind == gestures.INCLUDE)
        return self._shown(visitor, work)

    def scrub(self, frame: int | None, request: gr.Request) -> Updates:
        """Show another frame."""
        visitor, work = self._work(request)
        work.go_to(int(frame or 0))
        return self._shown(visitor, work)

    def show_next(self, request: gr.Request) -> Updates:
        """Show the next masklet."""
        visitor, work = self._work(request)
        work.take_next()
        return self._shown(visitor, work)

    def track_again(self, by: str, request: gr.Request) -> Updates:
        """Track the masklet with its corrections."""
        visitor, work = self._work(request)
        with visitor.job():
            work.track(by.strip())
        masklet = work.require().masklet
        text = f"Tracked again; by its scores it is {masklet.status}. Accept or reject it."
        return {**self._shown(visitor, work), self.status: parts.status_line(text)}

    def _deciding(self, verdict: str) -> Callable[[str, gr.Request], Updates]:
        def decide(by: str, request: gr.Request) -> Updates:
            visitor, work = self._work(request)
            sheet = work.require()
            with visitor.job():
                applied = work.decide(verdict, by.strip())
            work.take_next()
            later = "" if applied else ", applied later, since the video is being tracked"
            text = f"{sheet.video.name}, object {sheet.masklet.object_id}: {verdict}{later}."
            return {**self._shown(visitor, work), self.status: parts.status_line(text)}

        return decide

    def _acting(self, verb: Callable[[ReviewWork], object]) -> Callable[[gr.Request], Updates]:
        def act(request: gr.Request) -> Updates:
            visitor, work = self._work(request)
            verb(work)
            return self._shown(visitor, work)

        return act

    def _work(self, request: gr.Request) -> tuple[Visitor, ReviewWork]:
        """Return a visit and what it reviews; it begins with the first request."""
        visitor = self.service.visitor(request)
        with visitor.lock:
            work = visitor.works.get(TAB)
            if not isinstance(work, ReviewWork):
                work = ReviewWork(self.desk)
                visitor.set_work(TAB, work)
        return visitor, work

    def _shown(self, visitor: Visitor, work: ReviewWork) -> Updates:
        """Update all components."""
        sheet = work.sheet
        if sheet is None:
            hidden = {part: gr.update(visible=False) for part in (self.view, self.frame)}
            empty = {self.about: "", self.doubts: gr.update(choices=[], value=None)}
            hint = ALL_TAKEN if work.num_waiting else ALL_DONE
            return {**hidden, **empty, self.hint: hint, self.status: ""}
        frames = sheet.frames
        return {
            self.view: gr.update(value=visitor.store_picture(work.draw()), visible=True),
            self.hint: f"**{work.num_waiting} wait.** Click what is missing, or accept or reject.",
            self.frame: gr.update(
                value=sheet.frame,
                minimum=frames[0],
                maximum=max(frames[-1], frames[0] + 1),
                visible=len(frames) > 1,
            ),
            self.about: _about(sheet),
            self.doubts: gr.update(choices=_doubts(sheet), value=None),
            self.status: "",
        }


def _about(sheet: Sheet) -> str:
    """Describe the masklet: what it is, its scores, why it is doubtful."""
    masklet = sheet.masklet
    name = f" ({masklet.name})" if masklet.name else ""
    scores = ", ".join(
        f"{SCORE_NAMES[key]} {value:.2f}"
        for key, value in masklet.scores.items()
        if value is not None
    )
    reasons = "; ".join(masklet.reasons) or "a reviewer was asked"
    return f"`{sheet.video.name}`, object {masklet.object_id}{name}  \n{scores}  \nWhy: {reasons}"


def _doubts(sheet: Sheet) -> list[tuple[str, int]]:
    return [
        (f"{doubt.frame}: {'; '.join(doubt.reasons)}", doubt.frame)
        for doubt in sheet.masklet.doubts
        if doubt.frame in sheet.rows
    ]
