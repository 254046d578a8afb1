"""Runs through a video: from prompts, or from names that a detector looks for."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from tqdm import tqdm

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import shown
from sam2_hf.open_vocabulary.detection import Detector
from sam2_hf.open_vocabulary.text_tracker import TextTracker
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.propagation import PropagationDirection, count_frames
from sam2_hf.video.session import VideoSession

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run.

    Attributes:
        direction: Direction of time.
        progress: Whether to show a progress bar.
        on_progress: Called after each frame with the number done and the total.
    """

    direction: PropagationDirection
    progress: bool
    on_progress: Progress | None

    def report(self, results: Iterable[object], total: int | None) -> None:
        """Consume results, reporting each."""
        for done, _ in enumerate(results, start=1):
            if self.on_progress is not None:
                self.on_progress(done, total)


class VideoRun(Protocol):
    """A way to track the objects of one video."""

    @property
    def prompts(self) -> Sequence[VideoPrompt]:
        """The prompts so far."""

    def track(self, session: VideoSession) -> None:
        """Track through the video of a new session."""


@dataclass(frozen=True, slots=True)
class PromptedRun:
    """A run from prompts.

    Attributes:
        prompts: The prompts; there may be none.
        options: Options of the run.
    """

    prompts: Sequence[VideoPrompt]
    options: RunOptions

    def track(self, session: VideoSession) -> None:
        """Add the prompts and propagate them."""
        for prompt in self.prompts:
            prompt.add_to(session)
        if not self.prompts:
            return
        direction, prompted = self.options.direction, {prompt.frame for prompt in self.prompts}
        total = count_frames(None, None, direction, session.num_frames, prompted)
        results = session.propagate(direction=direction, progress=self.options.progress)
        self.options.report(results, total)


@dataclass(slots=True)
class TextRun:
    """A run from names.

    Attributes:
        detector: The detector.
        labels: The names.
        every: Frames between two detections; None detects on the first frame only.
        options: Options of the run; forward in time.
        prompts: What was found so far.

    Raises:
        PromptError: The direction is backward.
    """

    detector: Detector
    labels: Sequence[str]
    every: int | None
    options: RunOptions
    prompts: Sequence[VideoPrompt] = field(default=(), init=False)

    def __post_init__(self) -> None:
        if self.options.direction == "backward":
            raise PromptError("text is looked for forward in time: leave out direction='backward'.")

    def track(self, session: VideoSession) -> None:
        """Detect on the first and every k-th frame, and track what is found."""
        tracker = TextTracker(session, self.detector, self.labels, every=self.every)
        self.prompts = tracker.prompts
        total, is_silent = session.num_frames, not self.options.progress
        bar = tqdm(tracker.propagate(), "tracking", total, unit="frame", disable=is_silent)
        with closing(bar):
            self.options.report(bar, total)


def prompted_runs(
    videos: object, prompts: list[Any], options: RunOptions
) -> Iterator[tuple[object, PromptedRun]]:
    """Pair each video with a run of its prompts.

    Raises:
        PromptError: The numbers differ, or a prompt is none.
    """
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
            raise PromptError(f"the prompts of video {place} are {asked!r:.80}, not VideoPrompts.")
        pairs.append((video, PromptedRun(own, options)))
    return iter(pairs)


def check_alone(text: object, prompts: object) -> None:
    """Refuse text together with prompts.

    Raises:
        PromptError: Both are given.
    """
    if prompts is not None:
        raise PromptError(
            f"there are both text {shown(text)} and prompts. Give one of them, or add prompts to a "
            "session and continue with TextTracker."
        )
