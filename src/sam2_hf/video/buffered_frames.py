"""Frames of a folder, list or video file, read ahead by threads into a bounded ring.

Suffixes: hw3 = rows, columns, red green blue; 3ss = red green blue, input rows and columns.
"""

import operator
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import FrameError, VideoError

from .abstract_frames import Frames, check_range
from .frame_pixels import FramePixels, read_only
from .frame_ring import FrameRing
from .picture_source import Finish, PictureSource


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """What the ring holds: bytes only, since floats would take four times the room.

    Attributes:
        picture_hw3: The original frame, RGB, uint8, read-only.
        bytes_3ss: The same at input size, uint8.
    """

    picture_hw3: NDArray[np.uint8]
    bytes_3ss: Tensor


class BufferedFrames(Frames):
    """A video of known length, decoded ahead of whoever reads it.

    Args:
        source: Where the pictures come from. It is closed with these frames.
        pixels: How they become model input.
        ring: The most frames held at a time.
        num_threads: How many threads decode and resize.
        reopen: Opens the source once more, for copies and pickles; without it there are none.
    """

    def __init__(
        self,
        source: PictureSource,
        pixels: FramePixels,
        *,
        ring: int,
        num_threads: int,
        reopen: Callable[[], PictureSource] | None = None,
    ) -> None:
        self.size = source.size
        self.num_frames = source.num_frames
        self.fps = source.fps
        self._source = source
        self._pixels = pixels
        self._ring = FrameRing(
            partial(_begin, source, pixels), capacity=ring, num_threads=num_threads
        )
        self._reopen = reopen
        self._rules = {"ring": ring, "num_threads": num_threads}
        # The threads know the ring and not this object, so that forgetting it ends them.
        self._end = weakref.finalize(self, _end, self._ring, source)

    def time(self, frame: int) -> float | None:
        """Say when a frame is shown; see [`Frames.time`]."""
        return self._source.time(self._checked(frame))

    def picture(self, frame: int) -> NDArray[np.uint8]:
        """Read the original frame; see [`Frames.picture`]."""
        return self._ring.read(self._checked(frame)).picture_hw3

    def pixel_values(self, frame: int, device: torch.device | str | None = None) -> Tensor:
        """Read a frame as model input; see [`Frames.pixel_values`]."""
        return self._pixels.normalize(self._ring.read(self._checked(frame)).bytes_3ss, device)

    def expect(self, frames: Sequence[int]) -> None:
        """Decode these frames ahead; see [`Frames.expect`]."""
        self._ring.expect(frames)

    def close(self) -> None:
        """End the threads and close the file."""
        self._end()

    def __deepcopy__(self, memo: dict[int, object]) -> "BufferedFrames":
        """Open the same video once more."""
        return _open_again(*self._how_to_open())

    def __reduce__(self) -> tuple[Callable[..., "BufferedFrames"], tuple[Any, ...]]:
        return _open_again, self._how_to_open()

    def _how_to_open(self) -> tuple[Callable[[], PictureSource], FramePixels, dict[str, int]]:
        if self._reopen is None:
            raise VideoError(
                "these frames cannot be copied, since nothing says how to open their source again. "
                "Open them with open_frames(video, image_size=...)."
            )
        return self._reopen, self._pixels, self._rules

    @property
    def num_held(self) -> int:
        """How many frames are held or worked on; never more than `ring`."""
        return self._ring.num_held

    def _checked(self, frame: int) -> int:
        number = operator.index(frame)
        check_range(number, self._source.num_frames, "the video")
        return number


def _open_again(
    reopen: Callable[[], PictureSource], pixels: FramePixels, rules: dict[str, int]
) -> BufferedFrames:
    return BufferedFrames(reopen(), pixels, **rules, reopen=reopen)


def _begin(source: PictureSource, pixels: FramePixels, frame: int) -> "_Rest":
    """Take a frame from its source, in turn."""
    try:
        return _Rest(source, pixels, frame, source.take(frame))
    except FrameError:
        raise
    except Exception as error:  # decoders have errors of their own for every trouble
        raise _unreadable(source, frame, error) from error


@dataclass(frozen=True, slots=True)
class _Rest:
    """The work on a frame that needs no turn."""

    source: PictureSource
    pixels: FramePixels
    frame: int
    finish: Finish

    def __call__(self) -> DecodedFrame:
        try:
            picture_hw3 = self.finish()
        except Exception as error:
            raise _unreadable(self.source, self.frame, error) from error
        height, width = picture_hw3.shape[:2]
        if (height, width) != self.source.size:
            raise FrameError(
                f"{self.source.describe(self.frame)} is {width} x {height} pixels, but the first "
                f"is {self.source.size[1]} x {self.source.size[0]}. All frames of a video have one "
                "size: resize them, or leave out what belongs to another video."
            )
        return DecodedFrame(read_only(picture_hw3), self.pixels.shrink(picture_hw3))


def _unreadable(source: PictureSource, frame: int, error: Exception) -> FrameError:
    return FrameError(f"{source.describe(frame)} cannot be read: {error}")


def _end(ring: FrameRing[DecodedFrame], source: PictureSource) -> None:
    ring.close()
    source.close()
