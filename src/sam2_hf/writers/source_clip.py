"""What a written video takes over from its source: the shape of pixels, and the sound.

Sound is copied packet by packet where the container can hold its codec, and encoded again where it
cannot. Packets before the first written frame and after the last one are left out.
"""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

from sam2_hf.errors import VideoError
from sam2_hf.frames.video_file import open_stream, read_matrix

logger = logging.getLogger(__name__)

RATE = 48_000  # samples a second; Opus knows no other that music needs
ANY_SIZE = 1024  # samples of a block for encoders that take any number


@dataclass(frozen=True, slots=True)
class SourceClip:
    """A video file whose frames are written again.

    Attributes:
        path: The file.
        pixel_aspect: Width of an upright pixel over its height; 1 for square ones.
        has_sound: Whether it has an audio stream that FFmpeg can decode.
        begin_s: When its first frame is shown, seconds on the file's clock.
    """

    path: Path
    pixel_aspect: Fraction
    has_sound: bool
    begin_s: Fraction

    @classmethod
    def read(cls, av: ModuleType, path: Path | None) -> "SourceClip | None":
        """Look at a file; None for a folder, or what FFmpeg does not read as a video."""
        if path is None or not path.is_file():
            return None
        try:
            container, stream = open_stream(av, str(path))
            with container:
                first = next(container.decode(stream), None)
                matrix: Any = None if first is None else first.side_data.get("DISPLAYMATRIX")
                a, b, *_ = (1, 0) if matrix is None else read_matrix(bytes(matrix))
                aspect = stream.sample_aspect_ratio or Fraction(1)
                begin = (stream.start_time or 0) * (stream.time_base or Fraction(1))
                has_sound = _has_sound(container, path)
                return cls(path, 1 / aspect if abs(b) > abs(a) else aspect, has_sound, begin)
        except (VideoError, av.FFmpegError):
            return None


def _has_sound(container: Any, path: Path) -> bool:  # noqa: ANN401 - PyAV's
    if not container.streams.audio:
        return False
    if container.streams.audio[0].codec_context is not None:
        return True
    logger.warning("%s has sound that FFmpeg cannot decode; it is left out", path)
    return False


class Sound:
    """The sound of a clip on its way into a container.

    Args:
        av: The package.
        clip: Where it comes from; it has sound.
        container: The container being written.
        codecs: Names of the codecs that the container holds; the first one encodes the others.
    """

    def __init__(
        self,
        av: ModuleType,
        clip: SourceClip,
        container: Any,  # noqa: ANN401 - PyAV's
        codecs: tuple[str, ...],
    ) -> None:
        self._av = av
        self._clip = clip
        self._source, _ = open_stream(av, str(clip.path))
        self._read_from: Any = self._source.streams.audio[0]
        self._container = container
        self._is_copied = self._read_from.codec_context.name in codecs
        if self._is_copied:
            self._stream = container.add_stream_from_template(self._read_from)
        else:
            self._stream = container.add_stream(codecs[0], rate=RATE, layout="stereo")
            self._resampler = av.AudioResampler(
                format=self._stream.codec_context.format.name, layout="stereo", rate=RATE
            )
        self._packets: Iterator[Any] = iter(())
        self._waiting: Any = None

    def begin(self, first_frame_s: float) -> None:
        """Set the time of the first written frame, seconds after the clip's first one."""
        self._begin_s = self._clip.begin_s + Fraction(first_frame_s).limit_denominator(90_000)
        self._packets = self._copied() if self._is_copied else self._encoded()
        self._waiting = next(self._packets, None)

    def write_until(self, time_s: float) -> None:
        """Write what is heard before a time, seconds after the first written frame."""
        while self._waiting is not None and self._waiting.pts * self._waiting.time_base < time_s:
            self._container.mux(self._waiting)
            self._waiting = next(self._packets, None)

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def _heard(self) -> Iterator[Any]:
        """Yield packets of the source from the first written frame on; a cut file ends early."""
        base = self._read_from.time_base
        with contextlib.suppress(self._av.FFmpegError):
            for packet in self._source.demux(self._read_from):
                if packet.size and packet.pts is not None and packet.pts * base >= self._begin_s:
                    yield packet

    def _copied(self) -> Iterator[Any]:
        shift = round(self._begin_s / self._read_from.time_base)
        for packet in self._heard():
            packet.pts -= shift
            packet.dts = packet.pts
            packet.stream = self._stream
            yield packet

    def _encoded(self) -> Iterator[Any]:
        encoder, queue, samples = self._stream.codec_context, self._av.AudioFifo(), None
        encoder.open(strict=False)
        size = encoder.frame_size or ANY_SIZE
        for packet in chain(self._heard(), [None]):
            if packet is not None and samples is None:
                late_s = packet.pts * packet.time_base - self._begin_s
                samples = round(late_s * encoder.sample_rate)
            for frame in self._decoded(packet):
                queue.write(frame)
            # The last block may be shorter than the others.
            while (block := queue.read(size, partial=packet is None)) is not None:
                block.pts, block.time_base = samples, Fraction(1, encoder.sample_rate)
                samples = (samples or 0) + block.samples
                yield from self._stream.encode(block)
        yield from self._stream.encode(None)

    def _decoded(self, packet: Any) -> Iterator[Any]:  # noqa: ANN401 - PyAV's
        """Decode a packet to frames that the encoder takes; damaged ones are skipped."""
        if packet is None:
            return
        with contextlib.suppress(self._av.FFmpegError):
            for frame in self._read_from.codec_context.decode(packet):
                for part in self._resampler.resample(frame):
                    part.pts = None  # the queue numbers samples itself
                    yield part
