"""Frames that somebody has made model input of already, as transformers' API hands them over.

Suffixes: t3ss = frames, red green blue, input rows and columns; 3ss = one of them.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.processing.images import ImageSource

from .abstract_frames import Frames, check_range
from .live_frames import LiveFrames

VIDEO_DIMENSIONS, FRAME_DIMENSIONS = 4, 3


class PreparedFrames(Frames):
    """A video of model input, all of it in memory.

    Args:
        video_t3ss: Normalized frames; float, any type. Until somebody says otherwise, the original
            frames are of that size.

    Raises:
        VideoError: It is no such tensor, or has no frames.
    """

    fps = None

    def __init__(self, video_t3ss: Tensor) -> None:
        shape = tuple(video_t3ss.shape)
        if len(shape) != VIDEO_DIMENSIONS or shape[1] != 3 or shape[2] != shape[3] or not shape[0]:
            raise VideoError(
                f"video has the shape {shape}; prepared frames are (frames, 3, S, S). Let "
                "Sam2VideoProcessor.init_video_session(video) prepare them."
            )
        self.side = shape[-1]
        self.size: tuple[int, int] = (self.side, self.side)
        self._frames = list(video_t3ss)
        self.num_frames: int = len(self._frames)

    def put(self, values_3ss: Tensor, frame: int | None = None) -> int:
        """Add a frame, or put another in the place of one.

        Args:
            values_3ss: `(3, S, S)`, normalized.
            frame: Which one; a new last one if None.

        Returns:
            Its number.

        Raises:
            FrameError: Its shape is another one, or frames before it are missing.
        """
        if tuple(values_3ss.shape) != (3, self.side, self.side):
            raise FrameError(
                f"pixel values have the shape {tuple(values_3ss.shape)}, but the frames before are "
                f"(3, {self.side}, {self.side})."
            )
        number = self.num_frames if frame is None else frame
        if number == self.num_frames:
            self._frames.append(values_3ss)
            self.num_frames += 1
        else:
            check_range(number, self.num_frames, "the video")
            self._frames[number] = values_3ss
        return number

    def declare_size(self, size: tuple[int, int]) -> None:
        """Say how large the original frames are, `(height, width)`."""
        self.size = size

    def time(self, frame: int) -> None:
        """Nothing is known of time, but a frame must be there."""
        check_range(frame, self.num_frames, "the video")

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Refuse: there is no picture.

        Raises:
            FrameError: Always.
        """
        raise FrameError(
            f"frame {frame} came as prepared pixel values only, so there is no picture of it. Open "
            "the session on the video itself to read pictures."
        )

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame; see [`Frames.pixel_values`]."""
        check_range(frame, self.num_frames, "the video")
        return self._frames[frame].to(device, torch.float32)

    def expect(self, frames: Sequence[int]) -> None:
        """They are all there."""

    def close(self) -> None:
        """Forget the frames."""
        self._frames = []
        self.num_frames = 0


class PreparedStream(LiveFrames):
    """A live stream whose original size may be told before, or after, its first frame comes."""

    size_is_known = False

    def declare_size(self, size: tuple[int, int]) -> None:
        """Say how large the original frames are, `(height, width)`."""
        self.size = self._window.size = size
        self.size_is_known = True

    def go_on_from(
        self,
        num_received: int,
        size: tuple[int, int] | None,
        kept: Mapping[int, Tensor] | None = None,
    ) -> None:
        """Go on with a saved session; see [`LiveFrames.go_on_from`]."""
        super().go_on_from(num_received, size, kept)
        self.size_is_known = size is not None

    def append(self, picture: ImageSource) -> int:
        """Add a picture; see [`LiveFrames.append`]."""
        frame = super().append(picture)
        self.size_is_known = True
        return frame


def one_frame(pixel_values: Tensor) -> Tensor:
    """Take the frame out of `(1, 3, S, S)`; `(3, S, S)` stays as it is.

    Raises:
        FrameError: It is anything else.
    """
    values = pixel_values
    while values.ndim > FRAME_DIMENSIONS and values.shape[0] == 1:
        values = values[0]
    if values.ndim != FRAME_DIMENSIONS:
        raise FrameError(
            f"a frame has the shape {tuple(pixel_values.shape)}, it must be (3, S, S) or "
            "(1, 3, S, S). Give one frame at a time."
        )
    return values
