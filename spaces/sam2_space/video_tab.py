"""Video tab: click in any frame, track with progress, correct, download."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from sam2_hf.errors import FrameError
from sam2_hf.video.propagation import PropagationDirection

from . import components as parts
from .drawing import draw_frame, hint
from .file_places import safe_stem
from .limits import LimitError, ShownSize
from .photo_work import Xy
from .readable_errors import readable
from .service import CLICKS, CLICKS_AT_A_TIME, JOBS, Service
from .uploads import Upload
from .video_files import VideoFiles, curve, curve_colors, to_review, write_video_files
from .video_work import TrackStep, VideoWork, open_video
from .visitors import Visitor

TAB = "video"
Updates = dict[Any, Any]
SHOW_EVERY = 0.4  # seconds between pictures while a job runs


class VideoJobs:
    """Handlers of Track and Stop.

    Args:
        tab: The tab to update.
    """

    def __init__(self, tab: "VideoTab") -> None:
        self.tab = tab

    def expect(self, request: gr.Request) -> None:
        """Prepare for a job, which may wait in the queue."""
        visitor, work = require_video(self.tab.service, request)
        work.expect_job()
        visitor.expect_job()

    def track(self, choice: str, frame: int, request: gr.Request) -> Iterator[Updates]:
        """Track with progress, write the files, show the results."""
        from_here = "frame shown" in choice
        direction = _direction(choice)
        visitor, work = require_video(self.tab.service, request)
        start = int(frame) if from_here else None
        steps = self._steps(visitor, work, direction, start)
        try:
            with visitor.job():
                yield from steps
        except Exception:
            if visitor.works.get(TAB) is not work:
                return  # another video was chosen; this one is no longer shown
            yield {self.tab.status: parts.status_line("This went wrong; see the message.")}
            raise

    def _steps(
        self, visitor: Visitor, work: VideoWork, direction: PropagationDirection, start: int | None
    ) -> Iterator[Updates]:
        step: TrackStep | None = None
        updated = 0.0
        failure: Exception | None = None
        try:
            for step in work.track(direction, start):
                visitor.touch()
                if time.monotonic() - updated > SHOW_EVERY:
                    updated = time.monotonic()
                    yield self._at(visitor, work, step)
        except FrameError as error:
            failure = error
        if step is not None and visitor.works.get(TAB) is work:
            yield from self._results(visitor, work, step)
        elif failure is None:
            yield {self.tab.status: parts.status_line("Stopped before the first frame.")}
        if failure is not None:
            raise failure

    def stop(self, request: gr.Request) -> None:
        """Stop tracking; finished frames are kept."""
        require_video(self.tab.service, request)[1].stop()

    def _at(self, visitor: Visitor, work: VideoWork, step: TrackStep) -> Updates:
        text = f"Frame {step.done} of {step.total} · {step.rate:.1f} frames/s"
        return {
            self.tab.status: parts.progress_bar(step.done, step.total, text),
            self.tab.view: gr.update(value=visitor.store_picture(draw_frame(work, step.frame))),
            self.tab.frame: gr.update(value=step.frame),
        }

    def _results(self, visitor: Visitor, work: VideoWork, step: TrackStep) -> Iterator[Updates]:
        """Write the files and show the results."""
        files = VideoFiles.in_folder(work.new_folder(), work.name)
        updated, prompts = 0.0, work.scene.prompts
        work.expect_job()  # Stop has ended tracking; pressed again, it ends writing
        for done, total in write_video_files(work, files, self.tab.service.model.name):
            visitor.touch()
            if work.is_stopped:
                break
            if time.monotonic() - updated > SHOW_EVERY:
                updated = time.monotonic()
                text = f"Writing the video: {done} of {total} frames"
                yield {self.tab.status: parts.progress_bar(done, total, text)}
        if work.is_stopped:
            shutil.rmtree(files.overlay.parent, ignore_errors=True)
            text = "Stopped; what is tracked is kept. Track again to get the files."
            yield {self.tab.status: parts.status_line(text)}
            return
        older, work.files_folder = work.files_folder, files.overlay.parent
        work.written = prompts
        if older is not None:
            shutil.rmtree(older, ignore_errors=True)
        ended = "" if step.done == step.total else f" Stopped at frame {step.frame}; it is kept."
        text = f"{step.done} frames tracked, {step.rate:.1f} a second.{ended}"
        yield {
            **self.tab.shown_at(visitor, work, step.frame),
            self.tab.status: parts.status_line(text),
            self.tab.results: gr.update(visible=True),
            self.tab.player: gr.update(value=str(files.overlay)),
            self.tab.plot: curve(work),
            self.tab.review: gr.update(choices=to_review(work), value=None),
            **parts.offered(self.tab.files, [files.overlay, files.masks, files.masklets]),
        }


def require_video(service: Service, request: gr.Request) -> tuple[Visitor, VideoWork]:
    """Return the video of a visit.

    Raises:
        LimitError: There is none.
    """
    visitor = service.visitor(request)
    work = visitor.works.get(TAB)
    if not isinstance(work, VideoWork):
        raise service.nothing_here("video", request)
    return visitor, work


def _direction(choice: str) -> PropagationDirection:
    if choice.startswith("both"):
        return "both"
    return "backward" if choice.startswith("backward") else "forward"


Payload = dict[str, Any] | None
WELCOME = "**1** Choose a video. **2** Click an object in a frame. **3** Track it."
DIRECTIONS = (
    "forward from the first click",
    "both ways from the first click",
    "forward from the frame shown",
    "backward from the frame shown",
)


class VideoTab:
    """Components of the tab, and their handlers.

    Args:
        service: The server's parts.
        samples: Videos to try.
    """

    def __init__(self, service: Service, samples: list[Path]) -> None:
        self.service = service
        self.sample_paths = samples
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                self._build_video(samples)
            with gr.Column(scale=2, min_width=320, visible=False) as self.tools:
                self._build_tools()
        with gr.Column(visible=False) as self.results:
            self.outdated = parts.outdated_note()
            self._build_results()
        self.shown = [*(self.view, self.hint, self.frame, self.objects, self.tools, self.other)]
        self.shown += [
            self.status,
            self.input,
            self.samples,
            self.results,
            self.kind,
            self.outdated,
        ]
        self._connect()

    def _build_video(self, samples: list[Path]) -> None:
        self.hint = gr.Markdown(WELCOME, elem_classes="hint")
        self.input = gr.Video(
            label="Video: drop or choose one",
            sources=["upload"],
            height=380,
            elem_id="video-input",
        )
        self.samples = gr.Dataset(
            label="Or try this one",
            components=[gr.Video(visible=False)],
            samples=[[str(path)] for path in samples],
            type="index",
            elem_id="video-samples",
        )
        self.view = gr.Image(
            label="Click here",
            alt_text="A frame of your video with the masks so far",
            visible=False,
            interactive=False,
            buttons=["fullscreen"],
            elem_id="video-view",
            elem_classes="canvas",
        )
        self.frame = gr.Slider(
            0, 1, 0, step=1, label="Frame", visible=False, elem_id="video-frame", buttons=[]
        )
        self.other = gr.Button("Other video", size="sm", visible=False, elem_id="video-other")
        gr.Markdown(self.service.limits.video_text(), elem_classes="limits")

    def _build_tools(self) -> None:
        self.kind = parts.click_kind(knows_boxes=self.service.model.knows_boxes)
        with gr.Row():
            self.undo = gr.Button("Undo", size="sm", min_width=80, elem_id="video-undo")
            self.new = gr.Button("New object", size="sm", min_width=110, elem_id="video-new")
        self.objects = gr.Radio(
            [("object 1", 1)],
            value=1,
            label="Object",
            elem_classes="objects",
            elem_id="video-objects",
        )
        with gr.Row():
            self.clear = gr.Button(
                "Clear its clicks here", size="sm", min_width=140, elem_id="video-clear"
            )
            self.remove = gr.Button("Remove it", size="sm", min_width=90, elem_id="video-remove")
        self.x, self.y, self.add = parts.typed_click()
        self.choice = gr.Dropdown(
            list(DIRECTIONS), value=DIRECTIONS[0], label="Track", elem_id="video-course"
        )
        with gr.Row():
            self.track = gr.Button("Track", variant="primary", elem_id="video-track")
            self.stop = gr.Button("Stop", variant="stop", elem_id="video-stop")
        self.status = gr.HTML("", elem_id="video-status", min_height=60)

    def _build_results(self) -> None:
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                self.player = gr.Video(
                    label="Tracked", interactive=False, autoplay=True, elem_id="video-player"
                )
                with gr.Row():
                    self.files = parts.download_buttons(["Video MP4", "Masks ZIP", "RLE JSON"])
            with gr.Column(scale=2, min_width=320):
                self.plot = gr.LinePlot(
                    x="frame",
                    y="predicted IoU",
                    color="object",
                    color_map=curve_colors(self.service.limits.objects),
                    y_lim=[0, 1],
                    height=330,
                    label="How sure the model is",
                    elem_id="video-curve",
                )
                self.review = gr.Radio(
                    [], label="Frames to review, worst first", elem_id="video-review"
                )

    def _connect(self) -> None:
        hidden: dict[str, Any] = {"api_visibility": "private"}
        quick: dict[str, Any] = {
            **hidden,
            "outputs": self.shown,
            "concurrency_id": CLICKS,
            "concurrency_limit": CLICKS_AT_A_TIME,
            "show_progress": "minimal",
            "show_progress_on": self.view,
        }
        loading = {**quick, "show_progress": "full", "show_progress_on": self.input}
        self.input.upload(readable(self.load), self.input, **loading, preprocess=False).failure(
            lambda: None, outputs=self.input, **hidden
        )
        self.samples.click(readable(self.load_sample), self.samples, **loading)
        self.view.select(
            readable(self.click), [self.kind, self.frame], **quick, trigger_mode="multiple"
        )
        typed = [self.kind, self.frame, self.x, self.y]
        self.add.click(readable(self.click_typed), typed, **quick, trigger_mode="multiple")
        self.frame.input(readable(self.scrub), self.frame, **quick, trigger_mode="always_last")
        self.objects.input(readable(self.activate), [self.objects, self.frame], **quick)
        self.review.input(readable(self.scrub), self.review, **quick)
        for button, verb in (
            (self.undo, lambda work, frame: work.undo()),
            (self.clear, lambda work, frame: work.clear(frame)),
            (self.remove, lambda work, frame: work.remove()),
        ):
            button.click(readable(self._acting(verb)), self.frame, **quick)
        self.new.click(readable(self.new_object), self.frame, **quick)
        self.other.click(readable(self.ask_for_other), **quick)
        jobs = VideoJobs(self)
        self.track.click(
            readable(jobs.expect), queue=False, show_progress="hidden", **hidden
        ).success(
            readable(jobs.track),
            [self.choice, self.frame],
            [*self.shown, self.player, self.plot, self.review, *self.files],
            concurrency_id=JOBS,
            concurrency_limit=self.service.limits.jobs,
            show_progress_on=self.status,
            **hidden,
        )
        self.stop.click(readable(jobs.stop), queue=False, show_progress="hidden", **hidden)

    def load(self, payload: Payload, request: gr.Request) -> Updates:
        """Open an uploaded video."""
        upload = Upload.of_payload(payload)
        if upload is None:
            return {self.hint: WELCOME}
        path = self.service.own(upload, request, samples=False)
        visitor = self.service.visitor(request)
        folder = visitor.new_folder()
        name = safe_stem(upload.name, "video")
        return self._begin(path.replace(folder / path.name), name, visitor, folder)

    def load_sample(self, which: int, request: gr.Request) -> Updates:
        """Open a sample."""
        path = self.sample_paths[which]
        visitor = self.service.visitor(request)
        return self._begin(path, path.stem, visitor, visitor.new_folder())

    def _begin(self, path: Path, name: str, visitor: Visitor, folder: Path) -> Updates:
        service = self.service
        try:
            work = open_video(path, name, service.model, service.limits, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        visitor.set_work(TAB, work)
        return {
            **self.shown_at(visitor, work, 0),
            self.input: gr.update(value=None, visible=False),
            self.samples: gr.update(visible=False),
            self.frame: gr.update(
                value=0, maximum=max(work.num_frames - 1, 1), visible=work.num_frames > 1
            ),
            self.results: gr.update(visible=False),
            self.status: "",
        }

    def click(self, kind: str, frame: int, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a click on the shown frame."""
        visitor, work = require_video(self.service, request)
        xy = ShownSize.within(work.size).xy((event.index[0], event.index[1]))
        return self._point(visitor, work, kind, (int(frame), xy))

    def click_typed(
        self, kind: str, frame: int, x: float | None, y: float | None, request: gr.Request
    ) -> Updates:
        """Handle a typed click, in pixels of the video."""
        visitor, work = require_video(self.service, request)
        if x is None or y is None:
            raise LimitError("Type both x and y, in pixels of the video.")
        return self._point(visitor, work, kind, (int(frame), (x, y)))

    def _point(
        self, visitor: Visitor, work: VideoWork, kind: str, where: tuple[int, Xy]
    ) -> Updates:
        frame, xy = where
        if kind == parts.CORNER:
            work.corner(frame, xy)
        else:
            work.click(frame, xy, positive=kind == parts.ON)
        return self.shown_at(visitor, work, frame)

    def scrub(self, frame: int | None, request: gr.Request) -> Updates:
        """Show another frame."""
        visitor, work = require_video(self.service, request)
        return self.shown_at(visitor, work, int(frame or 0))

    def activate(self, number: int, frame: int, request: gr.Request) -> Updates:
        """Activate another object."""
        visitor, work = require_video(self.service, request)
        work.activate(int(number))
        return self.shown_at(visitor, work, int(frame))

    def _acting(
        self, verb: Callable[[VideoWork, int], object]
    ) -> Callable[[int, gr.Request], Updates]:
        def act(frame: int, request: gr.Request) -> Updates:
            visitor, work = require_video(self.service, request)
            verb(work, int(frame))
            return self.shown_at(visitor, work, int(frame))

        return act

    def new_object(self, frame: int, request: gr.Request) -> Updates:
        """Start another object with the next click, which is positive."""
        shown = self._acting(lambda work, _: work.new_object())(frame, request)
        return {**shown, self.kind: parts.ON}

    def ask_for_other(self) -> Updates:
        """Ask for another video; the current one stays until it is opened."""
        asking: Updates = {
            component: gr.update(visible=True) for component in (self.input, self.samples)
        }
        return {**asking, self.other: gr.update(visible=False)}

    def shown_at(self, visitor: Visitor, work: VideoWork, frame: int) -> Updates:
        """Update all components for a frame."""
        picture = visitor.store_picture(draw_frame(work, frame))
        choices = [(f"object {number}", number) for number in work.numbers]
        return {
            self.view: gr.update(value=picture, visible=True),
            self.hint: hint(work, frame),
            self.frame: gr.update(value=frame),
            self.objects: gr.update(choices=choices, value=work.scene.active),
            self.tools: gr.update(visible=True),
            self.other: gr.update(visible=True),
            self.outdated: gr.update(visible=work.is_outdated),
        }
