"""A video that is one picture file with several pages or frames: TIFF stack, animated WebP or PNG.

Suffixes: hw3 = rows, columns, red green blue.
"""

import os
from collections.abc import Collection
from fractions import Fraction
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf.errors import ImageError, VideoError
from sam2_hf.processing.images import file_problem, read_values
from sam2_hf.processing.value_range import ValueRange

from .frame_pixels import ClipScale
from .picture_source import Finish, PictureSource

STACK = "TIFF"
GIF = "GIF"
ANIMATIONS = ("PNG", "WEBP", "AVIF")  # a GIF is a video file; a JPEG with two pictures is a photo
MILLISECONDS = 1000


class PicturePages(PictureSource):
    """The pages of one file, each of them a frame. Of an animation, frames are what a viewer shows.

    Args:
        path: The file.
        value_range: Which numbers are black and white; see `processing/value_range.py`.

    Raises:
        VideoError: The file or its first page is unreadable.
    """

    fps: Fraction | None = None

    def __init__(self, path: str | os.PathLike[str], *, value_range: ValueRange = None) -> None:
        self.path = os.fspath(path)
        try:
            self._file = Image.open(self.path)
            # What a PNG shows where animations are not known is no frame of its animation.
            self._first = int(bool(self._file.info.get("default_image")))
            self.num_frames = num_pages(self._file) - self._first
        except Exception as error:  # the readers of PIL have errors of their own for every damage
            raise VideoError(f"{self.path} cannot be read as pages: {error}") from error
        try:
            self._times = self._show_times() if self._file.format in ANIMATIONS else None
            self._scale = ClipScale.of_files(self._values, self.num_frames, value_range)
            height, width, _ = self.take(0)().shape
        except ImageError as error:
            self.close()
            raise VideoError(f"the first page of {path} is unreadable: {error}") from error
        self.size = height, width
        if self._times is not None and self._times[-1]:
            self.fps = Fraction(self.num_frames * MILLISECONDS, self._times[-1])

    def take(self, frame: int) -> Finish:
        """Read a page; its colors are left to the threads. See [`PictureSource.take`]."""
        return partial(self._scale.picture, self._page(frame))

    def describe(self, frame: int) -> str:
        """Name a frame and the file."""
        return f"frame {frame} of {self.path}"

    def time(self, frame: int) -> float | None:
        """Say when a frame of an animation is shown; nothing is known of the pages of a stack."""
        if self._times is None:
            return None
        return self._times[frame] / MILLISECONDS

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _page(self, frame: int) -> Image.Image:
        """Read a page into memory.

        Raises:
            ImageError: It is damaged, or its size is beyond what is safe.
        """
        try:
            self._file.seek(frame + self._first)
            width, height = self._file.size
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and width * height > 2 * limit:
                raise ImageError(f"it is {width} x {height} pixels, too large to open safely.")
            return self._file.copy()
        except ImageError:
            raise
        except Exception as error:  # the readers of PIL have errors of their own for every damage
            raise ImageError(f"the page is damaged: {error}.") from error

    def _values(self, frame: int) -> Tensor:
        return read_values(self._page(frame))

    def _show_times(self) -> list[int]:
        """Add up how long frames are shown, in ms; the last number is the end of the animation."""
        times = [0]
        for frame in range(self.num_frames):
            self._page(frame)
            times.append(times[-1] + round(self._file.info.get("duration") or 0))
        return times


def picture_of_file(
    scale: ClipScale, path: str | os.PathLike[str], channels: str | None = None
) -> NDArray[np.uint8]:
    """Read a file that is one frame of a clip; see `ClipScale.picture`.

    Raises:
        ImageError: It is unreadable, or has several pages, of which all but one would be lost.
    """
    if is_paged(os.fspath(path), (STACK, GIF, *ANIMATIONS)):
        raise ImageError(
            f"{path} has several pages or frames, but here each file is one frame. Open it as a "
            "video of its own, or save its pages as files."
        )
    return scale.picture(path, channels)


def is_paged(path: str, formats: Collection[str] = (STACK, *ANIMATIONS)) -> bool:
    """Whether a file is a picture with several pages or frames.

    Args:
        path: The file.
        formats: Which kinds count, by Pillow's names.
    """
    if file_problem(path):
        return False
    try:
        with Image.open(path) as image:
            return image.format in formats and num_pages(image) > 1
    except Exception:  # what cannot be read is reported by whoever reads it
        return False


def num_pages(image: Image.Image) -> int:
    """Count the pages of an open file."""
    return int(getattr(image, "n_frames", 1))
