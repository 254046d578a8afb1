"""Runs through a video: from prompts, or from names that a detector looks for."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

from tqdm import tqdm

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.frames.open import are_videos
from sam2_hf.number_reading import shown
from sam2_hf.open_vocabulary.detection import Detector
from sam2_hf.open_vocabulary.text_tracker import TextTracker
from sam2_hf.video.prompts import VideoPrompt
from sam2_hf.video.propagation import PropagationDirection, count_frames
from sam2_hf.video.references import Reference
from sam2_hf.video.session import VideoSession
from sam2_hf.video.storage.object_library import KnownReference

Progress = Callable[[int, int | None], None]
AnyReference = Reference | KnownReference


class CallOptions(TypedDict, total=False):
    """Further options of a call of the pipeline.

    Attributes:
        references: Objects known from other pictures.
    """

    references: Sequence[AnyReference]


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Options of a run.

    Attributes:
        direction: Direction of time.
        progress: Whether to show a progress bar.
        on_progress: Called after each frame with the number done and the total.
        references: Objects known from other pictures.

    Raises:
        PromptError: References of one object have different names.
    """

    direction: PropagationDirection
    progress: bool
    on_progress: Progress | None
    references: Sequence[AnyReference] = ()

    def __post_init__(self) -> None:
        """Check the names."""
        for known in self.references:
            if known.name not in (None, self.names.get(known.object_id)):
                raise PromptError(
                    f"references of object {known.object_id} have the names {known.name!r} and "
                    f"{self.names[known.object_id]!r}. Give one name, or another object id."
                )

    @property
    def names(self) -> dict[int, str]:
        """Names of the references, by object id."""
        return {known.object_id: known.name for known in self.references if known.name is not None}

    def report(self, results: Iterable[object], total: int | None) -> None:
        """Consume results, reporting each."""
        for done, _ in enumerate(results, start=1):
            if self.on_progress is not None:
                self.on_progress(done, total)


class VideoRun(Protocol):
    """A way to track the objects of one video."""

    @property
    def options(self) -> RunOptions:
        """Options of the run."""

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
        """Add the references and prompts, and propagate them."""
        for given in (*self.options.references, *self.prompts):
            given.add_to(session)
        if not session.object_ids:
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


def read_references(options: Mapping[str, object]) -> tuple[AnyReference, ...]:
    """Read the references of a call.

    Raises:
        OptionError: There is another option.
        PromptError: They are no list of references.
    """
    for name in set(options) - set(CallOptions.__annotations__):
        raise OptionError("a call of the pipeline", name, set(CallOptions.__annotations__))
    given = options.get("references", ())
    listed = [given] if isinstance(given, AnyReference) else given
    if not isinstance(listed, (list, tuple)) or not all(
        isinstance(known, AnyReference) for known in listed
    ):
        raise PromptError(
            f"references are {shown(given)}. Give a list of Reference(picture, mask, object_id) or "
            "library.reference(name, object_id)."
        )
    return tuple(listed)


def read_prompts(
    prompts: Any,  # noqa: ANN401
    videos: object,
    *,
    may_be_missing: bool,
) -> list[Any]:
    """Read the prompts of one or several videos.

    Args:
        prompts: One or several; or a list for each video.
        videos: The videos; each gets an empty list if there are several and no prompt.
        may_be_missing: Whether there are references instead.

    Raises:
        PromptError: There is none.
    """
    if isinstance(prompts, VideoPrompt):
        return [prompts]
    if prompts is None and may_be_missing:
        prompts = []
    if prompts is None or isinstance(prompts, str) or not isinstance(prompts, Iterable):
        raise PromptError(
            "there is no prompt and no reference. Give VideoPrompt(frame, object_id, clicks=...), "
            "references=[Reference(picture, mask, object_id)] or text=..."
        )
    listed = list(prompts)
    if not listed and are_videos(videos):
        return [[] for _ in videos]
    return listed


def check_alone(text: object, *others: object) -> None:
    """Refuse text together with prompts or references.

    Raises:
        PromptError: Both are given.
    """
    if any(other is not None and other != () for other in others):
        raise PromptError(
            f"there are both text {shown(text)} and prompts. Give one of them, or add prompts to a "
            "session and continue with TextTracker."
        )
