"""Which frames a video file has, and from where each can be decoded.

Times are whole numbers of the stream's time base, as the container stores them: `pts` says when a
frame is shown, `dts` when it is decoded. Packets lie in the order of decoding; the index sorts.

As a rule that needs no decoding. Where times do not tell frames apart, since they are missing,
equal or jump back (appended recordings, more than 1,000 frames a second), the file is decoded once,
and frames are what comes out, in that order.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
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
        pts: When it is shown; in an index by order, the place of its packet in the file.
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
        pts: When each of those is shown; empty in an index by order.
        keys: The key frames in order.
        num_packets: How many packets of the file count; what follows them is cut off.
        numbers: Makes this an index by order: for each packet, the number of the frame that comes
            out of it, or -1.
    """

    num_frames: int
    num_readable: int
    pts: tuple[int, ...]
    keys: tuple[KeyFrame, ...]
    num_packets: int = 0
    numbers: Sequence[int] = ()

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
        if self.pts:
            position = bisect_right(self.keys, self.pts[frame], key=attrgetter("pts"))
        else:
            position = bisect_right(self.keys, frame, key=attrgetter("frame"))
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

    pts: int | None
    dts: int | None
    is_key: bool
    is_shown: bool


def build_index(
    packets: Iterable[Packet],
    *,
    num_declared: int,
    timed: bool,
    is_hidden: Callable[[Packet], bool] | None = None,
) -> VideoIndex:
    """Sort out what the packets of a stream say.

    Args:
        packets: Every packet that can be read, in the order of the file; none of them is kept.
        num_declared: How many the container says there are; 0 if it does not say.
        timed: Whether the container's times are to be believed.
        is_hidden: Whether no frame comes out of a packet, although the container does not say so.

    Returns:
        The index; without `pts` if times do not tell frames apart.
    """
    num_read, num_whole = 0, 0
    times: list[_Times] = []
    for packet in packets:
        num_read += not is_end(packet)
        if not packet.size:
            continue
        hidden = packet.is_discard or (is_hidden is not None and is_hidden(packet))
        times.append(_Times(packet.pts, packet.dts, packet.is_keyframe, not hidden))
        if not packet.is_corrupt:
            num_whole = len(times)
    times = times[:num_whole]  # damage at the very end is a cut; before that a frame comes of it
    num_missing = max(num_declared, num_read) - num_whole
    if not timed or not _tell_apart(times):
        num_shown = sum(one.is_shown for one in times)
        return VideoIndex(num_shown + num_missing, num_shown, (), (), num_whole)
    key_times = sorted((one for one in times if one.is_key), key=_shown_at)
    pts = _shown(times, key_times)
    certain = _certain(pts, times) if num_missing else pts
    return VideoIndex(
        num_frames=len(pts) + num_missing,
        num_readable=len(certain),
        pts=tuple(certain),
        keys=tuple(
            KeyFrame(bisect_left(pts, _shown_at(one)), _shown_at(one), one.dts) for one in key_times
        ),
        num_packets=num_whole,
    )


def index_by_order(
    sources: Iterable[int | None], key_packets: Sequence[int], counted: VideoIndex
) -> VideoIndex:
    """Number frames by the order in which they are decoded.

    Args:
        sources: Of every decoded frame, in order, the place of the packet it came from; None where
            the decoder does not say.
        key_packets: The places of key frames.
        counted: What the packets alone said.
    """
    numbers = array("q", [-1]) * counted.num_packets
    num_frames = 0
    for number, packet in enumerate(sources):
        num_frames += 1
        if packet is not None and numbers[packet] < 0:
            numbers[packet] = number
    keys = [KeyFrame(numbers[one], one, None) for one in key_packets if numbers[one] >= 0]
    num_missing = counted.num_frames - counted.num_readable
    return VideoIndex(
        num_frames=num_frames + num_missing,
        num_readable=num_frames,
        pts=(),
        keys=tuple(sorted(keys, key=attrgetter("frame"))),
        num_packets=counted.num_packets,
        numbers=numbers,
    )


def _tell_apart(times: list[_Times]) -> bool:
    """Whether every frame has a time of its own, and times grow with the order of decoding."""
    shown = [one.pts for one in times if one.is_shown]
    if any(one.pts is None for one in times) or len(set(shown)) < len(shown):
        return False
    decoded = [one.dts for one in times if one.dts is not None]
    keys = [_shown_at(one) for one in times if one.is_key]
    return all(earlier <= later for order in (decoded, keys) for earlier, later in pairwise(order))


def _shown_at(one: _Times) -> int:
    """Tell when a packet is shown; all have a time by now."""
    return 0 if one.pts is None else one.pts


def is_end(packet: Packet) -> bool:
    """Whether it is the empty packet that follows the last one."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


def _shown(times: list[_Times], key_times: list[_Times]) -> list[int]:
    """Sort the times of frames that are shown.

    Those before the first key frame cannot be decoded. A recording that begins in the middle of a
    broadcast has some.
    """
    begin = _shown_at(key_times[0] if key_times else min(times, key=_shown_at)) if times else 0
    return sorted(_shown_at(one) for one in times if one.is_shown and _shown_at(one) >= begin)


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
