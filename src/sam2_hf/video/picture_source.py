"""A video whose frames can be read in any order, without threads and without memory of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

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
