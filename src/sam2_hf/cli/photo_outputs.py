"""Result files of `segment` and `everything`."""

import re
from collections.abc import Sequence
from pathlib import Path

from sam2_hf.errors import OutputError
from sam2_hf.results.formats import PHOTO_FORMATS
from sam2_hf.results.photo_files import PhotoToWrite

from .output_files import with_ending

CROP_NAME = re.compile(r"\d{3,}(_.*)?\.png")
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
    written = []
    for kind in kinds:
        path = _path(kind, base, files)
        if kind == "crop":
            _remove_crops(path)
        written.append(files.write(kind, path))
    return written


def _remove_crops(folder: Path) -> None:
    """Remove the crops of an earlier run from the folder that the command names itself.

    Raises:
        OutputError: They cannot be removed.
    """
    try:
        for path in folder.glob("*.png"):
            if CROP_NAME.fullmatch(path.name):
                path.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot replace the crops in {folder}: {reason}.") from error


def _path(kind: str, base: Path, files: PhotoToWrite) -> Path:
    chosen = PHOTO_FORMATS[kind]
    if chosen.is_shared:
        return base.parent / chosen.ending
    is_labels = kind == "mask" and files.is_numbered
    return with_ending(base, NUMBERED_MASK if is_labels else chosen.ending)
