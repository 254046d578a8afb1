"""Photo tab: click objects, choose among masks, name and download them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from . import components as parts
from .drawing import draw_candidates, draw_view, write_files
from .file_places import safe_stem
from .limits import LimitError, ShownSize
from .photo_work import PhotoWork, Xy
from .readable_errors import readable
from .service import CLICKS, CLICKS_AT_A_TIME, JOBS, Service
from .uploads import Upload, forget
from .visitors import Visitor

TAB = "photo"
Updates = dict[Any, Any]
Payload = dict[str, Any] | None
NO_PROGRESS = gr.Progress()  # replaced by Gradio with the page's progress bar
MEANING = "What you may mean, and how good the model thinks it is. Choose one."
WELCOME = "**1** Choose a photo. **2** Click an object in it. **3** Download its mask."


class PhotoTab:
    """Components of the tab, and their handlers.

    Args:
        service: The server's parts.
        samples: Photos to try.
    """

    def __init__(self, service: Service, samples: list[Path]) -> None:
        self.service = service
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                self._build_picture(samples)
            with gr.Column(scale=2, min_width=320, visible=False) as self.tools:
                self._build_tools()
        self.outputs = [
            *(self.input, self.samples, self.view, self.hint, self.tools, self.objects, self.name),
            *(self.meaning, self.candidates, self.status, self.other, self.kind, *self.files),
        ]
        self._connect()

    def _build_picture(self, samples: list[Path]) -> None:
        self.hint = gr.Markdown(WELCOME, elem_classes="hint")
        self.input = gr.Image(
            label="Photo: drop, paste, choose, or take one",
            sources=["upload", "clipboard", "webcam"],
            type="filepath",
            image_mode=None,
            height=380,
            elem_id="photo-input",
        )
        self.samples = gr.Dataset(
            label="Or try one of these",
            components=[gr.Image(visible=False)],
            samples=[[str(path)] for path in samples],
            type="index",
            elem_id="photo-samples",
        )
        self.sample_paths = samples
        self.view = gr.Image(
            label="Click here",
            alt_text="Your photo with the masks so far",
            visible=False,
            interactive=False,
            buttons=["fullscreen"],
            elem_id="photo-view",
            elem_classes="canvas",
        )
        self.other = gr.Button("Other photo", size="sm", visible=False, elem_id="photo-other")
        gr.Markdown(self.service.limits.photo_text(), elem_classes="limits")

    def _build_tools(self) -> None:
        self.kind = parts.click_kind(knows_boxes=self.service.model.knows_boxes)
        with gr.Row():
            self.undo = gr.Button("Undo", size="sm", min_width=80, elem_id="photo-undo")
            self.clear = gr.Button("Clear", size="sm", min_width=80, elem_id="photo-clear")
            self.new = gr.Button("New object", size="sm", min_width=110, elem_id="photo-new")
        self.objects = gr.Radio(
            [], label="Object", elem_classes="objects", elem_id="photo-objects", visible=False
        )
        self.name = gr.Textbox(label="Its name", max_length=40, visible=False, elem_id="photo-name")
        self.meaning = gr.Markdown(MEANING, visible=False, elem_classes="above")
        self.candidates = gr.Gallery(
            label="Readings of the click",
            show_label=False,
            columns=4,
            height=150,
            allow_preview=False,
            visible=False,
            buttons=[],
            object_fit="contain",
            elem_id="photo-candidates",
        )
        self.x, self.y, self.add = parts.typed_click()
        self._build_everything()
        self.status = gr.HTML("", elem_id="photo-status")
        with gr.Row():
            self.make = gr.Button("Make files", variant="primary", elem_id="photo-make")
        with gr.Row():
            self.files = parts.download_buttons(["Overlay PNG", "Mask PNG", "COCO JSON"])

    def _build_everything(self) -> None:
        start = self.service.model.everything
        with gr.Accordion("Everything in the photo", open=False):
            self.points = gr.Slider(
                4, 32, start.points_per_side, step=4, label="Clicks along each side"
            )
            self.iou = gr.Slider(
                0, 1, start.pred_iou_thresh, step=0.05, label="Least predicted IoU"
            )
            self.stability = gr.Slider(
                0, 1, start.stability_score_thresh, step=0.05, label="Least stability"
            )
            with gr.Row():
                self.find = gr.Button("Find everything", elem_id="photo-everything")
                self.stop = gr.Button("Stop", variant="stop", min_width=80)

    def _connect(self) -> None:
        quick: dict[str, Any] = {
            "outputs": self.outputs,
            "api_visibility": "private",
            "concurrency_id": CLICKS,
            "concurrency_limit": CLICKS_AT_A_TIME,
            "show_progress": "minimal",
            "show_progress_on": self.view,
        }
        loading = {**quick, "show_progress": "full", "show_progress_on": self.input}
        self.input.input(readable(self.load), self.input, **loading, preprocess=False).failure(
            lambda: None, outputs=self.input, api_visibility="private"
        )
        self.samples.click(readable(self.load_sample), self.samples, **loading)
        self.view.select(readable(self.click), self.kind, **quick, trigger_mode="multiple")
        typed = [self.kind, self.x, self.y]
        self.add.click(readable(self.click_typed), typed, **quick, trigger_mode="multiple")
        self.candidates.select(readable(self.choose), **quick)
        self.objects.input(readable(self.activate), self.objects, **quick)
        self.name.submit(readable(self.rename), self.name, **quick)
        self.name.blur(readable(self.rename), self.name, **quick)
        for button, verb in (
            (self.undo, PhotoWork.undo),
            (self.clear, PhotoWork.clear),
        ):
            button.click(readable(self._acting(verb)), **quick, trigger_mode="multiple")
        self.new.click(readable(self.new_object), **quick)
        self.other.click(readable(self.ask_for_other), **quick)
        self.make.click(readable(self.make_files), **{**quick, "show_progress_on": self.status})
        self.find.click(
            readable(self.expect_finding),
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        ).success(
            readable(self.find_all),
            [self.points, self.iou, self.stability],
            **{**quick, "show_progress_on": self.status, "show_progress": "full"}
            | {"concurrency_id": JOBS, "concurrency_limit": self.service.limits.jobs},
        )

        self.stop.click(
            readable(self.stop_finding),
            queue=False,
            show_progress="hidden",
            api_visibility="private",
        )

    def load(self, payload: Payload, request: gr.Request) -> Updates:
        """Read an uploaded photo."""
        upload = Upload.of_payload(payload)
        if upload is None:
            return {self.hint: WELCOME}
        path = self.service.own(upload, request, samples=False)
        try:
            return self._begin(path, safe_stem(upload.name, "photo"), request)
        finally:
            forget(path)

    def load_sample(self, which: int, request: gr.Request) -> Updates:
        """Read a sample."""
        path = self.sample_paths[which]
        return self._begin(path, path.stem, request)

    def _begin(self, path: Path, name: str, request: gr.Request) -> Updates:
        visitor = self.service.visitor(request)
        work = PhotoWork.read(path, name, self.service.model, self.service.limits)
        visitor.set_work(TAB, work)
        shown = {self.input: gr.update(value=None, visible=False)}
        return shown | {self.samples: gr.update(visible=False)} | self._shown(visitor, work)

    def click(self, kind: str, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a click on the picture."""
        visitor, work = self._work(request)
        x, y = ShownSize.within(work.size).xy((event.index[0], event.index[1]))
        return self._point(visitor, work, kind, (x, y))

    def click_typed(
        self, kind: str, x: float | None, y: float | None, request: gr.Request
    ) -> Updates:
        """Handle a typed click, in pixels of the photo."""
        visitor, work = self._work(request)
        if x is None or y is None:
            raise LimitError("Type both x and y, in pixels of the photo.")
        return self._point(visitor, work, kind, (x, y))

    def _point(self, visitor: Visitor, work: PhotoWork, kind: str, xy: Xy) -> Updates:
        with visitor.lock:
            if kind == parts.CORNER:
                work.corner(xy)
            else:
                work.click(xy, positive=kind == parts.ON)
            return self._shown(visitor, work)

    def choose(self, event: gr.SelectData, request: gr.Request) -> Updates:
        """Choose another candidate."""
        visitor, work = self._work(request)
        with visitor.lock:
            work.choose(int(event.index))
            return self._shown(visitor, work)

    def activate(self, number: int, request: gr.Request) -> Updates:
        """Activate another object."""
        visitor, work = self._work(request)
        with visitor.lock:
            work.activate(int(number))
            return self._shown(visitor, work)

    def rename(self, name: str, request: gr.Request) -> Updates:
        """Rename the current object."""
        visitor, work = self._work(request)
        with visitor.lock:
            work.rename(name)
            return {self.objects: gr.update(choices=list(work.scene.labels()))}

    def _acting(self, verb: Callable[[PhotoWork], object]) -> Callable[[gr.Request], Updates]:
        def act(request: gr.Request) -> Updates:
            visitor, work = self._work(request)
            with visitor.lock:
                verb(work)
                return self._shown(visitor, work)

        return act

    def new_object(self, request: gr.Request) -> Updates:
        """Start another object with the next click, which is positive."""
        return {**self._acting(PhotoWork.new_object)(request), self.kind: parts.ON}

    def ask_for_other(self) -> Updates:
        """Ask for another photo; the current one stays until it is read."""
        asking: Updates = {
            component: gr.update(visible=True) for component in (self.input, self.samples)
        }
        return {**asking, self.other: gr.update(visible=False)}

    def make_files(self, request: gr.Request) -> Updates:
        """Write the files and offer them."""
        visitor, work = self._work(request)
        with visitor.lock:
            files = write_files(work, visitor.results_folder(), self.service.model.name)
        return parts.offered(self.files, [files.overlay, files.mask, files.coco])

    def find_all(
        self,
        points: int,
        iou: float,
        stability: float,
        request: gr.Request,
        progress: gr.Progress = NO_PROGRESS,
    ) -> Updates:
        """Find everything, with progress."""
        visitor, work = self._work(request)
        options = {
            "points_per_side": int(points),
            "pred_iou_thresh": float(iou),
            "stability_score_thresh": float(stability),
        }
        began = time.monotonic()
        with visitor.job():
            found = work.find_all(
                options,
                lambda done, total: progress((done, total), "Looking everywhere", unit="clicks"),
            )
        took = time.monotonic() - began
        if found:
            text = f"{len(found)} masks in {took:.1f} s. Click an object to go back to clicks."
        else:
            text = "No mask is good and stable enough. Lower the two thresholds and try again."
        return {**self._shown(visitor, work), self.status: parts.status_line(text)}

    def expect_finding(self, request: gr.Request) -> None:
        """Prepare for everything-mode, which may wait in the queue."""
        visitor, work = self._work(request)
        work.expect_job()
        visitor.expect_job()

    def stop_finding(self, request: gr.Request) -> None:
        """Stop everything-mode."""
        self._work(request)[1].stop()

    def _work(self, request: gr.Request) -> tuple[Visitor, PhotoWork]:
        visitor = self.service.visitor(request)
        work = visitor.works.get(TAB)
        if not isinstance(work, PhotoWork):
            raise self.service.nothing_here("photo", request)
        return visitor, work

    def _shown(self, visitor: Visitor, work: PhotoWork) -> Updates:
        """Update all components."""
        scene = work.scene
        thumbnails = [
            (visitor.store_picture(picture_hw3), text)
            for picture_hw3, text in draw_candidates(work)
        ]
        has_objects = bool(scene.answered)
        answer = scene.current.answer
        return {
            self.view: gr.update(value=visitor.store_picture(draw_view(work)), visible=True),
            self.tools: gr.update(visible=True),
            self.other: gr.update(visible=True),
            self.hint: _hint(work),
            self.status: "",
            self.objects: gr.update(
                choices=list(scene.labels()), value=scene.active, visible=has_objects
            ),
            self.name: gr.update(value=scene.current.name, visible=has_objects),
            self.meaning: gr.update(visible=bool(thumbnails)),
            self.candidates: gr.update(
                value=thumbnails,
                visible=bool(thumbnails),
                selected_index=answer.chosen if thumbnails and answer else None,
            ),
            **parts.withdrawn(self.files),
        }


def _hint(work: PhotoWork) -> str:
    """Return the hint for the next step."""
    scene, size = work.scene, work.size
    if scene.corner is not None:
        return "Now click the **opposite corner** of the box."
    if scene.everything is not None:
        return "Every mask has a color. **Click an object** to go back to your own clicks."
    if not scene.answered:
        smaller = ""
        if size != work.original_size:
            smaller = f" It was shrunk to {size[1]} x {size[0]} pixels; so will be its masks."
        return f"**Click an object** in the photo.{smaller}"
    return (
        "Not quite? Choose another reading, **click what is missing**, or set *Beside it* and "
        "click what is too much."
    )
