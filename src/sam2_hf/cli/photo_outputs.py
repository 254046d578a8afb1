"""Result files of `segment` and `everything`."""

from collections.abc import Sequence
from pathlib import Path

from sam2_hf.results.formats import PHOTO_FORMATS
from sam2_hf.results.photo_files import PhotoToWrite

from .output_files import with_ending

NUMBERED_MASK = "_masks.png"  # of a picture of labels


def write_photo(kinds: Sequence[str], base: Path, files: PhotoToWrite) -> list[Path]:
    """Write the results of a photo.

    Args:
        kinds: Names of `PHOTO_FORMATS`.
        base: Folder and stem of the files.
        files: The results.

    Returns:
        The files and folders.

    Raises:
        OutputError: One cannot be written.
    """
    return [files.write(kind, _path(kind, base, files)) for kind in kinds]


def _path(kind: str, base: Path, files: PhotoToWrite) -> Path:
    chosen = PHOTO_FORMATS[kind]
    if chosen.is_shared:
        return base.parent / chosen.ending
    is_labels = kind == "mask" and files.is_numbered
    return with_ending(base, NUMBERED_MASK if is_labels else chosen.ending)
