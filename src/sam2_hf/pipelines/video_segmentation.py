"""Promptable segmentation of videos: prompts to masklets, one video after another.

Suffixes: h, w = rows and columns in pixels of the original frame.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, cast, overload

import numpy as np
from numpy.typing import NDArray

from sam2_hf.closing import Closing
from sam2_hf.errors import FrameError, PromptError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.masklet import Masklet
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.propagation import PropagationDirection, count_frames
from sam2_hf.video.review import FrameToReview, ReviewRules
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions

from .abstract_pipeline import AbstractPipeline
from .photo_inputs import ReadingOptions
from .result_mapping import ResultMapping

Progress = Callable[[int, int | None], None]
Prompts = VideoPrompt | Sequence[VideoPrompt]


class VideoSegmentation(ResultMapping, Closing):
    """Masklets of a video, with masks in RAM and beyond a budget in a file.

    Attributes are also items, `found["masklets"]`.

    Attributes:
        masklets: Object id -> its mask on every frame.
        size: `(height, width)` of the frames.
        num_frames: Number of frames; None for an iterator that was not read to its end.
        fps: Average frames per second; None if unknown.
        times: When each tracked frame is shown, in seconds; None if unknown.
        frames_to_review: Frames to check by eye, worst first.
    """

    FIELDS = (
        "masklets",
        "object_ids",
        "frames",
        "size",
        "num_frames",
        "fps",
        "times",
        "frames_to_review",
    )

    def __init__(self, session: VideoSession, rules: ReviewRules | None) -> None:
        frames = session.frames
        self.masklets: Mapping[int, Masklet] = {
            object_id: session.masklet(object_id) for object_id in session.object_ids
        }
        self.size = cast("tuple[int, int]", session.size)  # unknown only for a stream
        self.num_frames: int | None = session.num_frames
        self.fps: Fraction | None = frames.fps
        self.times = {frame: frames.time(frame) for frame in self.frames}
        self.frames_to_review: list[FrameToReview] = session.frames_to_review(rules)
        self._session = session
        session.settle()

    @property
    def object_ids(self) -> tuple[int, ...]:
        """The objects, in the order in which they were prompted."""
        return tuple(self.masklets)

    @property
    def frames(self) -> list[int]:
        """Frames with a mask of some object, in order."""
        return sorted({frame for masklet in self.masklets.values() for frame in masklet.frames})

    def masks(self, frame: int) -> dict[int, NDArray[np.bool_]]:
        """Return the masks of a frame, `(height, width)` each, of objects that have one."""
        return {
            object_id: masklet.mask(frame)
            for object_id, masklet in self.masklets.items()
            if frame in masklet
        }

    def close(self) -> None:
        """Free the masks; a second call does nothing."""
        self._session.close()


@dataclass(frozen=True, slots=True)
class _Run:
    """Options of a run through a video."""

    direction: PropagationDirection
    progress: bool
    on_progress: Progress | None


class VideoSegmentationPipeline(AbstractPipeline[Sam2VideoModel]):
    """Track the objects of clicks, boxes and masks through videos.

    Args:
        model: The model, on its device, in eval mode.
        rules: When a frame is to be reviewed.
        **options: Options of every session, see [`SessionOptions`]; `compat="official"` uses the
            original's defaults. [`ReadingOptions`] are checked but have no effect: videos are
            tracked one after another, and their frames are always read ahead.

    Raises:
        SessionError: There is no such option, or its value is invalid.

    Example:
        >>> track = VideoSegmentationPipeline(model, non_overlap_masks=True)
        >>> found = track("clip.mp4", [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
    """

    task = "video-segmentation"

    def __init__(
        self, model: Sam2VideoModel, *, rules: ReviewRules | None = None, **options: Any
    ) -> None:
        super().__init__(model)
        _, own = ReadingOptions().taken_from(options)
        self.options = SessionOptions.preset(**own)
        self._rules = rules

    @classmethod
    def option_names(cls) -> frozenset[str]:
        """List the constructor's options besides the model."""
        own = (field.name for field in fields(SessionOptions))
        return frozenset((*own, "compat", "rules")) | ReadingOptions.names()

    @classmethod
    def check_options(cls, *, rules: ReviewRules | None = None, **options: Any) -> None:
        """Validate the constructor's options before a model is loaded.

        Raises:
            SessionError: There is no such option, or its value is invalid.
            PromptError: `rules` is not a `ReviewRules`.
        """
        if rules is not None and not isinstance(rules, ReviewRules):
            raise PromptError(f"rules are {rules!r:.80}. Give ReviewRules(...), or leave them out.")
        _, own = ReadingOptions().taken_from(options)
        SessionOptions.preset(**own)

    def open(self, video: object) -> VideoSession:
        """Open a session on a video, for interactive use; see [`open_frames`].

        Raises:
            VideoError: The video cannot be opened.

        Example:
            >>> session = VideoSegmentationPipeline(model).open("clip.mp4")
            >>> session.num_frames
            3
        """
        return Sam2VideoInferenceSession.open(video, self.model, options=self.options)

    @overload
    def __call__(
        self,
        video: object,
        prompts: Prompts,
        direction: PropagationDirection = ...,
        *,
        progress: bool = ...,
        on_progress: Progress | None = ...,
    ) -> VideoSegmentation: ...
    @overload
    def __call__(
        self,
        video: Sequence[object],
        prompts: Sequence[Sequence[VideoPrompt]],
        direction: PropagationDirection = ...,
        *,
        progress: bool = ...,
        on_progress: Progress | None = ...,
    ) -> Iterator[VideoSegmentation]: ...
    def __call__(
        self,
        video: object,
        prompts: Any,
        direction: PropagationDirection = "both",
        *,
        progress: bool = False,
        on_progress: Progress | None = None,
    ) -> VideoSegmentation | Iterator[VideoSegmentation]:
        """Track objects through one video, or through several.

        Args:
            video: A video file, a folder of pictures, or frames, see [`open_frames`]; or a list of
                these.
            prompts: [`VideoPrompt`]s, `[]` for no objects; for a list of videos, one list for each.
            direction: "both" ways from the first prompted frame, "forward" or "backward".
            progress: Whether to show a progress bar.
            on_progress: Called after each frame with the number done and the total (None if
                unknown).

        Returns:
            A [`VideoSegmentation`]; for several videos a lazy iterator of them, which keeps only
            the masks of earlier videos.

        Raises:
            VideoError: A video cannot be opened.
            FrameError: A frame is unavailable; `tracked` of the error holds the frames before it.
            PromptError: A prompt is invalid, or a video lacks its list of prompts.

        Example:
            >>> track = VideoSegmentationPipeline(model)
            >>> found = track(clip, [VideoPrompt(frame=0, object_id=1, clicks=(115, 100))])
            >>> found.masklets[1].mask(2).shape
            (180, 240)
        """
        run = _Run(direction, progress, on_progress)
        if isinstance(prompts, VideoPrompt):
            return self._track(video, [prompts], run)
        if prompts is None or isinstance(prompts, str) or not isinstance(prompts, Iterable):
            raise PromptError("there is no prompt. Give VideoPrompt(frame, object_id, clicks=...).")
        asked = list(prompts)
        if all(isinstance(prompt, VideoPrompt) for prompt in asked):
            return self._track(video, asked, run)
        return self._each(_pairs(video, asked), run)

    def _each(
        self, pairs: list[tuple[object, list[VideoPrompt]]], run: _Run
    ) -> Iterator[VideoSegmentation]:
        for video, prompts in pairs:
            yield self._track(video, prompts, run)

    def _track(self, video: object, prompts: Sequence[VideoPrompt], run: _Run) -> VideoSegmentation:
        """Track one video in a new session."""
        session = self.open(video)
        try:
            for prompt in prompts:
                prompt.add_to(session)
            if prompts:
                _propagate(session, prompts, run)
            return VideoSegmentation(session, self._rules)
        except FrameError as error:
            error.tracked = VideoSegmentation(session, self._rules)
            raise
        except BaseException:
            session.close()
            raise


def _propagate(session: VideoSession, prompts: Sequence[VideoPrompt], run: _Run) -> None:
    """Propagate the prompts through the video."""
    prompted = {prompt.frame for prompt in prompts}
    total = count_frames(None, None, run.direction, session.num_frames, prompted)
    results = session.propagate(direction=run.direction, progress=run.progress)
    for done, _ in enumerate(results, start=1):
        if run.on_progress is not None:
            run.on_progress(done, total)


def _pairs(videos: object, prompts: list[Any]) -> list[tuple[object, list[VideoPrompt]]]:
    """Pair each video with its prompts."""
    count = len(videos) if isinstance(videos, (list, tuple)) else 1
    if not isinstance(videos, (list, tuple)) or count != len(prompts):
        raise PromptError(
            f"there are {count} video(s) and {len(prompts)} lists of prompts. Give one list of "
            "VideoPrompts for each video."
        )
    pairs = []
    for place, (video, asked) in enumerate(zip(videos, prompts, strict=True)):
        own = [asked] if isinstance(asked, VideoPrompt) else list(asked)
        if not all(isinstance(prompt, VideoPrompt) for prompt in own):
            raise PromptError(f"the prompts of video {place} are {asked!r:.80}, no VideoPrompts.")
        pairs.append((video, own))
    return pairs
