"""The decoder of a video file: an index of its frames, and cursors that decode in display order.

Times are whole numbers of the stream's time base, as the container stores them: `pts` says when a
frame is shown, `dts` when it is decoded. Packets lie in the order of decoding; the index sorts.

Making the index usually needs no decoding. Where times do not identify frames, since they are
missing, equal or jump back (appended recordings, more than 1,000 frames a second), the file is
decoded once, and its frames are the decoder's output, in that order.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from operator import attrgetter
from typing import TYPE_CHECKING, Protocol

RATE_TOLERANCE = Fraction(1, 50)  # a stated rate this near to the measured one is exact


class Packet(Protocol):
    """A compressed frame from a demuxer, with PyAV's names."""

    pts: int | None
    dts: int | None
    size: int
    is_keyframe: bool
    is_discard: bool
    is_corrupt: bool


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A frame that decodes without others.

    Attributes:
        frame: Its number, or that of the first frame shown after it if it is not shown itself.
        pts: When it is shown; in an index by order, the place of its packet in the file.
        dts: When it is decoded; None if the container does not say.
    """

    frame: int
    pts: int
    dts: int | None


@dataclass(frozen=True, slots=True)
class VideoIndex:
    """The frames of a video file in the order in which they are shown.

    Attributes:
        num_frames: Number that the container declares.
        num_readable: Number that can be read; fewer in a truncated file.
        pts: When each of those is shown; empty in an index by order.
        keys: The key frames in order.
        num_packets: Number of usable packets; later ones belong to the cut.
        numbers: For each packet the number of the frame that it decodes to, or -1; set in an index
            by order only.
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
        """Find the last key frame shown no later than a frame; None for the beginning."""
        if self.pts:
            position = bisect_right(self.keys, self.pts[frame], key=attrgetter("pts"))
        else:
            position = bisect_right(self.keys, frame, key=attrgetter("frame"))
        return self.keys[position - 1] if position else None

    def rate(self, time_base: Fraction, stated: Fraction | None) -> Fraction | None:
        """Measure the average frames per second, exact if the container states the rate."""
        duration = (self.pts[-1] - self.pts[0]) * time_base if self.pts else Fraction(0)
        if not duration:
            return stated or None
        measured = (len(self.pts) - 1) / duration
        if stated and abs(stated - measured) < RATE_TOLERANCE * measured:
            return stated
        return measured.limit_denominator(1001)  # as in 30000 / 1001


@dataclass(frozen=True, slots=True)
class _Times:
    """The times of a packet. A hidden one may still be needed to decode others."""

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
    """Build the index of a stream from its packets.

    Args:
        packets: Every packet that can be read, in the order of the file; none of them is kept.
        num_declared: Number that the container declares; 0 if unknown.
        timed: Whether the container's times can be trusted.
        is_hidden: Tells packets that decode to no frame, where the container does not mark them.

    Returns:
        The index; without `pts` if times do not identify frames.
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
    times = times[
        :num_whole
    ]  # damage at the very end is a cut; damage before it still yields a frame
    num_missing = max(num_declared, num_read) - num_whole
    if not timed or not _identify_frames(times):
        num_shown = sum(time.is_shown for time in times)
        return VideoIndex(num_shown + num_missing, num_shown, (), (), num_whole)
    key_times = sorted((time for time in times if time.is_key), key=_shown_at)
    pts = _shown(times, key_times)
    certain = _certain(pts, times) if num_missing else pts
    return VideoIndex(
        num_frames=len(pts) + num_missing,
        num_readable=len(certain),
        pts=tuple(certain),
        keys=tuple(
            KeyFrame(bisect_left(pts, _shown_at(time)), _shown_at(time), time.dts)
            for time in key_times
        ),
        num_packets=num_whole,
    )


def index_by_order(
    sources: Iterable[int | None], key_packets: Sequence[int], counted: VideoIndex
) -> VideoIndex:
    """Number frames by the order in which they are decoded.

    Args:
        sources: For every decoded frame, in order, the place of its packet; None if the decoder
            does not say.
        key_packets: The places of key frames.
        counted: The index made from packets alone.
    """
    numbers = array("q", [-1]) * counted.num_packets
    num_frames = 0
    for number, packet in enumerate(sources):
        num_frames += 1
        if packet is not None and numbers[packet] < 0:
            numbers[packet] = number
    keys = [KeyFrame(numbers[place], place, None) for place in key_packets if numbers[place] >= 0]
    num_missing = counted.num_frames - counted.num_readable
    return VideoIndex(
        num_frames=num_frames + num_missing,
        num_readable=num_frames,
        pts=(),
        keys=tuple(sorted(keys, key=attrgetter("frame"))),
        num_packets=counted.num_packets,
        numbers=numbers,
    )


def _identify_frames(times: list[_Times]) -> bool:
    """Whether frames have distinct times that agree with the decoding order."""
    shown = [packet.pts for packet in times if packet.is_shown]
    if any(packet.pts is None for packet in times) or len(set(shown)) < len(shown):
        return False
    decoded = [packet.dts for packet in times if packet.dts is not None]
    keys = [_shown_at(packet) for packet in times if packet.is_key]
    return all(earlier <= later for order in (decoded, keys) for earlier, later in pairwise(order))


def _shown_at(packet: _Times) -> int:
    """Return when a packet is shown; all have a time by now."""
    return 0 if packet.pts is None else packet.pts


def is_end(packet: Packet) -> bool:
    """Whether it is the empty packet that follows the last one."""
    return packet.size == 0 and packet.pts is None and packet.dts is None


def _shown(times: list[_Times], key_times: list[_Times]) -> list[int]:
    """Sort the times of frames that are shown.

    Those before the first key frame cannot be decoded. A recording that begins in the middle of a
    broadcast has some.
    """
    begin = _shown_at(key_times[0] if key_times else min(times, key=_shown_at)) if times else 0
    return sorted(
        _shown_at(packet) for packet in times if packet.is_shown and _shown_at(packet) >= begin
    )


def _certain(pts: list[int], times: list[_Times]) -> list[int]:
    """Drop the end of a truncated file, where frames that are shown earlier may be missing.

    A missing frame is decoded after the existing ones, and shown no earlier than it is decoded.
    Beyond that, frames are consecutive for certain while no gap is wider than the narrowest.
    """
    decoded = max((packet.dts for packet in times if packet.dts is not None), default=None)
    steps = [later - earlier for earlier, later in pairwise(pts)]
    narrowest = min(steps, default=0)
    for position, step in enumerate(steps, 1):
        is_beyond = decoded is None or pts[position] > decoded
        if is_beyond and step > narrowest:
            return pts[:position]
    return pts


if TYPE_CHECKING:
    import av
    from av.container import InputContainer

    AnyPacket = av.Packet[av.VideoStream]

FAR_AHEAD = 16  # frames; nearer ones are decoded, which is quicker than seeking

OpenStream = Callable[[], "tuple[InputContainer, av.VideoStream]"]


class VideoDecoder:
    """Random access to the frames of a file, quickest in order. Not thread-safe.

    Going backward, the frames passed on the way to one are requested next. So the last of them are
    kept, and a group of frames is decoded once for every `keep` of its frames.

    Args:
        open_stream: Opens the file; called again for each restart.
        index: Its frames.
        keep: Number of passed frames kept.
        errors: Errors that the decoder raises on damaged data.
    """

    def __init__(
        self, open_stream: OpenStream, index: VideoIndex, *, keep: int, errors: type[Exception]
    ) -> None:
        self._open_stream = open_stream
        self._index = index
        self._errors = errors
        self._passed: deque[tuple[int, av.VideoFrame]] = deque(maxlen=keep)
        self._container, self._stream = open_stream()
        self._frames = self._decode(self._container.demux(self._stream), begin=0)
        self._next = 0  # the lowest number that the iterator may still yield
        self._poor_keys: set[int] = set()  # frames marked as keys that need others to decode

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec."""
        return str(self._stream.codec_context.name)

    def decode(self, frame: int) -> "av.VideoFrame | None":
        """Decode a frame; None if the file is damaged there."""
        for number, passed in self._passed:
            if number == frame:
                return passed
        self._passed.clear()
        key = self._index.key_before(frame)
        key_frame = 0 if key is None else key.frame
        is_far = frame > self._next + FAR_AHEAD and key_frame > self._next
        if frame < self._next or is_far:
            self._start(key)
        for number, decoded in self._frames:
            self._next = number + 1
            if number == frame:
                return decoded
            self._passed.append((number, decoded))
            if number > frame:
                return None
        self._next = self._index.num_frames
        return None

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        self._passed.clear()
        self._frames = iter(())
        self._container.close()

    def _start(self, key: KeyFrame | None) -> None:
        """Seek to a key frame, to one before it, or to the beginning.

        Streams with gradual refresh mark frames as keys from which decoding yields nothing at
        first, and then approximate pixels. So a key counts only if its own frame comes out.
        """
        while key is not None:
            if key.frame not in self._poor_keys:
                if self._start_at(key):
                    return
                self._poor_keys.add(key.frame)
            key = self._index.key_before(key.frame - 1) if key.frame else None
        self._reopen(begin=0, skipped=0)

    def _start_at(self, key: KeyFrame) -> bool:
        """Seek to a key frame; False if decoding does not begin with it.

        Containers seek by presentation or by decoding time, and some land too late. In an index by
        order, packets are read from the beginning and decoded from the key frame on.
        """
        if len(self._index.numbers):
            self._reopen(begin=key.frame, skipped=key.pts)
        elif not any(self._try_start(time, key) for time in (key.pts, key.dts) if time is not None):
            return False
        first = next(self._frames, None)
        if first is None or first[0] != self._next:
            return False
        self._frames = chain([first], self._frames)
        return True

    def _reopen(self, *, begin: int, skipped: int) -> None:
        """Read the file from its beginning, and decode it after `skipped` packets."""
        self._container.close()
        self._container, self._stream = self._open_stream()
        packets = self._container.demux(self._stream)
        self._frames = self._decode(packets, begin=begin, skipped=skipped)
        self._next = begin

    def _try_start(self, time: int, key: KeyFrame) -> bool:
        """Seek to a time; False if that is after the key frame."""
        try:
            self._container.seek(time, stream=self._stream)
            packets = self._container.demux(self._stream)
            landed = next((packet for packet in packets if packet.is_keyframe), None)
        except self._errors:
            return False
        if landed is None or landed.pts is None or landed.pts > key.pts:
            return False
        # Frames shown before the key frame but decoded after it need earlier frames.
        begin = self._index.first_at(landed.pts)
        self._frames = self._decode(chain([landed], packets), begin=begin)
        self._next = begin
        return True

    def _decode(
        self, packets: "Iterator[AnyPacket]", *, begin: int, skipped: int = 0
    ) -> "Iterator[tuple[int, av.VideoFrame]]":
        """Yield numbered frames of packets; damaged ones are skipped."""
        numbers = self._index.numbers
        if len(numbers):
            packets = _numbered(packets, numbers, skipped)
        else:
            packets = filter(self._is_whole, packets)
        last = begin - 1
        for packet in _until_cut(packets, self._errors):
            for decoded in self._frames_of(packet):
                number = self._number(decoded.pts, last)
                if number is not None and number >= begin:
                    last = number
                    yield number, decoded

    def _is_whole(self, packet: "AnyPacket") -> bool:
        """Whether a packet is complete; the last one of a truncated file is not."""
        return not packet.is_corrupt or self._index.frame_at(packet.pts) is not None

    def _frames_of(self, packet: "AnyPacket | None") -> "list[av.VideoFrame]":
        return _decoded(self._stream, packet, self._errors)

    def _number(self, pts: int | None, last: int) -> int | None:
        """Return the number of the frame decoded after `last`; None if it is not shown."""
        if self._index.pts:
            return self._index.frame_at(pts)
        if pts is None or pts == last:  # the second frame of one packet
            return last + 1
        return pts if pts >= 0 else None


def order_frames(
    open_stream: OpenStream, counted: VideoIndex, errors: type[Exception]
) -> VideoIndex:
    """Decode a whole file once, to map packets to frames.

    Args:
        open_stream: Opens the file.
        counted: The index made from packets alone.
        errors: Errors that the decoder raises on damaged data.
    """
    container, stream = open_stream()
    sources: list[int | None] = []
    keys: list[int] = []
    with container:
        packets = _numbered(container.demux(stream), range(counted.num_packets), 0)
        for packet in _until_cut(packets, errors):
            if packet is not None and packet.is_keyframe and packet.pts is not None:
                keys.append(packet.pts)
            sources += [decoded.pts for decoded in _decoded(stream, packet, errors)]
    return index_by_order(sources, keys, counted)


def _numbered(
    packets: "Iterator[AnyPacket]", numbers: Sequence[int], skipped: int
) -> "Iterator[AnyPacket]":
    """Replace times by packet numbers, which the decoder passes on to its frames."""
    place = 0
    for packet in packets:
        if place == len(numbers):
            return
        if packet.size:
            if place >= skipped:
                packet.pts = packet.dts = numbers[place]
                yield packet
            place += 1


def _until_cut(
    packets: "Iterator[AnyPacket]", errors: type[Exception]
) -> "Iterator[AnyPacket | None]":
    """Yield packets with data, then None, which flushes the decoder."""
    with suppress(errors):  # a truncated file
        yield from (packet for packet in packets if packet.size)
    yield None


def _decoded(
    stream: "av.VideoStream", packet: "AnyPacket | None", errors: type[Exception]
) -> "list[av.VideoFrame]":
    try:
        return list(stream.codec_context.decode(packet))
    except errors:
        return []
