"""The last frames of something that goes on and on, counted from its start.

Suffixes: hw3 = rows, columns, red green blue; 3ss = red green blue, input rows and columns.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, VideoError

from .frame_pixels import read_only


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
        advice: How to keep more, a sentence for whoever asks for a frame that has been dropped.

    Raises:
        VideoError: The length is not positive.
    """

    def __init__(self, length: int, *, advice: str) -> None:
        if length < 1:
            raise VideoError(f"a window of {length} frames keeps nothing. Give 1 or more.")
        self.size: tuple[int, int] | None = None
        self.num_received = 0
        self._frames: deque[ReceivedFrame] = deque(maxlen=length)
        self._saved: dict[int, ReceivedFrame] = {}  # of the stream that this one goes on with
        self._advice = advice
        self._lock = threading.Lock()

    @property
    def kept(self) -> range:
        """The frames that are still there."""
        return range(self.num_received - len(self._frames), self.num_received)

    def add_picture(self, picture_hw3: NDArray[np.uint8]) -> int:
        """Add a copy of a picture, since cameras write the next frame into the same memory.

        Raises:
            FrameError: It has another size than the frames before.
        """
        height, width = picture_hw3.shape[:2]
        return self.add(ReceivedFrame(read_only(picture_hw3.copy())), (height, width))

    def add(self, received: ReceivedFrame, size: tuple[int, int]) -> int:
        """Add a frame of a size, and return its number.

        Raises:
            FrameError: The size is not that of the frames before.
        """
        with self._lock:
            if self.size is not None and size != self.size:
                raise FrameError(
                    f"frame {self.num_received} is {size[1]} x {size[0]} pixels, but the frames "
                    f"before are {self.size[1]} x {self.size[0]}. All frames of a video have one "
                    "size: resize them, or begin another video."
                )
            self.size = size
            self._frames.append(received)
            self.num_received += 1
            self._saved = {f: one for f, one in self._saved.items() if self._is_recent(f)}
            return self.num_received - 1

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
            self.num_received = num_received
            self.size = size
            self._saved = dict(kept or {})

    def get(self, frame: int) -> ReceivedFrame:
        """Look a frame up.

        Raises:
            FrameError: It has been dropped, or has not come yet.
        """
        with self._lock:
            if frame in self.kept:
                return self._frames[frame - self.kept.start]
            if frame in self._saved:
                return self._saved[frame]
            there = f"{self.kept.start} to {self.num_received - 1}" if self._frames else "none"
        if 0 <= frame < self.num_received:
            raise FrameError(
                f"frame {frame} has been dropped. Frames that are still there: {there}. "
                f"{self._advice}"
            )
        raise FrameError(
            f"frame {frame} is out of range: {self.num_received} frames have come so far. "
            f"Frames that are there: {there}."
        )

    def clear(self) -> None:
        """Forget every frame; their numbers stay used."""
        with self._lock:
            self._frames.clear()
            self._saved.clear()

    def _is_recent(self, frame: int) -> bool:
        return frame >= self.num_received - (self._frames.maxlen or 0)
