"""Which frames a video file has, and from where each can be decoded; learned without decoding.

Times are whole numbers of the stream's time base, as the container stores them: `pts` says when a
frame is shown, `dts` when it is decoded. Packets lie in the order of decoding; the index sorts.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from operator import attrgetter
from typing import Protocol

LIKE_A_RATE = Fraction(1, 50)  # a stated rate this near to the measured one is the exact one
LARGEST_DENOMINATOR = 1001  # of a usual rate: 30000 / 1001


class Packet(Protocol):
    """What a demuxer tells of one compressed frame, in PyAV's names."""

    pts: int | None
    dts: int | None
    size: int
    is_keyframe: bool
    is_discard: bool
    is_corrupt: bool


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame that needs no other one.

    Attributes:
        frame: Its number, or that of the first frame shown after it if it is not shown itself.
        pts: When it is shown.
        dts: When it is decoded; None where the container does not say.
    """

    frame: int
    pts: int
    dts: int | None


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """The frames of a video file in the order in which they are shown.

    Attributes:
        num_frames: How many the container declares.
        num_readable: How many can be read; fewer if the file is cut off.
        pts: When each of those is shown; empty if the container does not say (raw streams).
        keys: The key frames in order of `pts`; empty if `pts` is.
    """

    num_frames: int
    num_readable: int
    pts: tuple[int, ...]
    keys: tuple[KeyFrame, ...]

    def frame_at(self, pts: int | None) -> int | None:
        """Find the frame that is shown at a time; None if none is."""
        if pts is None:
            return None
        frame = self.first_at(pts)
        return frame if frame < len(self.pts) and self.pts[frame] == pts else None

    def first_at(self, pts: int) -> int:
        """Find the first frame that is shown at a time or later."""
        return bisect_left(self.pts, pts)

    def key_before(self, frame: int) -> KeyFrame | None:
        """Find the last key frame that is shown no later than a frame; None for the beginning."""
        if not self.pts:
            return None
        position = bisect_right(self.keys, self.pts[frame], key=attrgetter("pts"))
        return self.keys[position - 1] if position else None

    def rate(self, time_base: Fraction, stated: Fraction | None) -> Fraction | None:
        """Measure the average rate in frames per second, exact where the container knows it."""
        duration = (self.pts[-1] - self.pts[0]) * time_base if self.pts else Fraction(0)
        if not duration:
            return stated or None
        measured = (len(self.pts) - 1) / duration
        if stated and abs(stated - measured) < LIKE_A_RATE * measured:
            return stated
        return measured.limit_denominator(LARGEST_DENOMINATOR)


@dataclass(frozen=True, slots=True)
class _Times:
    """What is kept of a packet. One that is not shown may still be needed to decode others."""

    pts: int
    dts: int | None
    is_key: bool
    is_shown: bool


def build_index(packets: Iterable[Packet], *, num_declared: int, timed: bool) -> VideoIndex:
    """Sort out what the packets of a stream say.

    Args:
        packets: Every packet that can be read, in the order of the file; none of them is kept.
        num_declared: How many the container says there are; 0 if it does not say.
        timed: Whether the container's times are to be believed.
    """
    num_read, num_whole, num_shown = 0, 0, 0
    times: list[_Times] = []
    for packet in packets:
        num_read += not is_end(packet)
        if not is_whole(packet):
            continue
        num_whole += 1
        num_shown += not packet.is_discard
        if packet.pts is not None:
            is_shown = not packet.is_discard
            times.append(_Times(packet.pts, packet.dts, packet.is_keyframe, is_shown))
    num_missing = max(num_declared, num_read) - num_whole
    if not timed or len(times) < num_whole:
        return VideoIndex(num_shown + num_missing, num_shown, (), ())
    key_times = sorted((one for one in times if one.is_key), key=attrgetter("pts"))
    pts = _shown(times, key_times)
    certain = _certain(pts, times) if num_missing else pts
    return VideoIndex(
        num_frames=len(pts) + num_missing,
        num_readable=len(certain),
        pts=tuple(certain),
        keys=tuple(KeyFrame(bisect_left(pts, one.pts), one.pts, one.dts) for one in key_times),
    )


def is_whole(packet: Packet) -> bool:
    """Whether a packet has data, and all of them."""
    return packet.size > 0 and not packet.is_corrupt


def is_end(packet: Packet) -> bool:
    """Whether it is the empty packet that follows the last one."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


def _shown(times: list[_Times], key_times: list[_Times]) -> list[int]:
    """Sort the times of frames that are shown.

    Those before the first key frame cannot be decoded. A recording that begins in the middle of a
    broadcast has some.
    """
    begin = key_times[0].pts if key_times else min((one.pts for one in times), default=0)
    return sorted({one.pts for one in times if one.is_shown and one.pts >= begin})


def _certain(pts: list[int], times: list[_Times]) -> list[int]:
    """Leave out the end of a cut off file, where frames that are shown earlier may be missing.

    What is missing is decoded after what is there, and shown no earlier than it is decoded. Beyond
    that, frames follow each other for certain while no gap is wider than the narrowest.
    """
    decoded = max((one.dts for one in times if one.dts is not None), default=None)
    steps = [later - earlier for earlier, later in pairwise(pts)]
    narrowest = min(steps, default=0)
    for position, step in enumerate(steps, 1):
        is_beyond = decoded is None or pts[position] > decoded
        if is_beyond and step > narrowest:
            return pts[:position]
    return pts
