"""Ranges of frames that a long video is split into, so that several workers share it.

Objects of two ranges have nothing to do with each other, so ranges end at scene cuts where they
can.
"""

from collections.abc import Sequence
from itertools import pairwise

from sam2_hf.everything.scene_cuts import SceneCuts
from sam2_hf.frames.base import Frames

from .claims import Beat

Ranges = list[tuple[int, int]]  # first frame, and one past the last


def scenes_of(frames: Frames, beat: Beat) -> Ranges:
    """List the scenes of a video, which is read to its end.

    Args:
        frames: The video.
        beat: Called after each frame, as a sign of progress.
    """
    cuts, begins, frame = SceneCuts(frames), [0], 1
    while frames.reaches(frame):
        if cuts.begins_scene(frame):
            begins.append(frame)
        beat()
        frame += 1
    return [*pairwise([*begins, frames.num_frames or 0])]


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
