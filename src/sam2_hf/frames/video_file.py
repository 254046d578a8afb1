"""Video files of any kind, read with PyAV, which is an optional package.

The display matrix says which way is up: phones store frames as the sensor lies.

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
from sam2_hf.processing.images import file_problem
from sam2_hf.processing.value_range import ValueRange

from .base import Finish, PictureSource
from .preprocessing import ClipScale, to_picture
from .video_decoder import Packet, VideoDecoder, VideoIndex, build_index, order_frames

if TYPE_CHECKING:
    import av
    from av.container import InputContainer


MATRIX_BYTES = 36  # nine whole numbers of 32 bits


def read_matrix(side_data: bytes) -> tuple[int, int, int, int]:
    """Take the four numbers that turn and mirror out of FFmpeg's display matrix.

    Args:
        side_data: Nine native int32: `a, b, u, c, d, v, x, y, w`.

    Returns:
        `(a, b, c, d)`: the pixel (x, y) belongs at (ax + cy, bx + dy).
    """
    numbers = np.frombuffer(side_data[:MATRIX_BYTES], np.int32)
    return int(numbers[0]), int(numbers[1]), int(numbers[3]), int(numbers[4])


def turn_upright(picture_hwc: NDArray[np.uint8], matrix: Sequence[int]) -> NDArray[np.uint8]:
    """Turn and mirror a picture by quarter turns; angles between are left out, as players do.

    Args:
        picture_hwc: As it is stored.
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
# What keeps its pictures in the file itself. A play list (hls, dash, concat, sdp ...), a pattern of
# names or a subtitle would have FFmpeg open other files, and text is drawn as pictures.
CONTAINERS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "ogg", "asf", "gif", "apng"),
    *("mjpeg", "mpjpeg", "yuv4mpegpipe", "h261", "h263", "h264", "hevc", "vvc", "av1", "obu"),
    *("ivf", "m4v", "vc1", "dirac", "dnxhd", "cavsvideo", "avs2", "avs3", "evc", "dv", "mxf"),
    *("gxf", "wtv", "nut", "nuv", "nsv", "rm", "pva", "lxf", "ty", "dhav", "mjpeg_2000"),
    *("jpeg_pipe", "cine", "ser"),
)
AVI = "avi"  # stores no time of showing, which B-frames need
VP8, SHOWN_BIT = "vp8", 0x10  # of the first byte of a packet; others only help to decode
FIELDS = "h264"  # each field of an interlaced frame may be a packet, which only decoding tells
DEEP_GRAY = ("gray16le", "gray16be")  # pixel formats that hold the numbers of a camera as they are


class VideoFile(PictureSource):
    """A video file: mp4, mov, mkv, webm, avi, gif, and whatever else FFmpeg reads.

    Opening it reads the packets once, which tells when each frame is shown, and decodes the first
    frame; where times do not tell frames apart, all frames, see `video_decoder.py`. Every frame
    that FFmpeg decodes is there exactly once and in its order, whatever the rate. Of several videos
    in the file it is the one that FFmpeg calls the best.

    Args:
        path: The file.
        keep: How many frames to keep of those decoded on the way to one; see [`VideoDecoder`].
        value_range: Which numbers are black and white in deep gray frames; see
            `processing/value_range.py`. Other videos say so themselves.

    Raises:
        VideoError: There is no such file, it holds no video that can be read, or the video needs no
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
        """Decode a frame; its colors are left to the threads. See [`PictureSource.take`].

        Raises:
            FrameError: The file is cut off before the frame, or it is damaged there.
        """
        return partial(to_rgb_picture, self._decode(frame), self._scale)

    def describe(self, frame: int) -> str:
        """Name a frame and the file."""
        return f"frame {frame} of {self.path}"

    def time(self, frame: int) -> float | None:
        """Say when a frame is shown, also where the rate varies; None beyond a cut."""
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
        """Decode the first frame, which also shows whether anything can be decoded.

        Raises:
            VideoError: Nothing can.
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
    """Turn what a decoder gives into an upright picture.

    Colors follow the frame's own color space and range, transparency is laid on white, and the
    turn that a phone notes beside the frame is done.

    Args:
        decoded: The frame.
        scale: Which numbers of a deep gray frame are black and white.

    Returns:
        `(height, width, 3)`, RGB.

    Raises:
        VideoError: There is a scale, but the frame is not deep and gray.
    """
    parts = decoded.format.components
    if scale is not None:
        if decoded.format.name not in DEEP_GRAY:
            raise VideoError(
                f"the frames are of the kind {decoded.format.name}, which says itself what is "
                "black and white. Leave value_range out."
            )
        picture_hw3 = scale.picture(decoded.to_ndarray().astype(np.uint16))
    else:
        has_alpha = decoded.format.has_palette or any(part.is_alpha for part in parts)
        picture_hw3 = to_picture(decoded.to_ndarray(format="rgba" if has_alpha else "rgb24"))
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
    """Open a file and find its video, which the cover of a song is not.

    Raises:
        VideoError: There is no video in it, or its frames are too large to be decoded safely.
    """
    limit = Image.MAX_IMAGE_PIXELS
    most_pixels = {} if limit is None else {"max_pixels": str(2 * limit)}  # as PIL does
    container = av.open(
        os.path.abspath(path),  # which never looks like an address
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
                f"{path} is of a codec that PyAV cannot decode. Convert it to mp4, H.264."
            )
        if limit is not None and codec.width * codec.height > 2 * limit:
            raise VideoError(
                f"{path} says that its frames are {codec.width} x {codec.height} pixels, too large "
                "to decode safely. Shrink the video."
            )
    except VideoError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    codec.thread_count = DECODER_THREADS
    codec.options = most_pixels  # a frame may be larger than the file says
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
        is_avi = container.format.name == AVI
        # An edit list leaves packets out of the entries, which the stated number still counts.
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
    """Whether a packet of VP8 holds a frame that is only looked at by others."""
    return not bytes(packet)[0] & SHOWN_BIT  # type: ignore[call-overload]  # it has a buffer


def _packets(
    av: ModuleType, packets: "Iterator[av.Packet[av.VideoStream]]"
) -> "Iterator[av.Packet[av.VideoStream]]":
    """Give packets until the file ends, whether well or cut off."""
    try:
        yield from packets
    except av.FFmpegError:
        return
