"""Which past frames a frame may look at. Plain integers in, plain integers out."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["forward", "backward"]


@dataclass(frozen=True, slots=True)
class TrackingStep:
    """Where tracking stands.

    Attributes:
        frame: The frame that is segmented.
        direction: Which way time runs.
        num_frames: Frames of the video; None for a stream.
    """

    frame: int
    direction: Direction = "forward"
    num_frames: int | None = None

    def back_to(self, frame: int) -> int:
        """Count how many frames ago `frame` was; negative if it is still to come."""
        distance = self.frame - frame
        return distance if self.direction == "forward" else -distance

    def ago(self, steps: int) -> int:
        """Name the frame that was `steps` frames ago; it may not exist."""
        return self.frame - steps if self.direction == "forward" else self.frame + steps


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryRules:
    """How far memory reaches.

    Attributes:
        num_memories: Spatial memories a frame looks at, all prompted ones counted as one; with 0
            it looks at no memory at all, pointers included.
        num_pointers: Object pointers a frame looks at, likewise.
        stride: Distance between the older memories, frames.
        max_prompted: Prompted frames a frame looks at; -1 means all.
        past_pointers_only: Whether pointers of prompted frames that are still to come are left
            out; they are not in training.
        clip_times: Whether pointer times are parts of the clip's length where it is short.
    """

    num_memories: int = 7
    num_pointers: int = 16
    stride: int = 1
    max_prompted: int = -1
    past_pointers_only: bool = True
    clip_times: bool = False

    @property
    def reach(self) -> int:
        """How many frames back something may be read."""
        return max(self.num_pointers, (self.num_memories - 1) * self.stride + 1)

    def longest_time(self, now: TrackingStep) -> int:
        """Return the time, in frames, that counts as 1 for a pointer."""
        count = self.num_pointers
        if self.clip_times and now.num_frames is not None:
            count = min(count, now.num_frames)
        return max(count - 1, 1)


def recent_frames(now: TrackingStep, *, count: int, stride: int) -> list[int]:
    """List the tracked frames to attend to, farthest first.

    The neighbor is always included; the others lie on multiples of `stride`, so that a slow scene
    is remembered over a longer time.

    Args:
        now: The frame being segmented.
        count: How many frames to list (6 in every released checkpoint); none below 1.
        stride: Distance between the older frames, in frames.

    Returns:
        Frame indices. Some may not exist; the bank skips those.

    Source: sam2/modeling/sam2_base.py:538-562 @ 2b90b9f.
    """
    if count < 1:
        return []
    if now.direction == "backward":
        mirrored = recent_frames(TrackingStep(-now.frame), count=count, stride=stride)
        return [-frame for frame in mirrored]
    newest_on_grid = (now.frame - 2) // stride * stride
    older = [newest_on_grid - step * stride for step in range(count - 1)]
    return [*reversed(older), now.frame - 1]


def pointer_frames(now: TrackingStep, *, count: int) -> list[int]:
    """List the tracked frames whose pointers are attended to, nearest first.

    Source: sam2/modeling/sam2_base.py:611-617 @ 2b90b9f.
    """
    frames = (now.ago(steps) for steps in range(1, count))
    end = now.num_frames
    return [frame for frame in frames if frame >= 0 and (end is None or frame < end)]


def closest_prompted(now: int, prompted: Iterable[int], limit: int) -> tuple[list[int], list[int]]:
    """Choose the prompted frames to attend to: the one before, the one after, then the nearest.

    Args:
        now: The frame being segmented.
        prompted: All prompted frames, in any order.
        limit: How many to choose; -1 means all.

    Returns:
        Chosen frames, and the others.

    Source: sam2/modeling/sam2_utils.py:18-65 @ 2b90b9f.
    """
    frames = list(prompted)
    if limit == -1 or len(frames) <= limit:
        return frames, []
    before = max((frame for frame in frames if frame < now), default=None)
    after = min((frame for frame in frames if frame >= now), default=None)
    chosen = [frame for frame in (before, after) if frame is not None]
    others = sorted((f for f in frames if f not in chosen), key=lambda frame: abs(frame - now))
    rest = limit - len(chosen)
    return chosen + others[:rest], [frame for frame in frames if frame in others[rest:]]
