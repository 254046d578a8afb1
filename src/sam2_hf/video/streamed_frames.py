"""A video that comes out of an iterator, read no further than somebody has asked.

Suffixes: hw3 = rows, columns, red green blue.
"""

import copy
import operator
import threading
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, ImageError, VideoError
from sam2_hf.processing.images import ImageSource
from sam2_hf.processing.value_range import ValueRange

from .abstract_frames import Frames, check_range
from .frame_pixels import ClipScale, FramePixels
from .frame_window import FrameWindow, ReceivedFrame


class StreamedFrames(Frames):
    """The pictures of an iterator, of which the last ones are kept.

    The iterator runs in the thread that reads; the first picture is read at once. Its own errors
    pass through.

    Args:
        pictures: Gives pictures of any kind.
        pixels: How they become model input.
        window: How many of the last pictures are kept.
        value_range: Which numbers are black and white; see `processing/value_range.py`. Without it
            the first picture decides for floats.

    Raises:
        VideoError: The iterator is empty, its first picture is unreadable, or the window is not
            positive.
    """

    fps: Fraction | None = None

    def __init__(
        self,
        pictures: Iterator[ImageSource],
        pixels: FramePixels,
        *,
        window: int,
        value_range: ValueRange = None,
    ) -> None:
        self.num_frames = None
        self._pictures = pictures
        self._pixels = pixels
        self._scale = ClipScale(value_range)
        self._window = FrameWindow(
            window,
            advice=f"Keep more of them with ring={2 * window} (a session: window={2 * window}); a "
            "list, a folder and a video file keep every frame within reach.",
        )
        self._lock = threading.Lock()
        self._receive_until(0)
        if self.num_frames == 0:
            raise VideoError("the iterator gives no pictures, so the video has no frames.")
        self.size = self._window.size

    def reaches(self, frame: int) -> bool:
        """Read up to a frame; False if the iterator ends before."""
        self._receive_until(operator.index(frame))
        return 0 <= frame < self._window.num_received

    def require(self, frame: int) -> None:
        """Refuse a frame that is beyond the end or has been dropped; see [`Frames.require`]."""
        number = operator.index(frame)
        if not self.reaches(number) and self.num_frames is not None:
            check_range(number, self.num_frames, "the video")
        self._window.get(number)

    def time(self, frame: int) -> None:
        """Nothing is known of time."""

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read a frame, and the iterator up to there; see [`Frames.picture`]."""
        number = operator.index(frame)
        self._receive_until(number)
        if self.num_frames is not None:
            check_range(number, self.num_frames, "the video")
        received = self._window.get(number)
        if received.picture_hw3 is None:
            raise FrameError(received.problem)
        return received.picture_hw3

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input; see [`Frames.pixel_values`]."""
        return self._pixels.normalize(self._pixels.shrink(self.picture(frame)), device)

    @property
    def kept(self) -> list[int]:
        """The pictures that can be read again, in order."""
        return self._window.kept

    def __deepcopy__(self, memo: dict[int, object]) -> "StreamedFrames":
        """Copy the pictures that are kept, once the iterator has ended."""
        twin = StreamedFrames.__new__(StreamedFrames)
        twin.__setstate__(self.__getstate__() | {"_window": copy.deepcopy(self._window, memo)})
        return twin

    def __getstate__(self) -> dict[str, object]:
        if self.num_frames is None:
            raise VideoError(
                "a session on an iterator cannot be copied before the iterator has ended, since "
                "its pictures come only once. Open the session on a list, folder or file instead."
            )
        return {**self.__dict__, "_pictures": None, "_lock": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        self._pictures, self._lock = iter(()), threading.Lock()

    def expect(self, frames: Sequence[int]) -> None:
        """The iterator is read when its frames are."""

    def close(self) -> None:
        """Forget the pictures, and the iterator."""
        self._window.clear()
        self._pictures = iter(())

    def _receive_until(self, frame: int) -> None:
        with self._lock:
            while self.num_frames is None and self._window.num_received <= frame:
                try:
                    picture = next(self._pictures)
                except StopIteration:
                    self.num_frames = self._window.num_received
                    return
                self._receive(picture)

    def _receive(self, picture: ImageSource) -> None:
        """Add a picture; one that is unusable keeps its number and says why when it is read."""
        number = self._window.num_received
        try:
            self._window.add_picture(self._scale.picture(picture))
        except ImageError as error:
            self._receive_problem(f"frame {number} cannot be read: {error}")
        except FrameError as error:
            self._receive_problem(str(error))

    def _receive_problem(self, problem: str) -> None:
        if self._window.size is None:
            raise VideoError(problem)
        self._window.add(ReceivedFrame(problem=problem), self._window.size)
