"""Endpoints for programs: one call each, with files and numbers as input and output."""

import json
import secrets
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.events import api

from sam2_hf.processing.prompts import Click, ObjectPrompt
from sam2_hf.video.prompts import VideoPrompt

from .api_prompts import read_file, read_objects, read_video_prompts, require_direction
from .drawing import PhotoFiles, write_files
from .file_places import safe_stem
from .limits import LimitError
from .photo_work import PhotoWork
from .readable_errors import readable
from .service import CLICKS, CLICKS_AT_A_TIME, JOBS, Service
from .uploads import Upload, forget
from .video_files import VideoFiles, to_review, write_video_files
from .video_work import VideoWork, open_video
from .visitors import Visitor

MOST_POINTS = 64  # along each side
FileAnswer = dict[str, Any]  # downloaded by `gradio_client`


class Api:
    """The endpoints.

    Args:
        service: The server's parts.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        jobs = {"concurrency_id": JOBS, "concurrency_limit": service.limits.jobs}
        api(
            readable(self.segment),
            api_name="segment",
            concurrency_id=CLICKS,
            concurrency_limit=CLICKS_AT_A_TIME,
        )
        api(readable(self.everything), api_name="everything", **jobs)
        api(readable(self.track), api_name="track", **jobs)
        api(readable(self.limits), api_name="limits", queue=False)

    def limits(self) -> dict:
        """Limits of this server, and its model."""
        limits = self.service.limits
        values = {name: getattr(limits, name) for name in limits.__dataclass_fields__}
        return {"model": self.service.model.name, **values}

    def segment(self, image: dict, objects: list, request: gr.Request) -> tuple[dict, dict, dict]:
        """Segment the objects of points and boxes; returns COCO JSON, overlay PNG, mask PNG."""
        asked = read_objects(objects, self.service.limits)
        visitor, work = self._photo(read_file(image), request)
        for prompt in asked:
            work.add_object(_clicks(prompt), prompt.box)
        return self._photo_answer(visitor, work)

    def everything(
        self,
        image: dict,
        request: gr.Request,
        points_per_side: int = 16,
        pred_iou_thresh: float | None = None,
        stability_score_thresh: float | None = None,
    ) -> tuple[dict, dict, dict]:
        """Segment everything in a photo; returns COCO JSON, overlay PNG, mask PNG."""
        start = self.service.model.everything
        options = {
            "points_per_side": points_per_side,
            "pred_iou_thresh": _or(pred_iou_thresh, start.pred_iou_thresh),
            "stability_score_thresh": _or(stability_score_thresh, start.stability_score_thresh),
        }
        if not 1 <= points_per_side <= MOST_POINTS:
            raise LimitError(f"points_per_side is {points_per_side}; give 1 to {MOST_POINTS}.")
        visitor, work = self._photo(read_file(image), request)
        with visitor.job():
            work.find_all(options, lambda done, total: visitor.touch())
        return self._photo_answer(visitor, work)

    def track(
        self, video: dict, prompts: list, request: gr.Request, direction: str = "both"
    ) -> tuple[dict, dict, dict, list]:
        """Track objects; returns SA-V style JSON, overlay MP4, masks ZIP, frames to review."""
        service = self.service
        asked = read_video_prompts(prompts, service.limits)
        run_direction = require_direction(direction)
        upload, visitor = read_file(video), service.visitor(request)
        path = service.own(upload, request, samples=True)
        name, folder = safe_stem(upload.name, "video"), visitor.new_folder()
        work = open_video(path, name, service.model, service.limits, folder)
        job = secrets.token_hex(8)  # a client may track several videos concurrently
        visitor.set_work(job, work)
        try:
            with visitor.job():
                for prompt in asked:
                    _add_prompt(work, prompt)
                for _ in work.track(run_direction):
                    visitor.touch()
                files = VideoFiles.in_folder(visitor.results_folder(), name)
                for _ in write_video_files(work, files, service.model.name):
                    visitor.touch()
            review = [{"frame": frame, "reason": text} for text, frame in to_review(work)]
        finally:
            visitor.drop_work(job)
            self._forget(path)
        masklets = json.loads(files.masklets.read_bytes())
        return masklets, _file(files.overlay), _file(files.masks), review

    def _photo(self, upload: Upload, request: gr.Request) -> tuple[Visitor, PhotoWork]:
        visitor = self.service.visitor(request)
        path = self.service.own(upload, request, samples=True)
        try:
            name = safe_stem(upload.name, "photo")
            return visitor, PhotoWork.read(path, name, self.service.model, self.service.limits)
        finally:
            self._forget(path)

    def _photo_answer(self, visitor: Visitor, work: PhotoWork) -> tuple[dict, dict, dict]:
        files: PhotoFiles = write_files(work, visitor.results_folder(), self.service.model.name)
        coco = json.loads(files.coco.read_bytes())
        return coco, _file(files.overlay), _file(files.mask)

    def _forget(self, path: Path) -> None:
        if not self.service.is_sample(path):
            forget(path)


def _clicks(prompt: ObjectPrompt | VideoPrompt) -> tuple[tuple[float, float, bool], ...]:
    clicks = prompt.clicks if isinstance(prompt.clicks, tuple) else ()
    return tuple((*click.xy, click.positive) for click in clicks if isinstance(click, Click))


def _add_prompt(work: VideoWork, prompt: VideoPrompt) -> None:
    """Add a prompt to a video's work."""
    work.activate(prompt.object_id)
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        work.box(prompt.frame, (x0, y0, x1, y1))
    for x, y, positive in _clicks(prompt):
        work.click(prompt.frame, (x, y), positive=positive)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _file(path: Path) -> FileAnswer:
    """Describe a file for Gradio's clients."""
    return {"path": str(path), "orig_name": path.name, "meta": {"_type": "gradio.FileData"}}
