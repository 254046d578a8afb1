"""Video writer: pictures to a video that browsers play, or editors with transparency.

Suffixes: h, w = rows and columns in pixels, c = red, green, blue, and opacity where the encoding
has it.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.atomic_write import atomic_path
from sam2_hf.errors import MissingPackageError, OutputError

from .source_clip import Sound, SourceClip

if TYPE_CHECKING:
    from av import VideoFrame

TICKS = 90_000  # per second; the usual frame durations are whole numbers of them

MAX_FPS = 240.0  # files that claim more are wrong
QUALITY = {
    "crf": "18",  # visually near lossless
    "preset": "fast",
    # With it x264 reads uninitialized memory, so that output is not deterministic.
    "x264-params": "mbtree=0",
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How pictures become a video.

    Attributes:
        container: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        pixels: Pixel format of the file.
        options: Options of the encoder.
        given: Pixel format of the pictures.
        audio: Codecs of sound that the container holds; the first encodes all others.
        is_halved: Whether colors have half the resolution, so that sides must be even.
        keeps_aspect: Whether the file says how wide its pixels are; else pictures are widened.
    """

    container: str
    codec: str
    pixels: str
    options: Mapping[str, str]
    given: str
    audio: tuple[str, ...]
    is_halved: bool = False
    keeps_aspect: bool = True


H264 = Encoding(
    "mp4",
    "libx264",
    "yuv420p",
    QUALITY,
    "rgb24",
    ("aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "alac", "flac"),
    is_halved=True,
)
# What editors import with transparency; its opacity is lossless.
PRORES = Encoding(
    "mov",
    "prores_ks",
    "yuva444p10le",
    {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"},
    "rgba",
    ("pcm_s16le", "pcm_s24le", "pcm_s16be", "aac", "mp3", "mp3float", "alac", "ac3"),
)
# What Chromium and Firefox play with transparency.
VP9_ALPHA = Encoding(
    "webm",
    "libvpx-vp9",
    "yuva420p",
    # Frames that are only referred to cannot carry opacity.
    {"crf": "18", "b": "0", "deadline": "good", "cpu-used": "4", "auto-alt-ref": "0"},
    "rgba",
    ("libopus", "opus", "vorbis", "libvorbis"),
    keeps_aspect=False,
)


@contextlib.contextmanager
def video_writer(
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
    encoding: Encoding = H264,
    source: Path | None = None,
) -> Iterator["VideoWriter"]:
    """Open a video for writing, by default an MP4: H.264, 4:2:0, index in front for streaming.

    The file appears under its name when the `with` ends without an error, and not otherwise.

    Args:
        path: The file, usually ending in .mp4.
        fps: Frames per second for frames without a time; 25 if None.
        encoding: Container and codec.
        source: The video that the pictures come from: its sound and the shape of its pixels are
            kept. The times of the frames must be its own.

    Yields:
        The writer.

    Raises:
        MissingPackageError: PyAV is not installed.
        OutputError: The file cannot be written, or there was no frame.
    """
    av = import_av()
    with atomic_path(path) as hidden:
        clip = SourceClip.read(av, source)
        writer = VideoWriter(av, hidden, Path(path), fps, encoding=encoding, clip=clip)
        try:
            yield writer
            writer.finish()
        finally:
            writer.abandon()


class VideoWriter:
    """Encoder of a video; created by `video_writer`.

    Frames keep their times, so variable frame rates are preserved. Only the newest frame is held in
    memory.

    Args:
        av: The package.
        hidden: Temporary file.
        path: Final name of the file.
        fps: Frames per second for frames without a time.
        encoding: Container and codec.
        clip: The source of the pictures, if it is a video.
    """

    def __init__(
        self,
        av: ModuleType,
        hidden: Path,
        path: Path,
        fps: float | None,
        *,
        encoding: Encoding = H264,
        clip: SourceClip | None = None,
    ) -> None:
        self.path = path
        self._encoding = encoding
        self._clip = clip
        self._sound: Sound | None = None
        self.fps = fps if fps and 0 < fps <= MAX_FPS else 25.0
        self.num_frames = 0
        self._av = av
        self._hidden = hidden
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] = (0, 0)
        self._waiting: Any = None  # the newest frame; the next one sets its duration
        self._first_time: float | None = None

    def write(self, picture_hwc: NDArray[np.uint8], time_s: float | None = None) -> None:
        """Add a frame.

        Args:
            picture_hwc: `(height, width, 3)` uint8, or 4 with opacity if the encoding has it;
                every frame has the size of the first. In H.264 an odd side grows by one pixel,
                since colors have half the resolution.
            time_s: When it is shown, seconds. The first frame is moved to 0; a time not later than
                the one before is moved to the next tick. None means one frame later.

        Raises:
            OutputError: The size differs from the first frame, or the file cannot be written.
        """
        with pyav_failures(self._av, self.path):
            if self._container is None:
                self._open(picture_hwc.shape[0], picture_hwc.shape[1])
            if picture_hwc.shape[:2] != self._size:
                raise OutputError(
                    f"frame {self.num_frames} of {self.path} has {picture_hwc.shape[:2]} pixels, "
                    f"the frames before it {self._size} (height, width). Resize it first."
                )
            ticks = self._ticks(time_s)
            if self._sound is not None and self._waiting is None:
                self._sound.begin(time_s or 0.0)
            self._encode_waiting(ticks)
            self._waiting = self._as_frame(picture_hwc, ticks)
            self.num_frames += 1

    def finish(self) -> None:
        """Flush and complete the file.

        Raises:
            OutputError: There was no frame, or the file cannot be written.
        """
        if self._container is None:
            raise OutputError(f"{self.path} has no frame to write. Write at least one.")
        with pyav_failures(self._av, self.path):
            self._encode_waiting(self._waiting.pts + round(TICKS / self.fps))
            self._container.mux(self._stream.encode(None))
            container, self._container = self._container, None
            container.close()

    def abandon(self) -> None:
        """Close the file, complete or not."""
        container, self._container = self._container, None
        if self._sound is not None:
            self._sound.close()
        if container is not None:
            with contextlib.suppress(OSError, ValueError, self._av.FFmpegError):
                container.close()

    def _open(self, height: int, width: int) -> None:
        self._size = (height, width)
        color, encoding = self._av.video.reformatter, self._encoding
        options = {"movflags": "+faststart"} if encoding.container != "webm" else {}
        self._container = self._av.open(
            str(self._hidden), "w", format=encoding.container, options=options
        )
        rate = Fraction(self.fps).limit_denominator(1001)
        self._stream = self._container.add_stream(
            encoding.codec, rate=rate, options=dict(encoding.options)
        )
        aspect = Fraction(1) if self._clip is None else self._clip.pixel_aspect
        wide = width if encoding.keeps_aspect else round(width * aspect)
        self._stream.height = height + (height % 2 if encoding.is_halved else 0)
        self._stream.width = wide + (wide % 2 if encoding.is_halved else 0)
        self._stream.pix_fmt = encoding.pixels
        self._stream.time_base = Fraction(1, TICKS)
        context = self._stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.color_range = color.ColorRange.MPEG
        context.colorspace = color.Colorspace.ITU709
        context.color_primaries = color.ColorPrimaries.BT709
        context.color_trc = color.ColorTrc.BT709
        if encoding.keeps_aspect and aspect != 1:
            context.sample_aspect_ratio = aspect
        if self._clip is not None and self._clip.has_sound:
            self._sound = Sound(self._av, self._clip, self._container, encoding.audio)

    def _ticks(self, time_s: float | None) -> int:
        """Convert a time to ticks, always later than the previous frame."""
        before = None if self._waiting is None else self._waiting.pts
        if time_s is None:
            return 0 if before is None else before + round(TICKS / self.fps)
        if self._first_time is None:
            self._first_time = time_s - (0 if before is None else (before / TICKS + 1 / self.fps))
        wanted = round((time_s - self._first_time) * TICKS)
        return wanted if before is None else max(wanted, before + 1)

    def _as_frame(self, picture_hwc: NDArray[np.uint8], ticks: int) -> "VideoFrame":
        height, width = self._size
        whole_hwc = picture_hwc
        if self._encoding.is_halved and (height % 2 or width % 2):
            odd = ((0, height % 2), (0, width % 2), (0, 0))
            whole_hwc = np.pad(picture_hwc, odd, mode="edge")
        given = self._av.VideoFrame.from_ndarray(
            np.ascontiguousarray(whole_hwc), format=self._encoding.given
        )
        space = self._av.video.reformatter.Colorspace.ITU709
        frame = given.reformat(
            self._stream.width,
            self._stream.height,
            self._encoding.pixels,
            dst_colorspace=space,
            # with several threads FFmpeg gives a few pixels beside their borders a wrong opacity
            threads=1 if self._encoding.given == "rgba" else None,
        )
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
        return frame

    def _encode_waiting(self, next_ticks: int) -> None:
        if self._waiting is not None:
            self._waiting.duration = next_ticks - self._waiting.pts
            self._container.mux(self._stream.encode(self._waiting))
            if self._sound is not None:
                self._sound.write_until(next_ticks / TICKS)


@contextlib.contextmanager
def pyav_failures(av: ModuleType, path: Path) -> Iterator[None]:
    """Convert PyAV's errors of writing a file to ours.

    Args:
        av: The package.
        path: The file, as the message names it.

    Raises:
        OutputError: In place of an error of PyAV.
    """
    try:
        yield
    except (ValueError, av.FFmpegError) as error:
        raise OutputError(
            f"cannot write {path}: {getattr(error, 'strerror', None) or error}. "
            "No partial file was left behind. Free some space or choose another folder."
        ) from error


def import_av() -> ModuleType:
    """Load PyAV.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        import av
        import av.video.reformatter
    except ImportError as error:
        raise MissingPackageError(
            "av",
            purpose="Writing a video",
            install="Install it with: pip install 'sam2-hf[video]'.",
        ) from error
    return av
