"""The last frames of a stream, counted from its start or numbered by the caller.

Suffixes: hw3 = rows, columns, red green blue; 3ss = red green blue, input rows and columns.
"""

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, VideoError

from .preprocessing import read_only


@dataclass(frozen=True, slots=True, eq=False)
class ReceivedFrame:
    """A frame as it came: one of three things.

    Attributes:
        picture_hw3: RGB, uint8, read-only.
        pixel_values_3ss: Input that somebody has prepared already, float32, normalized.
        problem: Why there is neither.
    """

    picture_hw3: NDArray[np.uint8] | None = None
    pixel_values_3ss: Tensor | None = None
    problem: str | None = None


class FrameWindow:
    """The last frames received. One thread may add to it while another reads.

    Args:
        length: How many frames are kept.
        advice: How to keep more, a sentence for the error about a frame that has been dropped.

    Attributes:
        num_received: Number of the next frame, unless it comes with one of its own: one more than
            the highest so far.

    Raises:
        VideoError: The length is not positive.
    """

    def __init__(self, length: int, *, advice: str) -> None:
        if length < 1:
            raise VideoError(f"a window of {length} frames keeps nothing. Give 1 or more.")
        self.size: tuple[int, int] | None = None
        self.num_received = 0
        self._length = length
        self._frames: dict[int, ReceivedFrame] = {}  # in the order in which they came
        self._count = 0
        self._last_dropped = -1
        self._advice = advice
        self._lock = threading.Lock()

    @property
    def kept(self) -> list[int]:
        """The frames that are still there, in order."""
        return sorted(self._frames)

    def add_picture(self, picture_hw3: NDArray[np.uint8], frame: int | None = None) -> int:
        """Add a copy of a picture, since cameras write the next frame into the same memory.

        Raises:
            FrameError: It has another size than the frames before, or its number is negative.
        """
        height, width = picture_hw3.shape[:2]
        return self.add(ReceivedFrame(read_only(picture_hw3.copy())), (height, width), frame)

    def add(self, received: ReceivedFrame, size: tuple[int, int], frame: int | None = None) -> int:
        """Add a frame, and drop the one that came first if the window is full.

        Args:
            received: The frame.
            size: `(height, width)`.
            frame: Its number, where the caller counts; one that is there already is replaced.

        Returns:
            Its number.

        Raises:
            FrameError: The size is not that of the frames before, or the number is negative.
        """
        with self._lock:
            number = self.num_received if frame is None else frame
            if number < 0:
                raise FrameError(f"a frame has the number {number}. Frames count from 0.")
            if self.size is not None and size != self.size:
                raise FrameError(
                    f"frame {number} is {size[1]} x {size[0]} pixels, but the frames "
                    f"before are {self.size[1]} x {self.size[0]}. All frames of a video have one "
                    "size: resize them, or begin another video."
                )
            self.size = size
            self._frames.pop(number, None)
            self._frames[number] = received
            if len(self._frames) > self._length:
                self._drop(next(iter(self._frames)))
            self._count += 1
            self.num_received = max(self.num_received, number + 1)
            return number

    def go_on_from(
        self,
        num_received: int,
        size: tuple[int, int] | None,
        kept: Mapping[int, ReceivedFrame] | None = None,
    ) -> None:
        """Number frames as if so many of a size had come and been dropped.

        Args:
            num_received: How many.
            size: `(height, width)`; None if there were none.
            kept: Those of the last ones that have not been dropped.

        Raises:
            FrameError: Frames have come already.
        """
        with self._lock:
            if self.num_received:
                raise FrameError(
                    f"the stream has {self.num_received} frames already, so it cannot go on from "
                    f"frame {num_received} of another one. Open a new stream for that."
                )
            self.num_received = self._count = num_received
            self._last_dropped = num_received - 1
            self.size = size
            self._frames = dict(kept or {})

    def may_come(self, frame: int) -> bool:
        """Tell whether a frame is still to come: ahead, or between those that are kept."""
        return frame not in self._frames and frame > self._last_dropped

    def get(self, frame: int) -> ReceivedFrame:
        """Look a frame up.

        Raises:
            FrameError: It has been dropped, or has not come yet.
        """
        with self._lock:
            found = self._frames.get(frame)
            there = _describe(self._frames)
        if found is not None:
            return found
        if 0 <= frame <= self._last_dropped:
            raise FrameError(
                f"frame {frame} has been dropped. Frames that are still there: {there}. "
                f"{self._advice}"
            )
        raise FrameError(
            f"frame {frame} is out of range: {self._count} frames have come so far. "
            f"Frames that are there: {there}."
        )

    def drop(self, frame: int) -> None:
        """Forget a frame, if it is there; its number stays used."""
        with self._lock:
            if frame in self._frames:
                self._drop(frame)

    def clear(self) -> None:
        """Forget every frame; their numbers stay used."""
        with self._lock:
            for frame in list(self._frames):
                self._drop(frame)

    def __deepcopy__(self, memo: dict[int, object]) -> "FrameWindow":
        """Copy the window; pixels never change, so both have the same."""
        twin = FrameWindow.__new__(FrameWindow)
        twin.__setstate__(self.__getstate__())
        return twin

    def __getstate__(self) -> dict[str, object]:
        with self._lock:
            return {**self.__dict__, "_frames": dict(self._frames), "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._lock = threading.Lock()
        for received in self._frames.values():
            if received.picture_hw3 is not None:
                received.picture_hw3.setflags(write=False)  # pickles forget it

    def _drop(self, frame: int) -> None:
        del self._frames[frame]
        self._last_dropped = max(self._last_dropped, frame)


def _describe(frames: Collection[int]) -> str:
    """Name the frames that are there."""
    if not frames:
        return "none"
    gaps = ", with gaps" if max(frames) - min(frames) >= len(frames) else ""
    return f"{min(frames)} to {max(frames)}{gaps}"
