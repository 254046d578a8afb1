"""Folders and options of a source, checked."""

import os
from collections.abc import Collection
from pathlib import Path

from sam2_hf.errors import DataError
from sam2_hf.picture_files import is_picture_name, natural_order

from .config import SourceConfig


def source_folder(config: SourceConfig, expected: str) -> Path:
    """Return the folder of a source.

    Args:
        config: The source.
        expected: The layout that its kind expects, for the message.

    Raises:
        DataError: There is no such folder.
    """
    folder = Path(config.path).expanduser()
    if config.path and folder.is_dir():
        return folder
    what = f"is not a folder: {config.path}" if config.path else "has no path"
    raise DataError(f"the data source {config.label} {what}. {expected}")


def wrong_layout(config: SourceConfig, what: str, expected: str) -> DataError:
    """Make the error for an unusable folder, with the layout that its kind expects."""
    return DataError(f"{config.path}: {what}. {expected}")


def text_option(config: SourceConfig, name: str, default: str) -> str:
    """Read a text option of a source.

    Raises:
        DataError: It is not a text.
    """
    value = config.options.get(name, default)
    if not isinstance(value, str):
        raise DataError(f"{config.label}: the option {name} is {value!r}; it must be a text.")
    return value


def number_option(config: SourceConfig, name: str, default: float) -> float:
    """Read a numeric option of a source.

    Raises:
        DataError: It is not a number.
    """
    value = config.options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise DataError(f"{config.label}: the option {name} is {value!r}; it must be a number.")
    return value


def check_options(config: SourceConfig, known: Collection[str]) -> None:
    """Refuse unknown options.

    Raises:
        DataError: There is one.
    """
    if unknown := sorted(set(config.options) - set(known)):
        raise DataError(
            f"{config.label}: the kind {config.kind} has no option {', '.join(unknown)}. It has: "
            f"{', '.join(sorted(known)) or 'none'}."
        )


def file_names(folder: Path) -> list[str]:
    """List the visible files of a folder, in natural order.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and not entry.is_dir()
            ]
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}.") from error
    return sorted(names, key=natural_order)


def picture_names(folder: Path) -> list[str]:
    """List the pictures of a folder, in natural order.

    Raises:
        DataError: It cannot be read.
    """
    return [name for name in file_names(folder) if is_picture_name(name)]


def folder_names(folder: Path) -> list[str]:
    """List the visible subfolders of a folder, in natural order.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read: {error.strerror}.") from error
    return sorted(names, key=natural_order)
