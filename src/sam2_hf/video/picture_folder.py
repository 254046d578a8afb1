"""A video that lies as pictures in a folder, in the order a person would count them."""

import os
import re
from fractions import Fraction
from functools import partial
from pathlib import Path

from torch import Tensor

from sam2_hf.errors import ImageError, VideoError
from sam2_hf.processing.images import read_values
from sam2_hf.processing.value_range import ValueRange

from .frame_pixels import ClipScale
from .picture_pages import picture_of_file
from .picture_source import Finish, PictureSource

PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".avif", ".j2k", ".jpx", ".jpf", ".mpo", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".tga", ".dib"),
)
UNREADABLE_ENDINGS = (".heic", ".heif", ".jxl", ".exr", ".hdr", ".dpx")  # left out, frames vanish


class PictureFolder(PictureSource):
    """The pictures of a folder. Other files, folders and hidden files do not count.

    A folder with pictures of a kind that cannot be read is refused, unless each of them lies beside
    a readable one of the same name, as phones export them. Only the first picture is opened at the
    start.

    Args:
        folder: Pictures of any names; `frame2.jpg` comes before `frame10.jpg`. One with several
            pages is refused when it is read.
        value_range: Which numbers are black and white; see `processing/value_range.py`.

    Raises:
        VideoError: There is no picture, the first is unreadable, or some are of a kind that is.
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
        """Leave the reading to the threads; see [`PictureSource.take`]."""
        return partial(picture_of_file, self._scale, self.folder / self._names[frame])

    def describe(self, frame: int) -> str:
        """Name a frame and its file."""
        return f"frame {frame} ({self.folder / self._names[frame]})"

    def time(self, frame: int) -> None:
        """Nothing is known of time."""

    def close(self) -> None:
        """Nothing is open."""

    def _values(self, frame: int) -> Tensor:
        return read_values(self.folder / self._names[frame])


def list_pictures(folder: Path) -> list[str]:
    """List the names of the pictures in a folder, in natural order.

    Raises:
        VideoError: There is none, the folder cannot be read, or there are frames that cannot be.
    """
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.is_dir()]
    except OSError as error:
        raise VideoError(f"the folder {folder} cannot be read: {error.strerror}.") from error
    pictures = [name for name in names if is_picture_name(name)]
    if not pictures:
        raise VideoError(
            f"the folder {folder} has no pictures, and {len(names)} other files. The frames of a "
            f"video end in {', '.join(PICTURE_ENDINGS)}."
        )
    _refuse_unreadable(folder, names, pictures)
    return sorted(pictures, key=natural_order)


def _refuse_unreadable(folder: Path, names: list[str], pictures: list[str]) -> None:
    """Refuse a folder some of whose frames would be left out, since nothing here reads them."""
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


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is a frame: hidden files and other kinds are not."""
    return not name.startswith(".") and name.lower().endswith(PICTURE_ENDINGS)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort numbers in names by value, and names that differ in zeros or case only by their text."""
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if odd % 2 else part for odd, part in enumerate(parts)], name
