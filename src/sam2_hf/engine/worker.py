"""One worker: it holds the model, claims items of a set one after another, and does them whole."""

import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from sam2_hf.atomic_write import fails_everywhere
from sam2_hf.errors import OutputError, VideoError
from sam2_hf.frames.open import open_frames
from sam2_hf.interruption import StopRequestedError
from sam2_hf.pipelines.loading import load_video_model
from sam2_hf.video.frame_encoder import model_mark
from sam2_hf.video.tracking_model import TrackingModel

from .claims import Beat, Claim, exit_without_progress, no_beat
from .joined_parts import join_parts
from .labeling import label_clip
from .masklet_sources import SOURCES
from .retracking import LabelsChangedError, apply_reviews
from .reviews import pending_reviews
from .set_folder import Failure, SetFolder
from .split_ranges import scenes_of, split_ranges
from .tracked_objects import SMALLEST_INPUT, ClipToLabel
from .video_labels import VideoLabels, write_labels
from .video_queue import QueuedVideo
from .work_items import WorkItem

MOST_ATTEMPTS = 4  # workers that may die of an item in one run
MARK_DIGITS = 64  # of the fingerprint that is kept: every bit of the weights
Status = Literal["done", "failed", "taken", "stopped"]


@dataclass(frozen=True, slots=True)
class ItemOutcome:
    """What became of an item.

    Attributes:
        key: The item.
        status: "done"; "failed", which the set records; "taken" or done by another; or "stopped":
            no item can be done, `text` says why.
        text: One line.
    """

    key: str
    status: Status
    text: str = ""


class Worker:
    """Does items of a set.

    Args:
        folder: The set.
        device: Device of the model; a GPU if there is one by default.
        check: Called after each frame; raises to stop.
        leaves: Whether the process may be ended when an item makes no progress, since a launcher
            starts another one.

    Raises:
        CheckpointError: The model or the detector cannot be loaded.
        DataError: The set was made with other weights, or is damaged.
    """

    def __init__(
        self,
        folder: SetFolder,
        device: str | None = None,
        *,
        check: Beat = no_beat,
        leaves: bool = False,
    ) -> None:
        self._folder = folder
        self._check = check
        self._leaves = leaves
        self.settings = folder.settings()
        self.model: TrackingModel = load_video_model(
            self.settings.model, device=device, dtype=self.settings.dtype
        )
        mark = model_mark(self.model)[-MARK_DIGITS:]
        folder.require_model(self.settings.model, mark)
        self._model_facts = {"name": self.settings.model, "fingerprint": mark}
        self._source = SOURCES[self.settings.source](self.settings, self.model.device)

    def do(self, item: WorkItem) -> ItemOutcome:
        """Do an item, unless another worker has it. Only stopping raises.

        Raises:
            StopRequestedError: `check` raised it; the item is free again.
            KeyboardInterrupt: The same.
        """
        try:
            if self._is_done(item):
                return ItemOutcome(item.key, "taken")
            with self._folder.claims.hold(item.key) as claim:
                return self._do_claimed(item, claim)
        except OutputError as error:
            return ItemOutcome(item.key, "stopped", " ".join(str(error).split()))

    def _do_claimed(self, item: WorkItem, claim: Claim | None) -> ItemOutcome:
        if claim is None or self._is_done(item):  # by the worker that had it until now
            return ItemOutcome(item.key, "taken")
        video = item.video
        if claim.attempt > MOST_ATTEMPTS:
            died = f"its worker died {claim.attempt - 1} times, perhaps for lack of memory."
            return self._failed(item, video, died)
        if self._leaves:
            exit_without_progress(claim, self._folder.claims.lease, os._exit)
        try:
            self._work(item, video, claim)
        except (StopRequestedError, KeyboardInterrupt):
            raise
        except LabelsChangedError:  # another worker was faster
            return ItemOutcome(item.key, "taken")
        except Exception as error:  # of any source, in any way
            if fails_everywhere(error):
                raise
            text = " ".join(str(error).split()) or type(error).__name__
            known = isinstance(error, (OSError, ValueError, LookupError))
            named = text if known else f"{type(error).__name__}: {text}"
            return self._failed(item, video, named, traceback.format_exc())
        return ItemOutcome(item.key, "done")

    def _failed(
        self, item: WorkItem, video: QueuedVideo, text: str, trace: str = ""
    ) -> ItemOutcome:
        self._folder.fail(Failure(video.id, video.address, text, trace))
        return ItemOutcome(item.key, "failed", text)

    def _is_done(self, item: WorkItem) -> bool:
        folder = self._folder
        if item.kind == "retrack":
            return not pending_reviews(folder, item.video_id)
        if item.kind == "plan":
            return folder.plan(item.video_id) is not None
        if item.kind == "part" and folder.part(item.video_id, item.number).exists():
            return True
        return folder.labels(item.video_id).exists()

    def _work(self, item: WorkItem, video: QueuedVideo, claim: Claim) -> None:
        folder, rules = self._folder, self.settings.rules

        def beat() -> None:
            claim.beat()
            self._check()

        if item.kind == "join":
            join_parts(folder, item.video_id, beat)
            return
        with video.opened(beat) as source, _threads(self.settings.threads):
            about = _look_at(source, video, self.settings.phase)
            if item.kind == "plan":
                folder.write_plan(item.video_id, self._ranges(source, about.num_frames, beat))
                return
            clip = ClipToLabel(
                source,
                about.name,
                self.model,
                self._model_facts,
                range(about.num_frames),
                self.settings.chosen_phase,
                beat,
            )
            if item.kind == "retrack":
                apply_reviews(folder, item.video_id, clip, rules, claim)
            else:
                self._label(item, clip, about)

    def _label(self, item: WorkItem, clip: ClipToLabel, about: VideoLabels) -> None:
        folder, began = self._folder, time.monotonic()
        target = folder.labels(item.video_id)
        if item.kind == "part":
            first, stop = (folder.plan(item.video_id) or [])[item.number]
            clip = replace(clip, frames=range(first, stop))
            target = folder.part(item.video_id, item.number)
        masklets, frames = label_clip(
            clip, self._source, folder.given(about.id), self.settings.rules
        )
        if self._is_done(item):  # by a successor, after this worker hung; it may be reviewed by now
            return
        part = clip.frames.start, clip.frames.stop
        video = replace(about, masklets=tuple(masklets), parts=(part,))
        write_labels(target, video, frames)
        folder.record_time(
            item.key,
            {
                "seconds": round(time.monotonic() - began, 3),
                "frames": len(clip.frames),
                "masklets": len(masklets),
                "device": str(self.model.device),
            },
        )

    def _ranges(
        self,
        source: Any,  # noqa: ANN401 - what `open_frames` takes
        num_frames: int,
        beat: Beat,
    ) -> list[tuple[int, int]]:
        longest = self.settings.split_frames
        if num_frames <= longest:
            return [(0, num_frames)]
        with open_frames(source, image_size=SMALLEST_INPUT) as frames:
            return split_ranges(scenes_of(frames, beat), longest)


def _look_at(source: Any, video: QueuedVideo, phase: str) -> VideoLabels:  # noqa: ANN401
    """Read size, length and frame rate of a video.

    Raises:
        VideoError: It cannot be read.
    """
    with open_frames(source, image_size=SMALLEST_INPUT) as frames:
        size, num_frames, fps = frames.size, frames.num_frames, frames.fps
    if size is None or num_frames is None:
        raise VideoError(f"{video.address} is a stream. Save it as a file first.")
    rate = None if fps is None else float(fps)
    return VideoLabels(video.id, video.name, video.address, size, num_frames, rate, phase)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Compute with a number of threads, since the order of sums depends on it."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
