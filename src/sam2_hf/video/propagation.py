"""Propagation plans: the frames to visit, their order, and the request for each."""

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.number_reading import read_whole, shown
from sam2_hf.video.policies.memory_policy import Direction

PropagationDirection = Literal["forward", "backward", "both"]
Runs = list[tuple[range, Direction]]
Item = TypeVar("Item")
ENDLESS = sys.maxsize  # end of a run of unknown length


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """One frame to be segmented.

    Attributes:
        frame: The frame.
        direction: Direction of time.
        remember: Whether tracked objects leave a memory.
        leaves_trace: Whether memories change; not when going backward from the first frame, which
            the original skips.
        passes_prompted: Whether a visited prompted frame counts as tracked, so that a later click
            on it is a correction; not in transformers' API.
        corrected: Objects whose correction on this frame was just stored as tracked; not
            overwritten by this visit.
        ahead: The next frame, if known: a GPU encodes it while the host stores the masks of this
            one.
        only: Ids of the objects to segment; all if None.
    """

    frame: int
    direction: Direction = "forward"
    remember: bool = True
    passes_prompted: bool = True
    leaves_trace: bool = True
    corrected: frozenset[int] = frozenset()
    ahead: int | None = None
    only: frozenset[int] | None = None

    def keeping(self, corrections: Collection[tuple[int, int]]) -> "FrameRequest":
        """Return this request with the corrections of its frame, from (frame, object) pairs."""
        corrected = frozenset(number for frame, number in corrections if frame == self.frame)
        return replace(self, corrected=corrected)

    def chosen(self, objects: Mapping[int, Item]) -> list[Item]:
        """List the objects to segment, in order."""
        if self.only is None:
            return list(objects.values())
        return [obj for object_id, obj in objects.items() if object_id in self.only]


@dataclass(frozen=True, slots=True)
class ToCome:
    """Frames still to visit after the current one.

    Attributes:
        frame: The current frame.
        runs: The current run and those after it.
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
        start: First frame. If None: the first prompted frame, or the last one if only going
            backward; of the video if none is prompted.
        limit: Frames to visit in each direction, including the first in the forward one; all if
            None.
        direction: Forward in time, backward, or forward and then backward from the same frame.
        num_frames: Frames of the video; None if unknown yet.
        prompted: Frames with a prompt; none if objects are known from references.

    Returns:
        Frames and direction of each run; no frame is visited twice.

    Raises:
        FrameError: The first frame does not exist.
        SessionError: The direction is unknown, the limit negative, or the last frame unknown.
    """
    if not isinstance(direction, str) or direction not in ("forward", "backward", "both"):
        raise SessionError(
            f"direction {shown(direction)} is unknown. Use forward, backward or both."
        )
    start, limit = _read_number("start", start), _read_number("limit", limit)
    if limit is not None and limit < 0:
        raise SessionError(f"limit is {shown(limit)}; it must be a number of frames, 0 or more.")
    if start is None:
        start = _first_visited(direction, num_frames, prompted)
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


def _first_visited(
    direction: PropagationDirection, num_frames: int | None, prompted: Collection[int]
) -> int:
    """Choose where to start: a prompted frame, or an end of the video if there is none."""
    if direction != "backward":
        return min(prompted, default=0)
    if not prompted and num_frames is None:
        raise SessionError(
            "the last frame is not known yet, so there is no frame to go backward from. Give "
            "start=..., or track forward."
        )
    return max(prompted, default=(num_frames or 1) - 1)


def begins_backward_from_first(runs: Runs) -> bool:
    """Tell whether the runs go backward from frame 0, the first of the video."""
    return bool(runs) and runs[0][1] == "backward" and runs[0][0].start == 0


def count_frames(
    start: int | None,
    limit: int | None,
    direction: PropagationDirection,
    num_frames: int | None,
    prompted: Collection[int],
) -> int | None:
    """Count the frames that a propagation visits; None if its end is unknown.

    Arguments and errors as of [`plan_propagation`].
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
