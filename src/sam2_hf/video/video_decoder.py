"""One place in a video file, from where frames are decoded in the order in which they are shown."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

from .video_index import KeyFrame, VideoIndex, index_by_order

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

    AnyPacket = av.Packet[av.VideoStream]

FAR_AHEAD = 16  # frames; to a nearer one, decoding is quicker than seeking

OpenStream = Callable[[], "tuple[InputContainer, av.VideoStream]"]


class VideoDecoder:
    """Decodes any frame of a file, quickest in order. For one thread at a time.

    Going backward, the frames passed on the way to one are the next ones that are asked for. So the
    last of them are kept, and a group of frames is decoded once for every `keep` frames of it.

    Args:
        open_stream: Opens the file anew; the first call's result is closed by `close`.
        index: What frames it has.
        keep: How many passed frames are kept.
        errors: What the decoder raises when data are damaged.
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
        self._next = 0  # the lowest number that the iterator may still give
        self._poor_keys: set[int] = set()  # frames marked as keys that need others nevertheless

    @property
    def codec(self) -> str:
        """What FFmpeg calls the codec."""
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
        """Go to a key frame, to one before it, or to the beginning.

        A stream that is refreshed bit by bit marks frames as keys from which decoding gives nothing
        at first, and then nearly the right pixels. So a key counts only if its own frame comes out.
        """
        while key is not None:
            if key.frame not in self._poor_keys:
                if self._start_at(key):
                    return
                self._poor_keys.add(key.frame)
            key = self._index.key_before(key.frame - 1) if key.frame else None
        self._reopen(begin=0, skipped=0)

    def _start_at(self, key: KeyFrame) -> bool:
        """Go to a key frame; False if decoding does not begin with it.

        Containers seek by the time of showing or by that of decoding, and some land too late. Where
        times tell nothing, packets are read from the beginning and decoded from the key frame on.
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
        """Read the file from its beginning, and decode it after some packets."""
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
            landed = next((one for one in packets if one.is_keyframe), None)
        except self._errors:
            return False
        if landed is None or landed.pts is None or landed.pts > key.pts:
            return False
        # What is shown before the key frame but decoded after it needs frames from before it.
        begin = self._index.first_at(landed.pts)
        self._frames = self._decode(chain([landed], packets), begin=begin)
        self._next = begin
        return True

    def _decode(
        self, packets: "Iterator[AnyPacket]", *, begin: int, skipped: int = 0
    ) -> "Iterator[tuple[int, av.VideoFrame]]":
        """Give the frames of packets with their numbers; what is damaged is passed over."""
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
        """Whether a packet is not the last one of a cut off file."""
        return not packet.is_corrupt or self._index.frame_at(packet.pts) is not None

    def _frames_of(self, packet: "AnyPacket | None") -> "list[av.VideoFrame]":
        return _decoded(self._stream, packet, self._errors)

    def _number(self, pts: int | None, last: int) -> int | None:
        """Tell which frame was decoded after the last one; None if it is none that is shown."""
        if self._index.pts:
            return self._index.frame_at(pts)
        if pts is None or pts == last:  # the second frame out of one packet
            return last + 1
        return pts if pts >= 0 else None


def order_frames(
    open_stream: OpenStream, counted: VideoIndex, errors: type[Exception]
) -> VideoIndex:
    """Decode a whole file once, to learn which frames come out of which packets.

    Args:
        open_stream: Opens the file.
        counted: What the packets alone said.
        errors: What the decoder raises when data are damaged.
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
    """Put numbers in the place of times, which a decoder hands on to the frames it makes."""
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
    """Give packets that have data, then None, at which a decoder gives what it holds."""
    with suppress(errors):  # where a file is cut off
        yield from (packet for packet in packets if packet.size)
    yield None


def _decoded(
    stream: "av.VideoStream", packet: "AnyPacket | None", errors: type[Exception]
) -> "list[av.VideoFrame]":
    try:
        return list(stream.codec_context.decode(packet))
    except errors:
        return []
