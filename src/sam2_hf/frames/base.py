"""What a session knows of a video: how many frames, how large, and the pixels of one.

Suffixes: hw3 = rows and columns of the original frame, red green blue; 3ss = red green blue, rows
and columns of the model's input.

A video whose frames can be read in any order, without threads and without memory of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.closing import Closing
from sam2_hf.errors import FrameError
from sam2_hf.number_reading import read_whole, shown


class Frames(Closing):
    """Where pixels come from. One session reads one `Frames`, in whatever order it likes.

    Attributes:
        size: `(height, width)` of the original frames, upright. None for a live stream before its
            first frame.
        num_frames: None for a live stream, and for an iterator that has not ended.
        fps: Frames per second on average. None where nothing is known of time.
    """

    size: tuple[int, int] | None
    num_frames: int | None
    fps: Fraction | None

    def reaches(self, frame: int) -> bool:
        """Tell whether a frame comes before the end, cheaply. An iterator is read up to there."""
        return self.num_frames is not None and 0 <= frame < self.num_frames

    def require(self, frame: int) -> None:
        """Refuse a frame that cannot be had, without decoding it.

        Raises:
            FrameError: It is beyond the video, or has been dropped.
        """
        self.time(frame)

    def may_come(self, frame: int) -> bool:
        """Tell whether a frame that is not there may still be given, as those of a stream."""
        return False

    @abstractmethod
    def time(self, frame: int) -> float | None:
        """Say when a frame is shown, in seconds after the first; None where that is unknown.

        Raises:
            FrameError: There is no such frame.
        """

    @abstractmethod
    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read the pixels of a frame, upright and at original size.

        Returns:
            `(height, width, 3)`, RGB. Read-only, because others read the same memory: copy it to
            draw on it.

        Raises:
            FrameError: There is no such frame, it is unreadable, or it has been dropped.
        """

    @abstractmethod
    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input.

        Args:
            frame: Its number, from 0.
            device: Where it is wanted. Bytes travel, and become floats there.

        Returns:
            `(3, S, S)`, float32, normalized.

        Raises:
            FrameError: As in `picture`.
        """

    @abstractmethod
    def expect(self, frames: Sequence[int]) -> None:
        """Say which frames are read next, in order, so that they are decoded ahead.

        A later call replaces what an earlier one said. Any frame may still be read at any time.

        Args:
            frames: Frame numbers; a `range`, forward or backward, costs nothing.
        """


def check_range(frame: int, num_frames: int, name: str) -> None:
    """Refuse a frame that the video does not have.

    Raises:
        FrameError: Naming the video and its range.
    """
    if not 0 <= frame < num_frames:
        raise FrameError(
            f"frame {frame} is out of range: {name} has {num_frames} "
            f"{'frame' if num_frames == 1 else 'frames'}, 0 to {num_frames - 1}."
        )


def frame_number(frame: object) -> int:
    """Read the number of a frame.

    Raises:
        FrameError: It is no whole number.
    """
    number = read_whole(frame)
    if number is None:
        raise FrameError(f"frame is {shown(frame)}, it must be a whole number, counted from 0.")
    return number


Finish = Callable[[], NDArray[np.uint8]]


class PictureSource(ABC):
    """A folder, list or video file, as [`BufferedFrames`] reads it.

    Attributes:
        size: `(height, width)` of the first frame, upright.
        num_frames: How many frames there are, or should be where a file is cut off.
        fps: Frames per second on average, None where nothing is known of time.
    """

    size: tuple[int, int]
    num_frames: int
    fps: Fraction | None

    @abstractmethod
    def take(self, frame: int) -> Finish:
        """Do what must be done in order, one frame at a time; return the rest of the work.

        Args:
            frame: Its number, from 0.

        Returns:
            A function that gives the picture `(height, width, 3)`, RGB. Several threads may call
            such functions at once.

        Raises:
            FrameError: The frame cannot be had.
        """

    @abstractmethod
    def describe(self, frame: int) -> str:
        """Name a frame and where it lies, for the start of an error message."""

    @abstractmethod
    def time(self, frame: int) -> float | None:
        """Say when a frame is shown, in seconds after the first; None where that is unknown."""

    @abstractmethod
    def close(self) -> None:
        """Close files. A second call does nothing."""
