"""Tracking as the page sees it: progress while it runs, results when it ends or is stopped."""

import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from sam2_hf.errors import FrameError
from sam2_hf.video.propagation import Course

from . import page_parts as parts
from .service import Service
from .track_steps import TrackStep
from .video_drawing import draw_frame
from .video_files import VideoFiles, curve, to_review, write_video_files
from .video_work import VideoWork
from .visitor import Visitor

if TYPE_CHECKING:
    from .video_tab import VideoTab

TAB = "video"
Updates = dict[Any, Any]
TOLD_EVERY = 0.4  # seconds between two pictures while a job runs


class VideoJobs:
    """What Track and Stop do.

    Args:
        tab: Whose components are updated.
    """

    def __init__(self, tab: "VideoTab") -> None:
        self.tab = tab

    def expect(self, request: gr.Request) -> None:
        """Get ready for a job, which may have to wait in the queue."""
        visitor, work = require_video(self.tab.service, request)
        work.expect_job()
        visitor.expect_job()

    def track(self, course: str, frame: int, request: gr.Request) -> Iterator[Updates]:
        """Track, show how far it is, write the files, show the results."""
        from_here = "frame shown" in course
        direction = _direction(course)
        visitor, work = require_video(self.tab.service, request)
        start = int(frame) if from_here else None
        steps = self._steps(visitor, work, direction, start)
        try:
            with visitor.job():
                yield from steps
        except Exception:
            if visitor.works.get(TAB) is not work:
                return  # another video has been chosen; nobody looks at this one any more
            yield {self.tab.status: parts.status_line("This went wrong; see the message.")}
            raise

    def _steps(
        self, visitor: Visitor, work: VideoWork, direction: Course, start: int | None
    ) -> Iterator[Updates]:
        step: TrackStep | None = None
        told = 0.0
        failure: Exception | None = None
        try:
            for step in work.track(direction, start):
                visitor.touch()
                if time.monotonic() - told > TOLD_EVERY:
                    told = time.monotonic()
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
        """Let tracking end; what is done stays."""
        require_video(self.tab.service, request)[1].stop()

    def _at(self, visitor: Visitor, work: VideoWork, step: TrackStep) -> Updates:
        text = f"Frame {step.done} of {step.total} · {step.rate:.1f} frames/s"
        return {
            self.tab.status: parts.progress_bar(step.done, step.total, text),
            self.tab.view: gr.update(value=visitor.store_picture(draw_frame(work, step.frame))),
            self.tab.frame: gr.update(value=step.frame),
        }

    def _results(self, visitor: Visitor, work: VideoWork, step: TrackStep) -> Iterator[Updates]:
        """Write the files and show everything."""
        files = VideoFiles.in_folder(work.new_folder(), work.name)
        told, said = 0.0, work.scene.said
        work.expect_job()  # Stop has ended tracking; pressed once more, it ends the writing
        for done, total in write_video_files(work, files, self.tab.service.model.name):
            visitor.touch()
            if work.is_stopped:
                break
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                text = f"Writing the video: {done} of {total} frames"
                yield {self.tab.status: parts.progress_bar(done, total, text)}
        if work.is_stopped:
            shutil.rmtree(files.overlay.parent, ignore_errors=True)
            text = "Stopped; what is tracked is kept. Track again to get the files."
            yield {self.tab.status: parts.status_line(text)}
            return
        older, work.files_folder = work.files_folder, files.overlay.parent
        work.written = said
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
    """Find the video of a visit.

    Raises:
        LimitError: There is none any more.
    """
    visitor = service.visitor(request)
    work = visitor.works.get(TAB)
    if not isinstance(work, VideoWork):
        raise service.nothing_here("video", request)
    return visitor, work


def _direction(course: str) -> Course:
    if course.startswith("both"):
        return "both"
    return "backward" if course.startswith("backward") else "forward"
