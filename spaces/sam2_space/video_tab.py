"""Video tab: click in any frame, track with progress, correct, download."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from sam2_hf.errors import FrameError
from sam2_hf.video.propagation import PropagationDirection
from sam2_space.widgets import components as parts, timeline
from sam2_space.widgets.find_by_name import find_in_video
from sam2_space.widgets.gestures import INCLUDE, Gesture

from .drawing import draw_frame
from .file_places import safe_stem
from .limits import LimitError, ShownSize
from .photo_work import Xy, box_of_corners
from .readable_errors import readable
from .service import CLICKS, JOBS, Service, click_event
from .uploads import Upload
from .video_controls import TAB, WELCOME, VideoControls, marks_of, object_choices, review_update
from .video_files import VideoFiles, curve, write_video_files
from .video_work import TrackStep, VideoWork, open_video
from .visitors import Visitor

Payload = dict[str, Any] | None
Updates = dict[Any, Any]
SHOW_EVERY = 0.4  # seconds between pictures while a job runs


class VideoJobs:
    """Handlers of Track and Stop.

    Args:
        tab: The controls to update.
        service: The server's parts.
    """

    def __init__(self, tab: VideoControls, service: Service) -> None:
        self.tab = tab
        self.service = service

    def expect(self, request: gr.Request) -> None:
        """Prepare for a job, which may wait in the queue."""
        visitor, work = require_video(self.service, request)
        work.expect_job()
        visitor.expect_job()

    def track(self, choice: str, frame: int, policy: str, request: gr.Request) -> Iterator[Updates]:
        """Track with progress, write the files, show the results."""
        from_here = "frame shown" in choice
        direction = _direction(choice)
        visitor, work = require_video(self.service, request)
        start = int(frame) if from_here else None
        work.use_memory_policy(policy)
        steps = self._steps(visitor, work, direction, start)
        try:
            with visitor.job():
                yield from steps
        except Exception:
            if visitor.works.get(TAB) is not work:
                return  # another video was chosen; this one is no longer shown
            yield {self.tab.status: parts.status_line("Tracking failed; see the message.")}
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
        require_video(self.service, request)[1].stop()

    def _at(self, visitor: Visitor, work: VideoWork, step: TrackStep) -> Updates:
        text = f"Frame {step.done} of {step.total} · {step.rate:.1f} frames/s"
        return {
            self.tab.status: parts.progress_bar(step.done, step.total, text),
            self.tab.view: gr.update(value=visitor.store_picture(draw_frame(work, step.frame))),
            self.tab.frame: gr.update(value=step.frame),
            self.tab.marks: marks_of(work, step.frame),
        }

    def _results(self, visitor: Visitor, work: VideoWork, step: TrackStep) -> Iterator[Updates]:
        """Write the files and show the results."""
        files = VideoFiles.in_folder(work.new_folder(), work.name)
        updated, prompts = 0.0, work.scene.prompts
        work.expect_job()  # Stop has ended tracking; pressed again, it ends writing
        for done, total in write_video_files(work, files, self.service.model.name):
            visitor.touch()
            if work.is_stopped:
                break
            if time.monotonic() - updated > SHOW_EVERY:
                updated = time.monotonic()
                text = f"Writing the video: {done} of {total} frames"
                yield {self.tab.status: parts.progress_bar(done, total, text)}
        if work.is_stopped:
            shutil.rmtree(files.overlay.parent, ignore_errors=True)
            text = "Stopped; the tracked frames are kept. Track again to get the files."
            yield {self.tab.status: parts.status_line(text)}
            return
        older, work.files_folder = work.files_folder, files.overlay.parent
        work.written = prompts
        if older is not None:
            shutil.rmtree(older, ignore_errors=True)
        ended = (
            ""
            if step.done == step.total
            else f" Stopped at frame {step.frame}; the tracked frames are kept."
        )
        text = f"{step.done} frames tracked, {step.rate:.1f} a second.{ended}"
        yield {
            **self.tab.shown_at(visitor, work, step.frame),
            self.tab.status: parts.status_line(text),
            self.tab.results: gr.update(visible=True),
            self.tab.player: gr.update(value=str(files.overlay)),
            self.tab.plot: curve(work),
            self.tab.review: review_update(work),
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


class VideoTab:
    """Handlers of the tab.

    Args:
        service: The server's parts.
        samples: Videos to try.
    """

    def __init__(self, service: Service, samples: list[Path]) -> None:
        self.service = service
        self.sample_paths = samples
        self.controls = VideoControls(
            service.limits,
            samples,
            knows_boxes=service.model.knows_boxes,
            knows_names=service.model.detector is not None,
        )
        self._connect()

    def _connect(self) -> None:
        tab = self.controls
        hidden: dict[str, Any] = {"api_visibility": "private"}
        quick = click_event(tab.shown, tab.busy)
        self._connect_video(quick)
        typed = [tab.kind, tab.frame, tab.x, tab.y]
        tab.add.click(readable(self.click_typed), typed, **quick, trigger_mode="multiple")
        tab.frame.input(readable(self.scrub), tab.frame, **quick, trigger_mode="always_last")
        tab.marks.select(readable(self.go_to), **quick, trigger_mode="always_last")
        for event in (tab.name.submit, tab.name.blur):
            event(readable(self.rename), [tab.name, tab.objects], **quick)
        tab.objects.input(readable(self.activate), [tab.objects, tab.frame], **quick)
        tab.review.input(readable(self.scrub), tab.review, **quick)
        for button, verb in (
            (tab.undo, lambda work, frame: work.undo()),
            (tab.clear, lambda work, frame: work.clear(frame)),
            (tab.remove, lambda work, frame: work.remove()),
        ):
            button.click(readable(self._acting(verb)), tab.frame, **quick)
        tab.new.click(readable(self.new_object), tab.frame, **quick)
        if tab.names is not None:
            tab.names.connect(readable(self.find_by_name), [tab.frame], **quick)
        tab.other.click(readable(self.ask_for_other), **quick)
        jobs = VideoJobs(tab, self.service)
        tab.track.click(
            readable(jobs.expect), queue=False, show_progress="hidden", **hidden
        ).success(
            readable(jobs.track),
            [tab.choice, tab.frame, tab.policy],
            [
                *tab.shown,
                tab.player,
                tab.plot,
                tab.review,
                *tab.files,
            ],
            concurrency_id=JOBS,
            concurrency_limit=self.service.limits.jobs,
            show_progress_on=tab.busy,
            **hidden,
        )
        tab.stop.click(readable(jobs.stop), queue=False, show_progress="hidden", **hidden)

    def _connect_video(self, quick: dict[str, Any]) -> None:
        """Connect the choice of a video, and what is done on a frame."""
        tab = self.controls
        hidden = {"api_visibility": "private"}
        uploaded = tab.input.upload(readable(self.load), tab.input, **quick, preprocess=False)
        uploaded.failure(lambda: None, outputs=tab.input, **hidden)
        chosen = tab.samples.click(readable(self.load_sample), tab.samples, **quick)
        for opened in (uploaded, chosen):
            opened.success(
                readable(self.show_thumbs),
                outputs=tab.thumbs,
                show_progress="hidden",
                concurrency_id=CLICKS,
                **hidden,
            )
        clicked = {**quick, "trigger_mode": "multiple"}
        tab.view.select(readable(self.click), [tab.kind, tab.frame], **clicked)
        tab.gestures.select(readable(self.gesture), tab.frame, **clicked)

    def load(self, payload: Payload, request: gr.Request) -> Updates:
        """Open an uploaded video."""
        upload = Upload.of_payload(payload)
        if upload is None:
            return {self.controls.hint: WELCOME}
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
            **self.controls.shown_at(visitor, work, 0),
            self.controls.input: gr.update(value=None, visible=False),
            self.controls.samples: gr.update(visible=False),
            self.controls.frame: gr.update(
                value=0, maximum=max(work.num_frames - 1, 1), visible=work.num_frames > 1
            ),
            self.controls.timeline: gr.update(visible=work.num_frames > 1),
            self.controls.results: gr.update(visible=False),
            self.controls.status: "",
        }

    def show_thumbs(self, request: gr.Request) -> str:
        """Decode the thumbnails of the timeline, one at a time."""
        _, work = require_video(self.service, request)
        pictures = []
        for frame in timeline.thumb_frames(work.num_frames):
            with work.reading() as session:
                pictures.append(session.frames.picture(frame))
        return timeline.thumbs(pictures)

    def click(self, kind: str, frame: int, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a click on the shown frame."""
        visitor, work = require_video(self.service, request)
        xy = ShownSize.on_page(work.size).xy((event.index[0], event.index[1]))
        return self._point(visitor, work, kind, (int(frame), xy))

    def gesture(self, frame: int, event: gr.SelectData, request: gr.Request) -> Updates:
        """Handle a drag, a Shift-click, a right-click or a click by keyboard on the frame."""
        visitor, work = require_video(self.service, request)
        given, shown = Gesture.of_event(event), ShownSize.on_page(work.size)
        xy = shown.xy(given.xy)
        if given.other is None:
            work.click(int(frame), xy, positive=given.kind == INCLUDE)
        else:
            work.box(int(frame), box_of_corners(xy, shown.xy(given.other)))
        return self.controls.shown_at(visitor, work, int(frame))

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
            work.click(frame, xy, positive=kind == parts.INCLUDE)
        return self.controls.shown_at(visitor, work, frame)

    def scrub(self, frame: int | None, request: gr.Request) -> Updates:
        """Show another frame."""
        visitor, work = require_video(self.service, request)
        return self.controls.shown_at(visitor, work, int(frame or 0))

    def go_to(self, event: gr.SelectData, request: gr.Request) -> Updates:
        """Show the frame of a key or of a click on the timeline."""
        visitor, work = require_video(self.service, request)
        asked = event.index if isinstance(event.index, int) else 0
        return self.controls.shown_at(visitor, work, min(max(asked, 0), work.num_frames - 1))

    def rename(self, name: str, number: int, request: gr.Request) -> Updates:
        """Name the object that was active in the browser, which may press New object next."""
        _, work = require_video(self.service, request)
        work.rename(name, int(number))
        return {self.controls.objects: gr.update(choices=object_choices(work))}

    def activate(self, number: int, frame: int, request: gr.Request) -> Updates:
        """Activate another object."""
        visitor, work = require_video(self.service, request)
        work.activate(int(number))
        return self.controls.shown_at(visitor, work, int(frame))

    def _acting(
        self, verb: Callable[[VideoWork, int], object]
    ) -> Callable[[int, gr.Request], Updates]:
        def act(frame: int, request: gr.Request) -> Updates:
            visitor, work = require_video(self.service, request)
            verb(work, int(frame))
            return self.controls.shown_at(visitor, work, int(frame))

        return act

    def new_object(self, frame: int, request: gr.Request) -> Updates:
        """Start another object with the next click, which is positive."""
        shown = self._acting(lambda work, _: work.new_object())(frame, request)
        return {**shown, self.controls.kind: parts.INCLUDE}

    def find_by_name(self, text: str, frame: int, request: gr.Request) -> Updates:
        """Add an object for each thing of a name on the shown frame."""
        visitor, work = require_video(self.service, request)
        find_in_video(work, self.service.model, self.service.limits, int(frame), text)
        return self.controls.shown_at(visitor, work, int(frame))

    def ask_for_other(self) -> Updates:
        """Ask for another video; the current one stays until it is opened."""
        asking: Updates = {
            component: gr.update(visible=True)
            for component in (self.controls.input, self.controls.samples)
        }
        return {**asking, self.controls.other: gr.update(visible=False)}
