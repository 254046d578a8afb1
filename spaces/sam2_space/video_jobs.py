"""Tracking as the page sees it: progress while it runs, results when it ends or is stopped."""

import shutil
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

import gradio as gr

from . import page_parts as parts
from .limits import LimitError
from .service import Service
from .track_steps import TrackStep
from .video_drawing import draw_frame
from .video_files import VideoFiles, curve, to_review, write_video_files
from .video_work import VideoWork
from .visitors import Visitor

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

    def track(self, course: str, frame: int, request: gr.Request) -> Iterator[Updates]:
        """Track, show how far it is, write the files, show the results."""
        from_here = "frame shown" in course
        direction = _direction(course)
        visitor, work = require_video(self.tab.service, request)
        step: TrackStep | None = None
        told = 0.0
        for step in work.track(direction, int(frame) if from_here else None):
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                yield self._at(visitor, work, step)
        if step is None:
            yield {self.tab.status: parts.status_line("Stopped before the first frame.")}
            return
        yield from self._results(visitor, work, step)

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
        files = VideoFiles.in_folder(visitor.new_folder(), work.name)
        told = 0.0
        for done, total in write_video_files(work, files, self.tab.service.model.name):
            if time.monotonic() - told > TOLD_EVERY:
                told = time.monotonic()
                text = f"Writing the video: {done} of {total} frames"
                yield {self.tab.status: parts.progress_bar(done, total, text)}
        older, work.files_folder = work.files_folder, files.overlay.parent
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
        raise LimitError(
            f"There is no video here any more; after {service.limits.idle_minutes:g} minutes "
            "without a click it is deleted. Press Other video and choose one."
        )
    return visitor, work


def _direction(course: str) -> Literal["forward", "backward", "both"]:
    if course.startswith("both"):
        return "both"
    return "backward" if course.startswith("backward") else "forward"
