"""Ranges of frames that a long video is split into, so that several workers share it.

Objects of two ranges have nothing to do with each other, so ranges end at scene cuts where they
can.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

from sam2_hf.frames.base import Frames

Ranges = list[tuple[int, int]]  # first frame, and one past the last


def whole_video(frames: Frames) -> Ranges:
    """Find no scene but the video itself."""
    return [(0, frames.num_frames or 0)]


FIND_SCENES: Callable[[Frames], Ranges] = whole_video


def split_ranges(scenes: Sequence[tuple[int, int]], longest: int) -> Ranges:
    """Put neighboring scenes together, as long as they are not too long; cut longer ones evenly.

    Args:
        scenes: Neighboring ranges, in order.
        longest: Frames of a range at most.
    """
    ranges: Ranges = []
    for first, stop in scenes:
        if ranges and stop - ranges[-1][0] <= longest:
            ranges[-1] = ranges[-1][0], stop
            continue
        count = -(-(stop - first) // longest)
        ends = [first + (stop - first) * part // count for part in range(count + 1)]
        ranges += pairwise(ends)
    return ranges
