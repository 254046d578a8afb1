"""One place in a video file, from where frames are decoded in the order in which they are shown."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

from .video_index import KeyFrame, VideoIndex, is_whole

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
        """Go to a key frame or to the beginning.

        Containers seek by the time of showing or by that of decoding, and some land too late. Where
        both fail, everything is decoded from the beginning.
        """
        for time in () if key is None else (key.pts, key.dts):
            if time is not None and self._try_start(time, key):
                return
        self._container.close()
        self._container, self._stream = self._open_stream()
        self._frames = self._decode(self._container.demux(self._stream), begin=0)
        self._next = 0

    def _try_start(self, time: int, key: KeyFrame | None) -> bool:
        """Seek to a time; False if that is after the key frame."""
        try:
            self._container.seek(time, stream=self._stream)
            packets = self._container.demux(self._stream)
            landed = next((one for one in packets if one.is_keyframe), None)
        except self._errors:
            return False
        if key is None or landed is None or landed.pts is None or landed.pts > key.pts:
            return False
        # What is shown before the key frame but decoded after it needs frames from before it.
        begin = self._index.first_at(landed.pts)
        self._frames = self._decode(chain([landed], packets), begin=begin)
        self._next = begin
        return True

    def _decode(
        self, packets: "Iterator[AnyPacket]", *, begin: int
    ) -> "Iterator[tuple[int, av.VideoFrame]]":
        """Give the frames of packets with their numbers; what is damaged is passed over."""
        count = 0
        for packet in self._whole(packets):
            for decoded in self._frames_of(packet):
                number = self._index.frame_at(decoded.pts) if self._index.pts else count
                count += 1
                if number is not None and number >= begin:
                    yield number, decoded

    def _whole(self, packets: "Iterator[AnyPacket]") -> "Iterator[AnyPacket | None]":
        """Give packets that are not cut off, then None, at which a decoder gives what it holds."""
        with suppress(self._errors):  # where a file is cut off
            yield from filter(is_whole, packets)
        yield None

    def _frames_of(self, packet: "AnyPacket | None") -> "list[av.VideoFrame]":
        try:
            return list(self._stream.codec_context.decode(packet))
        except self._errors:
            return []
