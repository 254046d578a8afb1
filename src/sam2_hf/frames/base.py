"""Frames of a video or a stream: how many, how large, their pixels, and what a stream can do.

A session reads `Frames`; frames that are decoded ahead come from a `PictureSource`.

Suffixes: hw3 = rows and columns of the original frame, red green blue; 3ss = red green blue, rows
and columns of the model's input.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.closing import Closing
from sam2_hf.errors import FrameError, SessionError
from sam2_hf.number_reading import read_whole, shown
from sam2_hf.processing.images import ImageSource

from .preprocessing import FramePixels


class Frames(Closing):
    """The frames of one session, readable in any order.

    Attributes:
        size: `(height, width)` of the original frames, upright. None for a live stream before its
            first frame.
        num_frames: None for a live stream, and for an iterator that has not ended.
        fps: Average frames per second; None if times are unknown.
        size_is_known: False while `size` is a guess that `declare_size` may still correct.
    """

    size: tuple[int, int] | None
    num_frames: int | None
    fps: Fraction | None
    size_is_known: bool = True

    @property
    def num_received(self) -> int | None:
        """Number of the next frame of a live stream; None for a video that has its own frames."""
        return None

    @property
    def is_live(self) -> bool:
        """Whether the caller appends the frames one by one."""
        return self.num_received is not None

    @property
    def known_size(self) -> tuple[int, int] | None:
        """`(height, width)` of the original frames, unless it is only a guess."""
        return self.size if self.size_is_known else None

    @property
    def numbers(self) -> Collection[int]:
        """The existing frame numbers, in order; empty for an iterator that has not ended."""
        return range(self.num_frames or 0)

    def has_pixels(self, frame: int) -> bool:
        """Whether an existing frame can be read; only edited frames may lack pixels."""
        return True

    def append(self, picture: ImageSource, frame: int | None = None) -> int:
        """Add a frame to a live stream; see [`LiveFrames.append`].

        Raises:
            SessionError: The video has frames of its own.
        """
        raise SessionError(
            "this session has a video of its own: use session.propagate(). For a stream, open "
            "the session with video=None."
        )

    def declare_size(self, size: tuple[int, int]) -> bool:
        """Set the size of the original frames, where only model input is available.

        Args:
            size: `(height, width)`.

        Returns:
            Whether it was accepted; frames that carry their own size refuse.
        """
        return False

    def use_preprocessing(self, make: Callable[[], FramePixels]) -> None:
        """Set how frames become model input, if that is not decided yet.

        Args:
            make: Creates the preprocessing; called only if needed.
        """

    def comparable_frames(self, most: int) -> list[int]:
        """Choose frames that identify the video when it is opened again.

        Args:
            most: Maximum number; spread evenly, first and last included.

        Returns:
            Their numbers; empty if frames cannot be read a second time.
        """
        if self.num_frames is None:
            return []
        last, count = self.num_frames - 1, min(most, self.num_frames)
        return sorted({last * place // max(count - 1, 1) for place in range(count)})

    def reaches(self, frame: int) -> bool:
        """Check cheaply whether a frame lies before the end. An iterator is read up to there."""
        return self.num_frames is not None and 0 <= frame < self.num_frames

    def require(self, frame: int) -> None:
        """Raise for a frame that is unavailable, without decoding it.

        Raises:
            FrameError: It is beyond the video, or has been dropped.
        """
        self.time(frame)

    def may_come(self, frame: int) -> bool:
        """Whether a missing frame may still arrive, as in a stream."""
        return False

    def go_on_from(
        self,
        num_received: int,
        size: tuple[int, int] | None,
        kept: Mapping[int, Tensor] | None = None,
    ) -> None:
        """Continue the numbering of a saved live stream; see [`LiveFrames.go_on_from`].

        Raises:
            SessionError: The video has frames of its own.
        """
        raise SessionError(f"a video cannot continue from frame {num_received} of a live stream.")

    @abstractmethod
    def time(self, frame: int) -> float | None:
        """Return when a frame is shown, in seconds after the first; None if unknown.

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
            device: Target device. Bytes are copied and become floats there.

        Returns:
            `(3, S, S)`, float32, normalized.

        Raises:
            FrameError: As in `picture`.
        """

    @abstractmethod
    def expect(self, frames: Sequence[int]) -> None:
        """Announce which frames are read next, in order, so that they are decoded ahead.

        A later call replaces an earlier one. Any frame may still be read at any time.

        Args:
            frames: Frame numbers; a `range`, forward or backward, costs nothing.
        """


class EditableFrames(Frames):
    """Frames that can be replaced and dropped one by one, as model input."""

    @abstractmethod
    def put(self, values_3ss: Tensor, frame: int | None = None) -> int:
        """Add or replace a frame.

        Args:
            values_3ss: `(3, S, S)`, normalized.
            frame: Its number; None appends it.

        Returns:
            Its number.

        Raises:
            FrameError: Its shape differs, or the number is negative.
        """

    @abstractmethod
    def drop(self, frame: int, *, keep_number: bool = False) -> None:
        """Free the pixels of a frame, which can then no longer be read.

        Args:
            frame: Its number.
            keep_number: Whether `numbers` still lists it; a stream lists only what can be read.
        """


def check_range(frame: int, num_frames: int, name: str) -> None:
    """Raise for a frame that the video does not have.

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
        FrameError: It is not a whole number.
    """
    number = read_whole(frame)
    if number is None:
        raise FrameError(f"frame is {shown(frame)}; it must be a whole number, counted from 0.")
    return number


Finish = Callable[[], NDArray[np.uint8]]


class PictureSource(ABC):
    """A folder, list or video file, as [`BufferedFrames`] reads it.

    Attributes:
        size: `(height, width)` of the first frame, upright.
        num_frames: Number of frames, or the declared number of a truncated file.
        fps: Average frames per second; None if times are unknown.
    """

    size: tuple[int, int]
    num_frames: int
    fps: Fraction | None

    @abstractmethod
    def take(self, frame: int) -> Finish:
        """Do the sequential part of reading a frame; return the rest of the work.

        Args:
            frame: Its number, from 0.

        Returns:
            A function that gives the picture `(height, width, 3)`, RGB. Several threads may call
            such functions at once.

        Raises:
            FrameError: The frame is unavailable.
        """

    @abstractmethod
    def describe(self, frame: int) -> str:
        """Name a frame and its location, for the start of an error message."""

    @abstractmethod
    def time(self, frame: int) -> float | None:
        """Return when a frame is shown, in seconds after the first; None if unknown."""

    @abstractmethod
    def close(self) -> None:
        """Close files. A second call does nothing."""
