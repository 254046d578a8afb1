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
    """A frame as received; exactly one of the three fields is set.

    Attributes:
        picture_hw3: RGB, uint8, read-only.
        pixel_values_3ss: Model input prepared by the caller, float32, normalized.
        problem: Why there is neither.
    """

    picture_hw3: NDArray[np.uint8] | None = None
    pixel_values_3ss: Tensor | None = None
    problem: str | None = None


class FrameWindow:
    """The last frames received. One thread may add to it while another reads.

    Args:
        length: Number of frames kept.
        advice: How to keep more, a sentence for the error about a dropped frame.

    Attributes:
        num_received: Default number of the next frame: one more than the highest so far.

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
            FrameError: Its size differs from that of earlier frames, or its number is negative.
        """
        height, width = picture_hw3.shape[:2]
        return self.add(ReceivedFrame(read_only(picture_hw3.copy())), (height, width), frame)

    def add(self, received: ReceivedFrame, size: tuple[int, int], frame: int | None = None) -> int:
        """Add a frame, dropping the first received if the window is full.

        Args:
            received: The frame.
            size: `(height, width)`.
            frame: Its number, if the caller counts; an existing frame is replaced.

        Returns:
            Its number.

        Raises:
            FrameError: The size differs from that of earlier frames, or the number is negative.
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
        """Number frames as if earlier ones had been received and dropped.

        Args:
            num_received: Number of earlier frames.
            size: Their `(height, width)`; None if there were none.
            kept: Those of them that can still be read.

        Raises:
            FrameError: Frames were received already.
        """
        with self._lock:
            if self.num_received:
                raise FrameError(
                    f"the stream has {self.num_received} frames already, so it cannot "
                    f"continue from frame {num_received} of another one. Open a new stream."
                )
            self.num_received = self._count = num_received
            self._last_dropped = num_received - 1
            self.size = size
            self._frames = dict(kept or {})

    def may_come(self, frame: int) -> bool:
        """Whether a frame may still arrive: ahead, or between the kept frames."""
        return frame not in self._frames and frame > self._last_dropped

    def get(self, frame: int) -> ReceivedFrame:
        """Look a frame up.

        Raises:
            FrameError: It was dropped, or has not arrived yet.
        """
        with self._lock:
            found = self._frames.get(frame)
            there = _describe(self._frames)
        if found is not None:
            return found
        if 0 <= frame <= self._last_dropped:
            raise FrameError(
                f"frame {frame} has been dropped. Frames still available: {there}. {self._advice}"
            )
        raise FrameError(
            f"frame {frame} is out of range: {self._count} frames have come so far. "
            f"Frames available: {there}."
        )

    def drop(self, frame: int) -> None:
        """Drop a frame, if present; its number stays used."""
        with self._lock:
            if frame in self._frames:
                self._drop(frame)

    def clear(self) -> None:
        """Drop every frame; their numbers stay used."""
        with self._lock:
            for frame in list(self._frames):
                self._drop(frame)

    def __deepcopy__(self, memo: dict[int, object]) -> "FrameWindow":
        """Copy the window, sharing the pixels, which never change."""
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
                received.picture_hw3.setflags(write=False)  # not kept by pickle

    def _drop(self, frame: int) -> None:
        del self._frames[frame]
        self._last_dropped = max(self._last_dropped, frame)


def _describe(frames: Collection[int]) -> str:
    """Describe the available frames."""
    if not frames:
        return "none"
    gaps = ", with gaps" if max(frames) - min(frames) >= len(frames) else ""
    return f"{min(frames)} to {max(frames)}{gaps}"
