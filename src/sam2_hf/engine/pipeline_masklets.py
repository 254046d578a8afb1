"""Masklets from a pipeline that finds objects in a video by itself, as a source of the engine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.engine.prompts.given_objects import GivenObject
from sam2_hf.frames.base import Frames
from sam2_hf.frames.open import open_frames
from sam2_hf.pipelines.video_segmentation import VideoSegmentation
from sam2_hf.video.review import FrameToReview
from sam2_hf.writers.frame_journal import TrackedFrame

from .tracked_objects import SMALLEST_INPUT, ClipMasklets, ClipToLabel

FindAll = Callable[..., VideoSegmentation]


class FrameRange(Sequence[NDArray[np.uint8]]):
    """Some frames of a video as a video of their own, read when they are needed.

    Args:
        frames: The video.
        numbers: Frames of it.
    """

    def __init__(self, frames: Frames, numbers: range) -> None:
        self._frames = frames
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - one or several
        if isinstance(place, slice):
            return FrameRange(self._frames, self._numbers[place])
        return self._frames.picture(self._numbers[place])

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return map(self._frames.picture, self._numbers)


class PipelineMasklets:
    """Runs a pipeline on each clip.

    Args:
        find_all: Called with a video and `on_progress`, see `VideoSegmentationPipeline.__call__`;
            it is made for the model of the clip.
    """

    def __init__(self, find_all: Callable[[Any], FindAll]) -> None:
        self._make = find_all
        self._made: tuple[Any, FindAll] | None = None

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`]."""
        if self._made is None or self._made[0] is not clip.model:
            self._made = clip.model, self._make(clip.model)
        find_all = self._made[1]

        def beat(done: int, total: int | None) -> None:
            clip.beat()

        with open_frames(clip.video, image_size=SMALLEST_INPUT) as frames:
            is_whole = len(clip.frames) == frames.num_frames
            video = clip.video if is_whole else FrameRange(frames, clip.frames)
            with find_all(video, on_progress=beat) as found:
                return _masklets(found, clip.frames.start, frames)


def _masklets(found: VideoSegmentation, first: int, frames: Frames) -> ClipMasklets:
    """Convert a result, whose frames count from the first of the clip."""
    tracked = []
    for number in found.frames:
        frame = TrackedFrame.from_masklets(number, found.masklets.values())
        at = first + number
        tracked.append(replace(frame, frame=at, time_s=frames.time(at)))
    doubts: list[FrameToReview] = [
        replace(doubt, frame=first + doubt.frame) for doubt in found.frames_to_review
    ]
    return ClipMasklets(tracked, names=dict(found.names), doubts=doubts)
