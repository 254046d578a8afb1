"""Image sequences as videos: a folder of pictures, the pages of one file, or pictures in memory.

Folders are read in natural order, so that `frame2` comes before `frame10`. Files with pages are
TIFF stacks, animated WebP, PNG and the like.

Suffixes: t = frames, h, w = rows and columns, 3 = red, green, blue.
"""

import os
from collections.abc import Collection, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sam2_hf.errors import ImageError, VideoError
from sam2_hf.picture_files import PICTURE_ENDINGS, file_problem, is_picture_name, natural_order
from sam2_hf.processing.images import ImageSource, read_values
from sam2_hf.processing.value_range import ValueRange

from .base import Finish, PictureSource
from .preprocessing import ClipScale

STACK = "TIFF"
GIF = "GIF"
ANIMATIONS = ("PNG", "WEBP", "AVIF")  # a GIF is a video file; a JPEG with two pictures is a photo
MILLISECONDS = 1000


class PicturePages(PictureSource):
    """The pages of one file as frames; of an animation, the frames that a viewer shows.

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
            # The default image of an animated PNG is not a frame of its animation.
            self._first = int(bool(self._file.info.get("default_image")))
            self.num_frames = num_pages(self._file) - self._first
        except Exception as error:  # Pillow's readers raise many types for damaged files
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
        """Read a page; colors are converted in the threads. See [`PictureSource.take`]."""
        return partial(self._scale.picture, self._page(frame))

    def describe(self, frame: int) -> str:
        """Name a frame and the file."""
        return f"frame {frame} of {self.path}"

    def time(self, frame: int) -> float | None:
        """Return when a frame of an animation is shown; None for the pages of a stack."""
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
        except Exception as error:  # Pillow's readers raise many types for damaged files
            raise ImageError(f"the page is damaged: {error}.") from error

    def _values(self, frame: int) -> Tensor:
        return read_values(self._page(frame))

    def _show_times(self) -> list[int]:
        """Return the start of each frame in ms, and the end of the animation."""
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
        ImageError: It is unreadable, or has several pages.
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
    except Exception:  # reported where the file is read
        return False


def num_pages(image: Image.Image) -> int:
    """Count the pages of an open file."""
    return int(getattr(image, "n_frames", 1))


UNREADABLE_ENDINGS = (".heic", ".heif", ".jxl", ".exr", ".hdr", ".dpx")


class PictureFolder(PictureSource):
    """The pictures of a folder. Other files, folders and hidden files do not count.

    A folder with pictures in an unreadable format is refused, unless each has a readable twin of
    the same name, as phones export them. Only the first picture is opened at the start.

    Args:
        folder: Pictures of any names; `frame2.jpg` comes before `frame10.jpg`. One with several
            pages is refused when it is read.
        value_range: Which numbers are black and white; see `processing/value_range.py`.

    Raises:
        VideoError: There is no picture, the first is unreadable, or some have an unreadable format.
    """

    fps: Fraction | None = None

    def __init__(self, folder: str | os.PathLike[str], *, value_range: ValueRange = None) -> None:
        self.folder = Path(folder)
        self._names = list_pictures(self.folder)
        self.num_frames = len(self._names)
        try:
            self._scale = ClipScale.of_files(self._values, self.num_frames, value_range)
            height, width, _ = self.take(0)().shape
        except ImageError as error:
            raise VideoError(f"the first picture of {folder} is unreadable: {error}") from error
        self.size = height, width

    def take(self, frame: int) -> Finish:
        """Return a function that reads the file; see [`PictureSource.take`]."""
        return partial(picture_of_file, self._scale, self.folder / self._names[frame])

    def describe(self, frame: int) -> str:
        """Name a frame and its file."""
        return f"frame {frame} ({self.folder / self._names[frame]})"

    def time(self, frame: int) -> None:
        """Return None: times are unknown."""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _values(self, frame: int) -> Tensor:
        return read_values(self.folder / self._names[frame])


def list_pictures(folder: Path) -> list[str]:
    """List the names of the pictures in a folder, in natural order.

    Raises:
        VideoError: There is none, or the folder or some of its frames cannot be read.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.is_dir()]
    except OSError as error:
        raise VideoError(f"the folder {folder} cannot be read: {error.strerror}.") from error
    pictures = [name for name in names if is_picture_name(name)]
    if not pictures:
        raise VideoError(
            f"the folder {folder} has no pictures, only {len(names)} other files. The frames of a "
            f"video end in {', '.join(PICTURE_ENDINGS)}."
        )
    _refuse_unreadable(folder, names, pictures)
    return sorted(pictures, key=natural_order)


def _refuse_unreadable(folder: Path, names: list[str], pictures: list[str]) -> None:
    """Refuse a folder with frames in an unreadable format, which would be skipped silently."""
    stems = {Path(name).stem for name in pictures}
    lost = [
        name
        for name in names
        if not name.startswith(".")
        and name.lower().endswith(UNREADABLE_ENDINGS)
        and Path(name).stem not in stems
    ]
    if lost:
        raise VideoError(
            f"the folder {folder} has {len(pictures)} pictures that can be read and {len(lost)} "
            f"that cannot, such as {min(lost)}. Convert these to PNG or JPEG, or move them away."
        )


GRAY_CLIP, COLOR_CLIP = 3, 4  # axes of (t, h, w) and of (t, h, w, 3)
COLORS = (3, 4)  # channels of a picture with color
CHANNELS = (1, *COLORS)
PATH = (str, os.PathLike)
ARRAY = (np.ndarray, Tensor)

Pictures = Sequence[ImageSource] | NDArray[np.generic] | Tensor


class PictureList(PictureSource):
    """Pictures in a sequence; never modified, and copied one at a time.

    Args:
        pictures: Paths, PIL images, arrays or tensors; or one array or tensor `(t, h, w, 3)`,
            `(t, 3, h, w)` or gray `(t, h, w)`, of any real type.
        value_range: Which numbers are black and white; see `processing/value_range.py`.

    Raises:
        VideoError: There is no picture, an array is not a video, or the first picture is
            unreadable.
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
        """Return None: times are unknown."""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _choose_scale(self, value_range: ValueRange) -> ClipScale:
        """Choose the scale from all pictures in memory if they are floats, else from the first."""
        in_memory, first = self._in_memory()
        if in_memory and (value_range == "percentile" or _has_floats(first)):
            return ClipScale.of_frames(self._values, range(self.num_frames), value_range)
        return ClipScale.of_files(self._values, self.num_frames, value_range)

    def _in_memory(self) -> tuple[bool, object]:
        """Return whether all pictures are in memory, and one that shows their type."""
        pictures = self._pictures
        if isinstance(pictures, ARRAY):
            return True, pictures
        if isinstance(pictures, (list, tuple)):
            return not any(isinstance(picture, PATH) for picture in pictures), next(iter(pictures))
        return False, None  # other sequences may read a picture only on access

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
    """Find the channel axis of an array of frames; None if it is gray.

    It is chosen once for all frames: tensors have channels first unless only the last axis fits.

    Raises:
        VideoError: The shape is not that of a video.
    """
    shape = tuple(clip.shape)
    if len(shape) == GRAY_CLIP and shape[-1] not in COLORS:
        return None
    first = len(shape) == COLOR_CLIP and shape[1] in CHANNELS
    last = len(shape) == COLOR_CLIP and shape[-1] in CHANNELS
    if first and (isinstance(clip, Tensor) or not last):
        return "channels_first"
    if last:
        return "channels_last"
    hint = " This one is a single picture: add an axis with [None]." * (len(shape) == GRAY_CLIP)
    raise VideoError(
        f"an array of the shape {shape} is not a video. Give (frames, height, width, 3), "
        f"(frames, 3, height, width), or gray (frames, height, width).{hint}"
    )
