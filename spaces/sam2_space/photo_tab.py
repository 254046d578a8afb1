"""Photo tab: click objects, choose among masks, name and download them."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from sam2_hf.overlay import object_colors
from sam2_space.widgets import components as parts, gestures
from sam2_space.widgets.find_by_name import NameBox, find_in_photo
from sam2_space.widgets.gestures import Gesture, PreviewPace

from .drawing import BACKGROUNDS, draw_candidates, draw_view, write_cutout, write_files
from .file_places import safe_stem
from .limits import LimitError, ShownSize
from .photo_work import PhotoWork, Xy, box_of_corners
from .readable_errors import readable
from .service import JOBS, Service, click_event
from .uploads import Upload, forget
from .visitors import Visitor

TAB = "photo"
Updates = dict[Any, Any]
Payload = dict[str, Any] | None
NO_PROGRESS = gr.Progress()  # replaced by Gradio with the page's progress bar
MEANING = "**Pick the best mask.** The number is its predicted IoU."
NO_MEANING = "**Pick the best mask:** candidate masks appear here after a click."
WELCOME = "**1** Choose a photo. **2** Click an object in it. **3** Download its mask."
DOWNLOADS = ("Mask PNG", "Overlay PNG", "COCO JSON", "Cutout PNG")
NO_PREVIEW = "The preview under the cursor is off here, because every move would use a shared GPU."
TOO_SLOW = "Preview paused: this machine is too slow or busy. It tries again in a minute."
PREVIEW_SIDE = 512  # pixels; the browser enlarges the mask


class PhotoTab:
    """Components of the tab, and their handlers.

    Args:
        service: The server's parts.
        samples: Photos to try.
    """

    def __init__(self, service: Service, samples: list[Path]) -> None:
        self.service = service
        self.pace = PreviewPace()
        self.hint = gr.Markdown(WELCOME, elem_classes="hint", elem_id="photo-hint")
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320, elem_classes="pictures"):
                self._build_picture(samples)
            with gr.Column(
                scale=2, min_width=320, visible=False, elem_classes="tools"
            ) as self.tools:
                self._build_tools()
        self.other = gr.Button("Other photo", size="sm", visible=False, elem_id="photo-other")
        gr.Markdown(self.service.limits.photo_text(), elem_classes="limits")
        self.outputs = [
            *(self.input, self.samples, self.view, self.hint, self.tools, self.objects, self.name),
            *(self.meaning, self.candidates, self.status, self.other, self.kind),
        ]
        self._connect()

    def _build_picture(self, samples: list[Path]) -> None:
        self.input = gr.Image(
            label="Photo: drop, paste, choose or take one",
            sources=["upload", "clipboard", "webcam"],
            webcam_options=gr.WebcamOptions(mirror=False),  # or the mask is mirrored as well
            type="filepath",
            image_mode=None,
            height=380,
            elem_id="photo-input",
        )
        self.samples = gr.Dataset(
            label="Or try a sample",
            components=[gr.Image(visible=False)],
            samples=[[str(path)] for path in samples],
            type="index",
            elem_id="photo-samples",
        )
        self.sample_paths = samples
        self.view = parts.picture_view(TAB, "Your photo with its masks")
        self.gestures = gestures.gestures(TAB)
        self.busy = parts.busy_line("photo-busy")

    def _build_tools(self) -> None:
        with gr.Column(elem_classes="choices", min_width=0):
            self.meaning = gr.Markdown(NO_MEANING, elem_classes="note", elem_id="photo-meaning")
            self.candidates = gr.Gallery(
                label="Pick the best mask",
                show_label=False,
                columns=4,
                height=120,
                allow_preview=False,
                visible=False,
                buttons=[],
                object_fit="contain",
                elem_id="photo-candidates",
            )
        self.kind = parts.click_kind(knows_boxes=self.service.model.knows_boxes)
        self.names = None if self.service.model.detector is None else NameBox(TAB)
        with gr.Row():
            self.undo = gr.Button("Undo", size="sm", min_width=80, elem_id="photo-undo")
            self.clear = gr.Button("Start over", size="sm", min_width=90, elem_id="photo-clear")
            self.new = gr.Button("New object", size="sm", min_width=100, elem_id="photo-new")
        self.objects, self.name = parts.object_list(TAB, "object")
        with gr.Row(elem_classes="downloads", elem_id="photo-downloads"):
            self.files = [
                gr.Button(label, size="sm", min_width=80, variant="primary") for label in DOWNLOADS
            ]
        self.status = gestures.channel("photo-status")
        with gr.Row():
            self.background = gr.Dropdown(
                list(BACKGROUNDS), value=BACKGROUNDS[0], label="Cutout background"
            )
            self.color = gr.ColorPicker("#00b140", label="Custom color")
        self._build_everything()
        self.hover = gr.Checkbox(
            label="Preview the mask under the cursor",
            value=True,
            interactive=True,  # since no handler reads it, only `page.js`
            elem_id="photo-hover",
        )
        self.preview = gestures.channel("photo-preview")
        self.x, self.y, self.add = parts.typed_click()

    def _build_everything(self) -> None:
        start = self.service.model.everything
        with gr.Accordion("Everything in the photo", open=False):
            self.points = gr.Slider(4, 32, start.points_per_side, step=4, label="Points per side")
            self.iou = gr.Slider(
                0, 1, start.pred_iou_thresh, step=0.05, label="Minimum predicted IoU"
            )
            self.stability = gr.Slider(
                0, 1, start.stability_score_thresh, step=0.05, label="Minimum stability"
            )
            with gr.Row():
                self.find = gr.Button("Find everything", elem_id="photo-everything")
                self.stop = gr.Button("Stop", variant="stop", min_width=80)

    def _connect(self) -> None:
        quick = click_event(self.outputs, self.busy)
        self._connect_photo(quick)
        typed = [self.kind, self.x, self.y]
        self.add.click(readable(self.click_typed), typed, **quick, trigger_mode="multiple")
        self.candidates.select(readable(self.choose), **quick)
        self.objects.input(readable(self.activate), self.objects, **quick)
        for event in (self.name.submit, self.name.blur):
            event(readable(self.rename), [self.name, self.objects], **quick)
        for button, verb in ((self.undo, PhotoWork.undo), (self.clear, PhotoWork.clear)):
            button.click(readable(self._acting(verb)), **quick, trigger_mode="multiple")
        self.new.click(readable(self.new_object), **quick)
        if self.names is not None:
            self.names.connect(readable(self.find_by_name), [], **quick)
        self.other.click(readable(self.ask_for_other), **quick)
        saving = {**quick, "outputs": self.status}
        for which, button in enumerate(self.files[:-1]):
            button.click(readable(self._saving(which)), **saving)
        self.files[-1].click(readable(self.save_cutout), [self.background, self.color], **saving)
        aside: dict[str, Any] = {
            "queue": False,
            "show_progress": "hidden",
            "api_visibility": "private",
        }
        self.find.click(readable(self.expect_finding), **aside).success(
            readable(self.find_all),
            [self.points, self.iou, self.stability],
            **{**quick, "show_progress": "full"}
            | {"concurrency_id": JOBS, "concurrency_limit": self.service.limits.jobs},
        )
        self.stop.click(readable(self.stop_finding), **aside)
        self.preview.select(readable(self.preview_at), outputs=self.preview, **aside)

    def _connect_photo(self, quick: dict[str, Any]) -> None:
        """Connect the choice of a photo, and what is done on it."""
        self.input.input(readable(self.load), self.input, **quick, preprocess=False).failure(
            lambda: None, outputs=self.input, api_visibility="private"
        )
        self.samples.click(readable(self.load_sample), self.samples, **quick)
        self.view.select(readable(self.click), self.kind, **quick, trigger_mode="multiple")
        self.gestures.select(readable(self.gesture), **quick, trigger_mode="multiple")

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
        x, y = ShownSize.on_page(work.size).xy((event.index[0], event.index[1]))
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
            elif kind == parts.EXCLUDE or not work.pick(xy):
                work.click(xy, positive=kind == parts.INCLUDE)
            return self._shown(visitor, work)

    def gesture(self, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a drag, a Shift-click, a right-click or a click by keyboard on the picture."""
        visitor, work = self._work(request)
        given, shown = Gesture.of_event(event), ShownSize.on_page(work.size)
        xy = shown.xy(given.xy)
        if given.kind == gestures.INCLUDE:
            return self._point(visitor, work, parts.INCLUDE, xy)
        with visitor.lock:
            if given.other is None:
                work.click(xy, positive=False)
            else:
                work.box(box_of_corners(xy, shown.xy(given.other)))
            return self._shown(visitor, work)

    def preview_at(self, event: gr.SelectData, request: gr.Request) -> str:
        """Answer the cursor with the mask that a click would give."""
        work = self.service.visitor(request).works.get(TAB)
        shown = str(event.value)
        if not isinstance(work, PhotoWork):  # deleted; a click tells so, a cursor need not
            return ""
        color = object_colors(work.scene.active)[-1]
        if not self.service.model.reports_progress:
            return gestures.preview_answer(shown, None, color, NO_PREVIEW)
        if self.pace.is_off:
            return gestures.preview_answer(shown, None, color, TOO_SLOW)
        x, y = gestures.numbers_of(event, 2)
        xy = ShownSize.on_page(work.size).xy((x, y))
        began = time.monotonic()
        mask_hw = work.preview(xy, ShownSize.within(work.size, PREVIEW_SIDE).size)
        self.pace.record(time.monotonic() - began)
        return gestures.preview_answer(shown, mask_hw, color, "")

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

    def rename(self, name: str, number: int, request: gr.Request) -> Updates:
        """Rename the object that was active in the browser, which may press New object next."""
        visitor, work = self._work(request)
        with visitor.lock:
            work.rename(name, int(number))
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
        return {**self._acting(PhotoWork.new_object)(request), self.kind: parts.INCLUDE}

    def find_by_name(self, text: str, request: gr.Request) -> Updates:
        """Add an object for each thing of a name."""
        visitor, work = self._work(request)
        with visitor.lock:
            find_in_photo(work, self.service.model, self.service.limits, text)
            return self._shown(visitor, work)

    def ask_for_other(self) -> Updates:
        """Ask for another photo; the current one stays until it is read."""
        asking: Updates = {
            component: gr.update(visible=True) for component in (self.input, self.samples)
        }
        return {**asking, self.other: gr.update(visible=False)}

    def _saving(self, which: int) -> Callable[[gr.Request], str]:
        def save(request: gr.Request) -> str:
            visitor, work = self._work(request)
            with visitor.lock:
                files = write_files(work, visitor.results_folder(), self.service.model.name)
            return gestures.file_link((files.mask, files.overlay, files.coco)[which])

        return save

    def save_cutout(self, background: str, color: str, request: gr.Request) -> str:
        """Write the cutout and offer it."""
        visitor, work = self._work(request)
        with visitor.lock:
            path = write_cutout(work, visitor.results_folder(), background, color)
        return gestures.file_link(path)

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
            text = f"{len(found)} masks in {took:.1f} s."
        else:
            text = "No mask passes both thresholds. Lower them and try again."
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
        answer = scene.current.answer
        return {
            self.view: gr.update(value=visitor.store_picture(draw_view(work)), visible=True),
            self.tools: gr.update(visible=True),
            self.other: gr.update(visible=True),
            self.hint: _hint(work),
            self.status: "",
            self.objects: gr.update(choices=list(scene.labels()), value=scene.active),
            self.name: gr.update(value=scene.current.name),
            self.meaning: MEANING if thumbnails else NO_MEANING,
            self.candidates: gr.update(
                value=thumbnails,
                visible=bool(thumbnails),
                selected_index=answer.chosen if thumbnails and answer else None,
            ),
        }


def _hint(work: PhotoWork) -> str:
    """Return the hint for the next step."""
    scene, size = work.scene, work.size
    if scene.corner is not None:
        return "Now click the **opposite corner** of the box."
    if scene.everything is not None:
        return "**Click a mask** to make it an object. *New object* goes back to your own clicks."
    if not scene.answered:
        smaller = ""
        if size != work.original_size:
            smaller = (
                f" It was downscaled to {size[1]} x {size[0]} pixels, and its masks have that size."
            )
        return f"**Click an object** in the photo, or drag a box around it.{smaller}"
    return (
        "Not quite? Pick another mask, **click what is missing**, or Shift-click or right-click "
        "what does not belong."
    )
