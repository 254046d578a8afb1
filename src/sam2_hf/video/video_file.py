"""A video file of any kind, read with PyAV, which is an optional package.

Suffixes: hw3, hw4 = rows, columns, and red green blue (opacity).
"""

import os
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import FrameError, MissingPackageError, VideoError

from .frame_pixels import to_picture
from .picture_source import Finish, PictureSource
from .upright import read_matrix, turn_upright
from .video_decoder import VideoDecoder
from .video_index import VideoIndex, build_index

if TYPE_CHECKING:
    import av
    from av.container import InputContainer

DECODER_THREADS = 4  # each holds a frame, so more of them cost memory and slow a seek down
NOT_VIDEOS = ("tty",)  # FFmpeg draws text files as pictures
LOCAL_ONLY = {"protocol_whitelist": "file"}  # so that a play list cannot call the network
AVI = "avi"  # stores no time of showing, which B-frames need


class VideoFile(PictureSource):
    """A video file: mp4, mov, mkv, webm, avi, gif, and whatever else FFmpeg reads.

    Opening it reads the packets once, which tells when each frame is shown, and decodes the first
    frame. Every frame that is shown is there exactly once, whatever the rate.

    Args:
        path: The file.
        keep: How many frames to keep of those decoded on the way to one; see [`VideoDecoder`].

    Raises:
        VideoError: There is no such file, or it holds no video that can be read.
        MissingPackageError: PyAV is not installed.
    """

    def __init__(self, path: str | os.PathLike[str], *, keep: int = 16) -> None:
        av = _import_av()
        self.path = os.fspath(path)
        try:
            self._index, self._time_base, stated = _read_index(av, self.path)
            self._decoder = VideoDecoder(
                partial(_open_stream, av, self.path),
                self._index,
                keep=keep,
                errors=av.FFmpegError,
            )
        except av.FFmpegError as error:
            raise VideoError(
                f"{self.path} cannot be read as a video: {error.strerror}. Give a complete file "
                "that a player can play, or convert it to mp4."
            ) from error
        self.num_frames = self._index.num_frames
        self.fps = self._index.rate(self._time_base, stated)
        self.size = self._first_size()

    def take(self, frame: int) -> Finish:
        """Decode a frame; its colours are left to the threads. See [`PictureSource.take`].

        Raises:
            FrameError: The file is cut off before the frame, or it is damaged there.
        """
        num_readable = self._index.num_readable
        if frame >= num_readable:
            raise FrameError(
                f"{self.describe(frame)} cannot be read: the file is cut off. It has "
                f"{num_readable} of its {self.num_frames} frames, 0 to {num_readable - 1}."
            )
        decoded = self._decoder.decode(frame)
        if decoded is None:
            raise FrameError(
                f"{self.describe(frame)} cannot be decoded: the file is damaged there. "
                "Get an undamaged copy, or leave the frame out."
            )
        return partial(to_rgb_picture, decoded)

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

    def _first_size(self) -> tuple[int, int]:
        """Decode the first frame, which also shows whether anything can be decoded.

        Raises:
            VideoError: Nothing can.
        """
        try:
            if not self._index.num_readable:
                raise VideoError(f"{self.path} has no frames that can be read.")
            height, width, _ = self.take(0)().shape
        except (FrameError, VideoError) as error:
            self.close()
            raise VideoError(f"{self.path} cannot be read as a video: {error}") from error
        return height, width


def to_rgb_picture(decoded: "av.VideoFrame") -> NDArray[np.uint8]:
    """Turn what a decoder gives into an upright picture.

    Colours follow the frame's own colour space and range, transparency is laid on white, and the
    turn that a phone notes beside the frame is done.

    Returns:
        `(height, width, 3)`, RGB.
    """
    parts = decoded.format.components
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


def _open_stream(av: ModuleType, path: str) -> "tuple[InputContainer, av.VideoStream]":
    """Open a file and find its video, which the cover of a song is not.

    Raises:
        VideoError: There is no video in it.
    """
    # An absolute path never looks like an address.
    container = av.open(os.path.abspath(path), options=LOCAL_ONLY, metadata_errors="replace")
    streams = [stream for stream in container.streams.video if not _is_cover(stream)]
    if not streams or container.format.name in NOT_VIDEOS:
        kinds = {stream.type for stream in container.streams} - {"video"} or {"text"}
        container.close()
        raise VideoError(f"{path} is not a video: it holds {', '.join(sorted(kinds))} only.")
    if streams[0].codec_context is None:
        container.close()
        raise VideoError(f"{path} is of a codec that PyAV cannot decode. Convert it to mp4, H.264.")
    streams[0].thread_type = "AUTO"
    streams[0].codec_context.thread_count = DECODER_THREADS
    return container, streams[0]


def _is_cover(stream: "av.VideoStream") -> bool:
    flags = stream.disposition
    return bool(flags & type(flags).attached_pic)


def _read_index(av: ModuleType, path: str) -> tuple[VideoIndex, Fraction, Fraction | None]:
    """Read every packet, and the stream's time base and stated rate."""
    container, stream = _open_stream(av, path)
    with container:
        is_avi = container.format.name == AVI
        # An edit list leaves packets out of the entries, which the stated number still counts.
        num_declared = max(len(stream.index_entries), stream.frames if is_avi else 0)
        index = build_index(
            _packets(av, container.demux(stream)),
            num_declared=num_declared,
            timed=not (is_avi and stream.codec_context.has_b_frames),
        )
        return index, stream.time_base or Fraction(1), stream.average_rate


def _packets(
    av: ModuleType, packets: "Iterator[av.Packet[av.VideoStream]]"
) -> "Iterator[av.Packet[av.VideoStream]]":
    """Give packets until the file ends, whether well or cut off."""
    try:
        yield from packets
    except av.FFmpegError:
        return
