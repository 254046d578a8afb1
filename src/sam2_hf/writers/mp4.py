"""MP4 writer: pictures to a video that browsers play.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import contextlib
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.atomic_write import atomic_path
from sam2_hf.errors import MissingPackageError, OutputError

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


@contextlib.contextmanager
def video_writer(
    path: str | os.PathLike[str], *, fps: float | None = None
) -> Iterator["VideoWriter"]:
    """Open an MP4 for writing: H.264, 4:2:0, index in front for streaming.

    The file appears under its name when the `with` ends without an error, and not otherwise.

    Args:
        path: The file, usually ending in .mp4.
        fps: Frames per second for frames without a time; 25 if None.

    Yields:
        The writer.

    Raises:
        MissingPackageError: PyAV is not installed.
        OutputError: The file cannot be written, or there was no frame.
    """
    av = import_av()
    with atomic_path(path) as hidden:
        writer = VideoWriter(av, hidden, Path(path), fps)
        try:
            yield writer
            writer.finish()
        finally:
            writer.abandon()


class VideoWriter:
    """Encoder of an MP4; created by `video_writer`.

    Frames keep their times, so variable frame rates are preserved. Only the newest frame is held in
    memory.

    Args:
        av: The package.
        hidden: Temporary file.
        path: Final name of the file.
        fps: Frames per second for frames without a time.
    """

    def __init__(self, av: ModuleType, hidden: Path, path: Path, fps: float | None) -> None:
        self.path = path
        self.fps = fps if fps and 0 < fps <= MAX_FPS else 25.0
        self.num_frames = 0
        self._av = av
        self._hidden = hidden
        self._container: Any = None
        self._stream: Any = None
        self._size: tuple[int, int] = (0, 0)
        self._waiting: Any = None  # the newest frame; the next one sets its duration
        self._first_time: float | None = None

    def write(self, picture_hw3: NDArray[np.uint8], time_s: float | None = None) -> None:
        """Add a frame.

        Args:
            picture_hw3: `(height, width, 3)` uint8; every frame has the size of the first. An odd
                side grows by one pixel, since colors have half the resolution.
            time_s: When it is shown, seconds. The first frame is moved to 0; a time not later than
                the one before is moved to the next tick. None means one frame later.

        Raises:
            OutputError: The size differs from the first frame, or the file cannot be written.
        """
        with self._failures():
            if self._container is None:
                self._open(picture_hw3.shape[0], picture_hw3.shape[1])
            if picture_hw3.shape[:2] != self._size:
                raise OutputError(
                    f"frame {self.num_frames} of {self.path} has {picture_hw3.shape[:2]} pixels, "
                    f"the frames before it {self._size} (height, width). Resize it first."
                )
            ticks = self._ticks(time_s)
            self._encode_waiting(ticks)
            self._waiting = self._as_frame(picture_hw3, ticks)
            self.num_frames += 1

    def finish(self) -> None:
        """Flush and complete the file.

        Raises:
            OutputError: There was no frame, or the file cannot be written.
        """
        if self._container is None:
            raise OutputError(f"{self.path} would be a video without a frame.")
        with self._failures():
            self._encode_waiting(self._waiting.pts + round(TICKS / self.fps))
            self._container.mux(self._stream.encode(None))
            container, self._container = self._container, None
            container.close()

    def abandon(self) -> None:
        """Close the file, complete or not."""
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(OSError, ValueError, self._av.FFmpegError):
                container.close()

    def _open(self, height: int, width: int) -> None:
        self._size = (height, width)
        color = self._av.video.reformatter
        self._container = self._av.open(
            str(self._hidden), "w", format="mp4", options={"movflags": "+faststart"}
        )
        rate = Fraction(self.fps).limit_denominator(1001)
        self._stream = self._container.add_stream("libx264", rate=rate, options=dict(QUALITY))
        self._stream.height, self._stream.width = height + height % 2, width + width % 2
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = Fraction(1, TICKS)
        context = self._stream.codec_context
        context.time_base = Fraction(1, TICKS)
        context.color_range = color.ColorRange.MPEG
        context.colorspace = color.Colorspace.ITU709
        context.color_primaries = color.ColorPrimaries.BT709
        context.color_trc = color.ColorTrc.BT709

    def _ticks(self, time_s: float | None) -> int:
        """Convert a time to ticks, always later than the previous frame."""
        before = None if self._waiting is None else self._waiting.pts
        if time_s is None:
            return 0 if before is None else before + round(TICKS / self.fps)
        if self._first_time is None:
            self._first_time = time_s - (0 if before is None else (before / TICKS + 1 / self.fps))
        wanted = round((time_s - self._first_time) * TICKS)
        return wanted if before is None else max(wanted, before + 1)

    def _as_frame(self, picture_hw3: NDArray[np.uint8], ticks: int) -> "VideoFrame":
        height, width = self._size
        odd = ((0, height % 2), (0, width % 2), (0, 0))
        even_hw3 = np.pad(picture_hw3, odd, mode="edge") if height % 2 or width % 2 else picture_hw3
        rgb = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even_hw3), format="rgb24")
        space = self._av.video.reformatter.Colorspace.ITU709
        frame = rgb.reformat(format="yuv420p", dst_colorspace=space)
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
        return frame

    def _encode_waiting(self, next_ticks: int) -> None:
        if self._waiting is not None:
            self._waiting.duration = next_ticks - self._waiting.pts
            self._container.mux(self._stream.encode(self._waiting))

    @contextlib.contextmanager
    def _failures(self) -> Iterator[None]:
        """Convert PyAV's errors to ours."""
        try:
            yield
        except (ValueError, self._av.FFmpegError) as error:
            raise OutputError(
                f"cannot write {self.path}: {getattr(error, 'strerror', None) or error}. "
                "Nothing was left half-written. Free some space or choose another folder."
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
            "av", purpose="Writing a video", install="pip install 'sam2-hf[video]' installs it."
        ) from error
    return av
