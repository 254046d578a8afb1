"""Picture files before they are decoded: which names count, their order, and what is wrong.

Nothing here imports torch or numpy, so that a command can refuse a file at once.
"""

import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, UnidentifiedImageError

from .errors import ImageError

PICTURE_ENDINGS = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jp2", ".png", ".webp", ".bmp", ".tif", ".tiff"),
    *(".gif", ".avif", ".j2k", ".jpx", ".jpf", ".mpo", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".tga", ".dib"),
)
# Only to tell videos from pictures by their names.
VIDEO_ENDINGS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".gif", ".mpg", ".mpeg", ".ts", ".mts"),
    *(".m2ts", ".wmv", ".flv", ".3gp", ".ogv", ".mxf"),
)


def is_picture_name(name: str) -> bool:
    """Whether a file of this name is a picture: hidden files and other kinds are not."""
    return not name.startswith(".") and name.lower().endswith(PICTURE_ENDINGS)


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Sort key: numbers in names by value; ties (leading zeros, case) by text."""
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if odd % 2 else part for odd, part in enumerate(parts)], name


def file_problem(path: str | os.PathLike[str], kind: str = "file") -> str | None:
    """Explain why a path is not a readable regular file; None if it is one.

    Pipes and devices may have no end, and opening one can wait forever.

    Args:
        path: The path.
        kind: Name of the kind of file, for the message.
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return f"there is no {kind} {path}. Check the path."
    except (OSError, ValueError) as error:
        return f"{str(path)[:200]} cannot be read: {error}"
    if stat.S_ISDIR(mode):
        return f"{path} is a folder. Give a file in it."
    if not stat.S_ISREG(mode):
        return f"{path} is a pipe or a device, which may never end. Save it as a file first."
    return None


def header_problem(path: str | os.PathLike[str]) -> str | None:
    """Explain why a file is not a picture, by its first bytes; None if it may be one."""
    try:
        with picture_errors(path), warnings.catch_warnings(action="ignore"):
            Image.open(path).close()
    except ImageError as error:
        return str(error)
    return None


@contextmanager
def picture_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Convert every failure of opening a picture file to one error.

    Raises:
        ImageError: It is too large, of an unknown kind, or damaged.
    """
    try:
        yield
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{path} is too large to open safely: {error} Shrink it, or cut it up."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{path} cannot be read as an image: PIL does not know its format. "
            "Give a PNG, JPEG, TIFF or WebP."
        ) from error
    except Exception as error:  # Pillow's readers raise many types for damaged files
        raise ImageError(
            f"{path} cannot be read as an image: {error}. "
            "Give a complete PNG, JPEG or another kind that PIL reads."
        ) from error
