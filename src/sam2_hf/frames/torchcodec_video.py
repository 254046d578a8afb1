"""Video files decoded by torchcodec, an optional package that is faster than PyAV for some of them.

Opt-in, since gains and coverage are limited: `open_frames(TorchcodecVideo("clip.mp4"), ...)`, or as
the video of a session or pipeline. PyAV still opens the file, so only safe formats pass, and
reads what torchcodec would decode to other frames.
"""

import importlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from sam2_hf.errors import MissingPackageError, VideoError
from sam2_hf.number_reading import shown
from sam2_hf.processing.value_range import ValueRange

from .base import Finish, PictureSource
from .video_file import DECODER_THREADS, VideoFile

# Of 10-bit video, its colors differ from PyAV's by more than a hundred levels (torchcodec 0.12).
EQUAL_FORMATS = ("yuv420p", "yuvj420p")
FAILURES = (RuntimeError, ValueError, IndexError)  # those of its decoder


@dataclass(frozen=True, slots=True)
class TorchcodecVideo:
    """A video file to be read with torchcodec.

    Attributes:
        path: The file.

    Raises:
        VideoError: The path is not one.
    """

    path: str | os.PathLike[str]

    def __post_init__(self) -> None:
        """Make the path absolute: copies and pickles may be opened in another folder.

        Raises:
            VideoError: It is not a path.
        """
        if not isinstance(self.path, (str, os.PathLike)):
            raise VideoError(
                f"path is {shown(self.path)}, but TorchcodecVideo takes the path of a file."
            )
        object.__setattr__(self, "path", os.path.abspath(self.path))


class TorchcodecFile(PictureSource):
    """A video file whose frames torchcodec decodes, equal to those of [`VideoFile`].

    Attributes:
        is_fast: Whether torchcodec decodes them. Where it cannot read the file, counts other
            frames, or would give other colors, PyAV does.

    Args:
        video: The file.
        keep: As of `VideoFile`.
        value_range: As of `VideoFile`.

    Raises:
        VideoError: As of `VideoFile`.
        MissingPackageError: PyAV or torchcodec is not installed, or torchcodec cannot be loaded.
    """

    def __init__(
        self, video: TorchcodecVideo, *, keep: int = 16, value_range: ValueRange = None
    ) -> None:
        decoders = _import_decoders()
        self._file = VideoFile(video.path, keep=keep, value_range=value_range)
        self.size, self.num_frames = self._file.size, self._file.num_frames
        self.fps = self._file.fps
        self._decoder: Any = self._open(decoders)

    @property
    def is_fast(self) -> bool:
        """See the class."""
        return self._decoder is not None

    def take(self, frame: int) -> Finish:
        """Decode a frame. See [`PictureSource.take`].

        Raises:
            FrameError: As of `VideoFile.take`.
        """
        if self._decoder is None:
            return self._file.take(frame)
        try:
            picture_hw3 = self._decoder.get_frame_at(frame).data.numpy()
        except FAILURES:  # PyAV reads it, or says what is wrong
            return self._file.take(frame)
        return lambda: picture_hw3

    def describe(self, frame: int) -> str:
        """Name a frame and the file."""
        return self._file.describe(frame)

    def time(self, frame: int) -> float | None:
        """Return when a frame is shown; see [`VideoFile.time`]."""
        return self._file.time(frame)

    def close(self) -> None:
        """Close the file."""
        self._decoder = None
        self._file.close()

    def _open(self, decoders: Any) -> object:  # noqa: ANN401 - an optional module
        """Open the decoder; None where its frames are not known to be PyAV's."""
        try:
            decoder = decoders.VideoDecoder(
                self._file.path, dimension_order="NHWC", num_ffmpeg_threads=DECODER_THREADS
            )
            is_equal = (
                decoder.metadata.pixel_format in EQUAL_FORMATS
                and len(decoder) == self.num_frames
                and np.array_equal(decoder.get_frame_at(0).data.numpy(), self._file.take(0)())
            )
        except FAILURES:
            return None
        return decoder if is_equal else None


def _import_decoders() -> Any:  # noqa: ANN401 - an optional module
    try:
        return importlib.import_module("torchcodec.decoders")
    except (ImportError, RuntimeError, OSError) as error:  # a build for CUDA, or for another torch
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise MissingPackageError(
            "torchcodec",
            purpose="TorchcodecVideo",
            install=f"({reason}) Install a build for this torch and device, or give the path "
            "itself, which PyAV reads.",
        ) from error
