"""A video that lies in memory, or as a list of pictures of any kind.

Suffixes: t = frames, h, w = rows and columns, 3 = red, green, blue.
"""

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf.errors import ImageError, VideoError
from sam2_hf.processing.images import ImageSource, read_values
from sam2_hf.processing.value_range import ValueRange

from .frame_pixels import ClipScale
from .picture_pages import picture_of_file
from .picture_source import Finish, PictureSource

GREY_CLIP, COLOUR_CLIP = 3, 4  # axes of (t, h, w) and of (t, h, w, 3)
COLOURS = (3, 4)  # channels of a picture with colour
CHANNELS = (1, *COLOURS)
PATH = (str, os.PathLike)
ARRAY = (np.ndarray, Tensor)

Pictures = Sequence[ImageSource] | NDArray[np.generic] | Tensor


class PictureList(PictureSource):
    """Pictures one after the other. They are never changed, and copied one at a time.

    Args:
        pictures: Paths, PIL images, arrays or tensors; or one array or tensor `(t, h, w, 3)`,
            `(t, 3, h, w)` or grey `(t, h, w)`, of any real type.
        value_range: Which numbers are black and white; see `processing/value_range.py`.

    Raises:
        VideoError: There is none, an array is no video, or the first picture is unreadable.
    """

    fps: Fraction | None = None

    def __init__(self, pictures: Pictures, *, value_range: ValueRange = None) -> None:
        self._channels = check_clip(pictures) if isinstance(pictures, ARRAY) else None
        self.num_frames = len(pictures)
        if self.num_frames == 0:
            raise VideoError("the video has no frames. Give at least one picture.")
        self._pictures = pictures
        try:
            self._scale = self._choose_scale(value_range)
            height, width, _ = self.take(0)().shape
        except ImageError as error:
            raise VideoError(f"the first frame is unreadable: {error}") from error
        self.size = height, width

    def take(self, frame: int) -> Finish:
        """Look a picture up; see [`PictureSource.take`]."""
        picture = self._pictures[frame]
        if isinstance(picture, PATH):
            return partial(picture_of_file, self._scale, picture, self._channels)
        return partial(self._scale.picture, picture, self._channels)

    def describe(self, frame: int) -> str:
        """Name a frame, and its file if it has one."""
        picture = self._pictures[frame]
        return f"frame {frame} ({picture})" if isinstance(picture, PATH) else f"frame {frame}"

    def time(self, frame: int) -> None:
        """Nothing is known of time."""

    def close(self) -> None:
        """Nothing is open."""

    def _choose_scale(self, value_range: ValueRange) -> ClipScale:
        """Judge pictures in memory together where numbers decide, others by the first alone."""
        in_memory, first = self._in_memory()
        if in_memory and (value_range == "percentile" or _has_floats(first)):
            return ClipScale.of_frames(self._values, range(self.num_frames), value_range)
        return ClipScale.of_files(self._values, self.num_frames, value_range)

    def _in_memory(self) -> tuple[bool, object]:
        """Tell whether all pictures are at hand; return what tells their type as well."""
        pictures = self._pictures
        if isinstance(pictures, ARRAY):
            return True, pictures
        if isinstance(pictures, (list, tuple)):
            return not any(isinstance(one, PATH) for one in pictures), next(iter(pictures))
        return False, None  # another sequence may read a picture only when it is asked for it

    def _values(self, frame: int) -> Tensor:
        return read_values(self._pictures[frame], self._channels)


def _has_floats(picture: object) -> bool:
    """Whether it is an array, tensor or picture of floats."""
    if isinstance(picture, Tensor):
        return picture.is_floating_point()
    if isinstance(picture, np.ndarray):
        return picture.dtype.kind == "f"
    return isinstance(picture, Image.Image) and picture.mode == "F"


def check_clip(clip: NDArray[np.generic] | Tensor) -> str | None:
    """Find where the channels of an array of frames lie; None where it is grey.

    The axis is chosen once for all frames: tensors have it first unless only the last one fits.

    Raises:
        VideoError: The shape is no video's.
    """
    shape = tuple(clip.shape)
    if len(shape) == GREY_CLIP and shape[-1] not in COLOURS:
        return None
    first = len(shape) == COLOUR_CLIP and shape[1] in CHANNELS
    last = len(shape) == COLOUR_CLIP and shape[-1] in CHANNELS
    if first and (isinstance(clip, Tensor) or not last):
        return "channels_first"
    if last:
        return "channels_last"
    hint = " This one is a single picture: add an axis with [None]." * (len(shape) == GREY_CLIP)
    raise VideoError(
        f"an array of the shape {shape} is not a video. Give (frames, height, width, 3), "
        f"(frames, 3, height, width), or grey (frames, height, width).{hint}"
    )
