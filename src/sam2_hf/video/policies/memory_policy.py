"""Memory policies: which frames a tracked frame attends to, and which of its masks is kept.

To add one, subclass [`MemoryPolicy`] in a file of `policies/` and register it in `MEMORY_POLICIES`
(session_options.py), the names for `SessionOptions.memory_policy`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Literal, Protocol

from .mask_candidates import MaskCandidates

Direction = Literal["forward", "backward"]
Choice = list[tuple[int, int]]  # frames, each with its age
LOOK_BACK = 300  # frames that are searched for trusted memories
Path = Mapping[int, int]  # frame -> which of the hypotheses kept there, the answer being 0


@dataclass(frozen=True, slots=True)
class TrackingStep:
    """The current frame and the direction of time.

    Attributes:
        frame: The current frame.
        direction: Direction of time.
        num_frames: Frames of the video; None for a stream.
    """

    frame: int
    direction: Direction = "forward"
    num_frames: int | None = None

    def back_to(self, frame: int) -> int:
        """Return how many frames ago `frame` was; negative for future frames."""
        distance = self.frame - frame
        return distance if self.direction == "forward" else -distance

    @property
    def sign(self) -> int:
        """1 forward in time, -1 backward."""
        return 1 if self.direction == "forward" else -1

    @property
    def previous(self) -> int:
        """The frame before, in the direction of time."""
        return self.frame - self.sign


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRules:
    """Number and spacing of memories.

    Attributes:
        num_memories: Spatial memories a frame attends to, all prompted ones counted as one; 0 for
            no memory at all, including pointers.
        num_pointers: Object pointers a frame attends to.
        stride: Distance between the older memories, frames.
        max_prompted: Prompted frames a frame attends to; -1 for all.
        past_pointers_only: Whether to skip pointers of future prompted frames; not in training.
        clip_times: Whether pointer times are fractions of a short clip's length.
    """

    num_memories: int = 7
    num_pointers: int = 16
    stride: int = 1
    max_prompted: int = -1
    past_pointers_only: bool = True
    clip_times: bool = False

    def longest_time(self, step: TrackingStep) -> int:
        """Return the time, in frames, that is scaled to 1 for pointers."""
        count = self.num_pointers
        if self.clip_times and step.num_frames is not None:
            count = min(count, step.num_frames)
        return max(count - 1, 1)


class MemoryIndex(Protocol):
    """Memories of an object as seen by a policy: frames and numbers, no tensors."""

    @property
    def prompted(self) -> Collection[int]:
        """Frames with a prompt (conditioning frames)."""

    def score(self, frame: int) -> float | None:
        """Object score of a frame, logits; None if it has no memory."""

    def iou(self, frame: int) -> float | None:
        """Predicted IoU of a tracked frame's mask; None if it is unknown."""

    def notes(self, frame: int, policy: str) -> Sequence[float] | None:
        """Numbers that a policy left on a tracked frame; None if there are none."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What a policy keeps of a frame.

    Attributes:
        masks: Hypothesis and candidate of each mask, without repetition; the first is the answer.
        notes: Numbers to store with the frame, by the name of the policy that reads them.
    """

    masks: list[tuple[int, int]]
    notes: Mapping[str, Sequence[float]] = field(default_factory=dict)


class MemoryPolicy(ABC):
    """Selection of the memories that a frame attends to, and of the masks that it leaves.

    It decides what memory attention reads and what stays on the device for the next frame. It must
    depend on its arguments alone: a policy is stateless, so that saved, copied or undone sessions
    select the same. What it has to know of earlier frames beyond their scores it stores as notes on
    them (`Kept.notes`), which are saved, copied, undone and dropped with the frame's memory.
    Selected frames without a memory are skipped. At least one selected frame must have a spatial
    memory.

    Args:
        rules: Limits from the model and the session's options.

    Attributes:
        reviews: Whether `keep` is asked about every tracked frame. If not, the candidate of the
            highest predicted IoU is kept, which compiled graphs have built in.
        branches: Whether it may keep several hypotheses of an object.
        notes_width: Notes on a frame by policy name, with the number of numbers in each.
    """

    reviews: ClassVar[bool] = False
    branches: ClassVar[bool] = False
    notes_width: ClassVar[Mapping[str, int]] = {}

    def __init__(self, rules: MemoryRules) -> None:
        self.rules = rules

    @property
    @abstractmethod
    def reach(self) -> int:
        """Age in frames up to which a bounded session keeps all tracked memories.

        Older ones may be dropped unless they are selected for the next frame.
        """

    @abstractmethod
    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select the frames whose spatial memories are attended to, in the order of attention.

        Returns:
            Frames, each with its age, the index of the model's temporal code: from 1 for the
            nearest tracked frame to `rules.num_memories` for a prompted one. A frame may be
            selected as both: as prompted, its prompt's memory is read; as tracked, that of
            tracking, or else that of a prompt that was not selected.
        """

    @abstractmethod
    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select the frames whose object pointers are attended to, in the order of attention.

        Returns:
            Frames, each with its age in frames, negative for future ones. The first occurrence of a
            frame that `select` returns as prompted refers to the prompt's pointer.
        """

    def paths(self, step: TrackingStep, memories: MemoryIndex) -> list[Path]:
        """List the hypotheses to track from, each with the frames that it consists of.

        Returns:
            Paths in the order of `keep`'s candidates; empty if there is only the answer of each
            frame.
        """
        del step, memories
        return []

    def keep(
        self, step: TrackingStep, memories: MemoryIndex, found: Sequence[MaskCandidates]
    ) -> Kept:
        """Choose among the masks of a tracked frame, and note what later frames have to know.

        Args:
            step: The frame.
            memories: Memories before it.
            found: Candidate masks of each hypothesis.
        """
        chosen = self.choose(step, memories, found[0])
        return Kept([(0, chosen)], self.note(step, memories, found[0], chosen))

    def choose(self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates) -> int:
        """Choose one of the candidate masks; the highest predicted IoU unless overridden."""
        del step, memories
        return found.best

    def note(
        self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates, chosen: int
    ) -> Mapping[str, Sequence[float]]:
        """Make the notes on a frame, by policy name; none unless overridden.

        Args:
            step: The frame.
            memories: Memories before it.
            found: Its candidate masks.
            chosen: The chosen one.
        """
        del step, memories, found, chosen
        return {}


class Sam2Policy(MemoryPolicy):
    """The original's policy: prompted frames, and tracked ones at fixed distances.

    Source: sam2/modeling/sam2_base.py:520-637 @ 2b90b9f.
    """

    @property
    def reach(self) -> int:
        """The farthest pointer or spatial memory."""
        rules = self.rules
        return max(rules.num_pointers, (rules.num_memories - 1) * rules.stride + 1)

    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, which share the largest age, then recent ones, farthest first."""
        rules = self.rules
        chosen, _ = closest_prompted(step.frame, memories.prompted, rules.max_prompted)
        count = rules.num_memories - 1
        recent = recent_frames(step, count=count, stride=rules.stride)
        # a prompted frame that was not selected counts as tracked
        tracked = list(zip(recent, range(count, 0, -1), strict=True))
        return [(frame, rules.num_memories) for frame in chosen] + tracked

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, then recent ones, nearest first."""
        rules = self.rules
        chosen, _ = closest_prompted(step.frame, memories.prompted, rules.max_prompted)
        prompted = [
            (frame, age)
            for frame in chosen
            if (age := step.back_to(frame)) >= 0 or not rules.past_pointers_only
        ]
        recent = pointer_frames(step, count=rules.num_pointers)
        return prompted + [(frame, abs(step.frame - frame)) for frame in recent]


def recent_frames(step: TrackingStep, *, count: int, stride: int) -> list[int]:
    """List the tracked frames to attend to, farthest first.

    The neighbor is always included; the others lie on multiples of `stride`, so that a slow scene
    is covered over a longer time.

    Args:
        step: The frame being segmented.
        count: Number of frames (6 in every released checkpoint); none below 1.
        stride: Distance between the older frames, in frames.

    Returns:
        Frame indices. Some may not exist; the bank skips those.

    Source: sam2/modeling/sam2_base.py:538-562 @ 2b90b9f.
    """
    if count < 1:
        return []
    if step.direction == "backward":
        mirrored = recent_frames(TrackingStep(-step.frame), count=count, stride=stride)
        return [-frame for frame in mirrored]
    newest_on_grid = (step.frame - 2) // stride * stride
    older = range(newest_on_grid, newest_on_grid - (count - 1) * stride, -stride)
    return [*reversed(older), step.frame - 1]


def pointer_frames(step: TrackingStep, *, count: int) -> list[int]:
    """List the tracked frames whose pointers are attended to, nearest first.

    Source: sam2/modeling/sam2_base.py:611-617 @ 2b90b9f.
    """
    sign = 1 if step.direction == "forward" else -1
    frames = range(step.frame - sign, step.frame - sign * count, -sign)
    end = step.num_frames
    return [frame for frame in frames if frame >= 0 and (end is None or frame < end)]


def nearest_trusted(
    step: TrackingStep, count: int, is_trusted: Callable[[int], bool], *, look_back: int = LOOK_BACK
) -> list[int]:
    """List the previous frame, whatever it is, and the nearest trusted ones before it.

    Args:
        step: The frame being segmented.
        count: Number of frames to list.
        is_trusted: Whether a frame's memory may be read.
        look_back: How far back to look, frames.

    Returns:
        Frames, nearest first. The previous one may not exist; the bank skips it.
    """
    if count < 1:
        return []
    nearest, *older = [step.previous, *pointer_frames(step, count=look_back + 1)[1:]]
    return [nearest, *islice(filter(is_trusted, older), count - 1)]


def closest_prompted(
    current: int, prompted: Iterable[int], limit: int
) -> tuple[list[int], list[int]]:
    """Select the prompted frames to attend to: the one before, the one after, then the nearest.

    Args:
        current: The frame being segmented.
        prompted: All prompted frames, in any order.
        limit: Number to select; -1 for all.

    Returns:
        Selected frames, and the others.

    Source: sam2/modeling/sam2_utils.py:18-65 @ 2b90b9f.
    """
    frames = list(prompted)
    if limit == -1 or len(frames) <= limit:
        return frames, []
    before = max((frame for frame in frames if frame < current), default=None)
    after = min((frame for frame in frames if frame >= current), default=None)
    chosen = [frame for frame in (before, after) if frame is not None]
    others = sorted((f for f in frames if f not in chosen), key=lambda frame: abs(frame - current))
    rest = limit - len(chosen)
    return chosen + others[:rest], [frame for frame in frames if frame in others[rest:]]
