"""Video files of any kind, read with PyAV, which is an optional package.

The display matrix rotates frames upright: phones store them in the sensor's orientation.

Suffixes: hw3, hw4 = rows, columns, and red green blue (opacity); hwc = rows, columns, channels.
"""

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import FrameError, ImageError, MissingPackageError, VideoError
from sam2_hf.picture_files import file_problem
from sam2_hf.processing.value_range import ValueRange

from .base import Finish, PictureSource
from .preprocessing import ClipScale, to_picture
from .video_decoder import Packet, VideoDecoder, VideoIndex, build_index, order_frames

if TYPE_CHECKING:
    import av
    from av.container import InputContainer


def read_matrix(side_data: bytes) -> tuple[int, int, int, int]:
    """Extract the rotation and mirroring from FFmpeg's display matrix.

    Args:
        side_data: Nine native int32: `a, b, u, c, d, v, x, y, w`.

    Returns:
        `(a, b, c, d)`: the pixel (x, y) is shown at (ax + cy, bx + dy).
    """
    numbers = np.frombuffer(side_data[:36], np.int32)
    return int(numbers[0]), int(numbers[1]), int(numbers[3]), int(numbers[4])


def turn_upright(picture_hwc: NDArray[np.uint8], matrix: Sequence[int]) -> NDArray[np.uint8]:
    """Rotate by quarter turns and mirror a picture; other angles are ignored, as in players.

    Args:
        picture_hwc: The stored picture.
        matrix: `(a, b, c, d)` from `read_matrix`.

    Returns:
        `(h, w, c)` or `(w, h, c)`, contiguous.
    """
    a, b, c, d = matrix
    if abs(b) > abs(a):  # x becomes y
        picture_hwc, x_sign, y_sign = picture_hwc.swapaxes(0, 1), c, b
    else:
        x_sign, y_sign = a, d
    if x_sign < 0:
        picture_hwc = picture_hwc[:, ::-1]
    if y_sign < 0:
        picture_hwc = picture_hwc[::-1]
    return np.ascontiguousarray(picture_hwc)


DECODER_THREADS = 4  # each holds a frame, so more of them cost memory and slow a seek down
# Containers that hold their pictures themselves. With a playlist (hls, dash, concat, sdp ...), a
# name pattern or a subtitle, FFmpeg would open other files, and text is drawn as pictures.
CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "ogg", "asf", "gif", "apng"),
    *("mjpeg", "mpjpeg", "yuv4mpegpipe", "h261", "h263", "h264", "hevc", "vvc", "av1", "obu"),
    *("ivf", "m4v", "vc1", "dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "evc", "dv", "mxf"),
    *("gxf", "wtv", "nut", "nuv", "nsv", "rm", "pva", "lxf", "ty", "dhav", "mjpeg_2000"),
    *("jpeg_pipe", "cine", "ser"),
)

VP8, SHOWN_BIT = "vp8", 0x10  # in the first byte of a packet; clear in reference-only frames
FIELDS = "h264"  # each field of an interlaced frame may be a packet, which only decoding shows


class VideoFile(PictureSource):
    """A video file: mp4, mov, mkv, webm, avi, gif, and other formats of FFmpeg.

    Opening it reads all packets for the times of frames, and decodes the first frame, or all frames
    where times do not identify them, see `video_decoder.py`. Every frame that FFmpeg decodes is
    there exactly once and in order, at any rate. Of several video streams it is FFmpeg's "best".

    Args:
        path: The file.
        keep: Number of frames kept of those decoded on the way to one; see [`VideoDecoder`].
        value_range: Which numbers are black and white in 16-bit gray frames; see
            `processing/value_range.py`. Other videos state their range.

    Raises:
        VideoError: There is no such file, it holds no readable video, or the video takes no
            `value_range`.
        MissingPackageError: PyAV is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        keep: int = 16,
        value_range: ValueRange = None,
    ) -> None:
        self._av = _import_av()
        self.path = os.fspath(path)
        self._keep = keep
        self._scale = None if value_range is None else ClipScale(value_range)
        problem = file_problem(self.path)
        if problem:
            raise VideoError(problem)
        try:
            self._index, self._time_base, stated = _read_index(self._av, self.path)
            self._open_decoder(self._index)
        except self._av.FFmpegError as error:
            raise VideoError(
                f"{self.path} cannot be read as a video: {error.strerror}. Give a complete file "
                "that a player can play, or convert it to mp4."
            ) from error
        self.size = self._first_size()
        self.num_frames = self._index.num_frames
        self.fps = self._index.rate(self._time_base, stated)

    def take(self, frame: int) -> Finish:
        """Decode a frame; colors are converted in the threads. See [`PictureSource.take`].

        Raises:
            FrameError: The file ends before the frame, or is damaged there.
        """
        return partial(to_rgb_picture, self._decode(frame), self._scale)

    def describe(self, frame: int) -> str:
        """Name a frame and the file."""
        return f"frame {frame} of {self.path}"

    def time(self, frame: int) -> float | None:
        """Return when a frame is shown, also at a variable rate; None beyond a cut."""
        pts = self._index.pts
        if frame < len(pts):
            return float((pts[frame] - pts[0]) * self._time_base)
        return None if pts or not self.fps else float(frame / self.fps)

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()

    def _decode(self, frame: int) -> "av.VideoFrame":
        """Decode a frame; see `take`."""
        num_readable = self._index.num_readable
        if frame >= num_readable:
            raise FrameError(
                f"{self.describe(frame)} cannot be read: the file is cut off. It has "
                f"{num_readable} of its {self._index.num_frames} frames, 0 to {num_readable - 1}."
            )
        decoded = self._decoder.decode(frame)
        if decoded is None:
            raise FrameError(
                f"{self.describe(frame)} cannot be decoded: the file is damaged there. "
                "Get an undamaged copy, or leave the frame out."
            )
        return decoded

    def _open_decoder(self, index: VideoIndex) -> None:
        self._index = index
        self._decoder = VideoDecoder(
            self._open_stream, index, keep=self._keep, errors=self._av.FFmpegError
        )

    def _open_stream(self) -> "tuple[InputContainer, av.VideoStream]":
        return open_stream(self._av, self.path)

    def _first_size(self) -> tuple[int, int]:
        """Decode the first frame for its size.

        Raises:
            VideoError: No frame can be decoded.
        """
        try:
            if not self._index.num_readable:
                raise VideoError(f"{self.path} has no frames that can be read.")
            first = self._decode(0)
            if first.interlaced_frame and self._decoder.codec == FIELDS and self._index.pts:
                found = order_frames(self._open_stream, self._index, self._av.FFmpegError)
                if found.num_readable != self._index.num_readable:
                    self._decoder.close()
                    self._open_decoder(found)
                    first = self._decode(0)
            height, width, _ = to_rgb_picture(first, self._scale).shape
        except (FrameError, VideoError, ImageError) as error:
            self.close()
            raise VideoError(f"{self.path} cannot be read as a video: {error}") from error
        return height, width


def to_rgb_picture(decoded: "av.VideoFrame", scale: ClipScale | None = None) -> NDArray[np.uint8]:
    """Convert a decoded frame to an upright picture.

    Colors follow the frame's own color space and range, transparency is laid on white, and the
    rotation from the display matrix is applied.

    Args:
        decoded: The frame.
        scale: Which numbers of a 16-bit gray frame are black and white.

    Returns:
        `(height, width, 3)`, RGB.

    Raises:
        VideoError: There is a scale, but the frame is not 16-bit gray.
    """
    parts = decoded.format.components
    if scale is not None:
        if decoded.format.name not in ("gray16le", "gray16be"):  # raw numbers of a camera
            raise VideoError(
                f"the frames are {decoded.format.name}, which defines black and white itself. "
                "Leave value_range out."
            )
        picture_hw3 = scale.picture(decoded.to_ndarray().astype(np.uint16))
    else:
        has_alpha = decoded.format.has_palette or any(part.is_alpha for part in parts)
        # with several threads FFmpeg gives a few pixels beside their borders a wrong opacity
        form = {"format": "rgba", "threads": 1} if has_alpha else {"format": "rgb24"}
        picture_hw3 = to_picture(decoded.to_ndarray(**form))
    matrix: Any = decoded.side_data.get("DISPLAYMATRIX")
    return picture_hw3 if matrix is None else turn_upright(picture_hw3, read_matrix(bytes(matrix)))


def _import_av() -> ModuleType:
    try:
        import av  # optional
    except ImportError as error:
        raise MissingPackageError(
            "av",
            purpose="Reading a video file",
            install="Install it with: pip install 'sam2-hf[video]'. A folder of pictures needs no "
            "package.",
        ) from error
    return av


def open_stream(av: ModuleType, path: str) -> "tuple[InputContainer, av.VideoStream]":
    """Open a file and find its video stream; cover art does not count.

    Raises:
        VideoError: It has no video, or its frames are too large to decode safely.
    """
    limit = Image.MAX_IMAGE_PIXELS
    most_pixels = {} if limit is None else {"max_pixels": str(2 * limit)}  # as Pillow does
    container = av.open(
        os.path.abspath(path),  # never an address
        options={
            "protocol_whitelist": "file",
            "format_whitelist": ",".join(CONTAINERS),
            **most_pixels,
        },
        metadata_errors="replace",
    )
    try:
        stream = _best_stream(container, path)
        codec = stream.codec_context
        if codec is None:
            raise VideoError(
                f"{path} has a codec that PyAV cannot decode. Convert it to MP4 with H.264."
            )
        if limit is not None and codec.width * codec.height > 2 * limit:
            raise VideoError(
                f"{path} claims that its frames are {codec.width} x {codec.height} pixels, too "
                "large to decode safely. Downscale the video."
            )
    except VideoError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    codec.thread_count = DECODER_THREADS
    codec.options = most_pixels  # a frame may be larger than declared
    return container, stream


def _best_stream(container: "InputContainer", path: str) -> "av.VideoStream":
    best = container.streams.best("video")
    streams = [stream for stream in (best, *container.streams.video) if stream is not None]
    for stream in streams:
        flags = stream.disposition
        if not flags & type(flags).attached_pic:
            return stream  # type: ignore[return-value]  # "video" gives video streams only
    kinds = {str(stream.type) for stream in container.streams} - {"video"} or {"text"}
    raise VideoError(f"{path} is not a video: it holds {', '.join(sorted(kinds))} only.")


def _read_index(av: ModuleType, path: str) -> tuple[VideoIndex, Fraction, Fraction | None]:
    """Read every packet, and the stream's time base and stated rate."""
    container, stream = open_stream(av, path)
    with container:
        is_avi = container.format.name == "avi"  # stores no pts, which B-frames need
        # An edit list drops packets from the entries, while the stated number still counts them.
        num_declared = max(len(stream.index_entries), stream.frames if is_avi else 0)
        index = build_index(
            _packets(av, container.demux(stream)),
            num_declared=num_declared,
            timed=not (is_avi and stream.codec_context.has_b_frames),
            is_hidden=_is_hidden if stream.codec_context.name == VP8 else None,
        )
        time_base, stated = stream.time_base or Fraction(1), stream.average_rate
    if not index.pts:
        index = order_frames(partial(open_stream, av, path), index, av.FFmpegError)
    return index, time_base, stated


def _is_hidden(packet: Packet) -> bool:
    """Whether a VP8 packet holds a frame that is only a reference for others."""
    return not bytes(packet)[0] & SHOWN_BIT  # type: ignore[call-overload]  # it has a buffer


def _packets(
    av: ModuleType, packets: "Iterator[av.Packet[av.VideoStream]]"
) -> "Iterator[av.Packet[av.VideoStream]]":
    """Yield packets until the file ends, complete or truncated."""
    try:
        yield from packets
    except av.FFmpegError:
        return
