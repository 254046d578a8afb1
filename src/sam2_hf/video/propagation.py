"""Which frames a propagation visits, in which order, and what is asked of each visit."""

import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.number_reading import read_whole, shown

from .memory_policy import Direction

PropagationDirection = Literal["forward", "backward", "both"]
Runs = list[tuple[range, Direction]]
ENDLESS = sys.maxsize  # where a run of unknown length ends


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """One frame to be segmented.

    Attributes:
        frame: Which frame.
        direction: Which way time runs.
        remember: Whether tracked objects leave a memory.
        leaves_trace: Whether anything that is remembered changes at all; going backward from the
            first frame, which the original leaves out, it does not.
        passes_prompted: Whether a prompted frame counts as tracked from now on, so that a later
            click on it is a correction; under transformers' names it does not.
        corrected: Objects whose correction on this frame has just been remembered as if it had been
            tracked; they keep it this time.
        ahead: The frame that comes next, if that is known: a GPU encodes it while the host
            writes down the masks of this one.
    """

    frame: int
    direction: Direction = "forward"
    remember: bool = True
    passes_prompted: bool = True
    leaves_trace: bool = True
    corrected: frozenset[int] = frozenset()
    ahead: int | None = None

    def keeping(self, corrections: Collection[tuple[int, int]]) -> "FrameRequest":
        """Return this request with the corrections of its frame, out of pairs (frame, object)."""
        corrected = frozenset(number for frame, number in corrections if frame == self.frame)
        return replace(self, corrected=corrected)


@dataclass(frozen=True, slots=True)
class ToCome:
    """The frames that a propagation has yet to visit, after the present one.

    Attributes:
        frame: The present frame.
        runs: The present run, and those after it.
    """

    frame: int
    runs: Runs

    def __contains__(self, frame: object) -> bool:
        (frames, _), *later = self.runs
        ahead = range(self.frame + frames.step, frames.stop, frames.step)
        return frame in ahead or any(frame in others for others, _ in later)


def plan_propagation(
    start: int | None,
    limit: int | None,
    direction: PropagationDirection,
    num_frames: int | None,
    prompted: Collection[int],
) -> Runs:
    """List the runs of a propagation.

    Args:
        start: First frame. If None: the first prompted frame, or the last one where time only runs
            backwards.
        limit: How many frames to visit, in each direction; all if None. The first frame counts as
            one of those ahead.
        direction: Forward in time, backward, or forward and then backward from the same frame.
        num_frames: Frames of the video; None if that is not known yet.
        prompted: Frames with a prompt; at least one.

    Returns:
        Frames and direction of each run; no frame is visited twice.

    Raises:
        FrameError: There is no such first frame.
        SessionError: There is no such direction, or the limit is negative.
    """
    if not isinstance(direction, str) or direction not in ("forward", "backward", "both"):
        raise SessionError(
            f"direction {shown(direction)} is unknown. Use forward, backward or both."
        )
    start, limit = _read_number("start", start), _read_number("limit", limit)
    if limit is not None and limit < 0:
        raise SessionError(f"limit is {shown(limit)}; it must be a number of frames, 0 or more.")
    if start is None:
        start = max(prompted) if direction == "backward" else min(prompted)
    if start < 0 or (num_frames is not None and start >= num_frames):
        last = "" if num_frames is None else f" up to {num_frames - 1}"
        raise FrameError(
            f"there is no frame {shown(start)} to start from: frames count from 0{last}."
        )
    ends = [
        end for end in (num_frames, None if limit is None else start + limit) if end is not None
    ]
    ahead = range(start, min(ends, default=ENDLESS))
    first_behind = start if direction == "backward" else start - 1
    behind = range(first_behind, -1, -1)[:limit]
    runs: Runs = []
    if direction != "backward":
        runs.append((ahead, "forward"))
    if direction != "forward":
        runs.append((behind, "backward"))
    return runs


def begins_backward_from_first(runs: Runs) -> bool:
    """Tell whether time runs backward from frame 0, before which nothing lies."""
    return bool(runs) and runs[0][1] == "backward" and runs[0][0].start == 0


def count_frames(
    start: int | None,
    limit: int | None,
    direction: PropagationDirection,
    num_frames: int | None,
    prompted: Collection[int],
) -> int | None:
    """Count the frames that a propagation visits; None if its end is not known yet.

    Takes and raises what [`plan_propagation`] does.
    """
    runs = plan_propagation(start, limit, direction, num_frames, prompted)
    if any(frames.stop == ENDLESS for frames, _ in runs):
        return None
    return sum(len(frames) for frames, _ in runs)


def _read_number(name: str, given: object) -> int | None:
    """Read a number of frames."""
    number = read_whole(given)
    if number is None and given is not None:
        raise SessionError(f"{name} is {shown(given)}; it must be a whole number of frames.")
    return number
