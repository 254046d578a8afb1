"""Atomic writes: a reader sees the old file or folder or the new one, never a part of either."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file to write to; a reader sees the old file or the new one, never a part.

    The bytes go into a hidden file of the same folder that takes the name over in the end. Missing
    parent folders are made. Whatever goes wrong, the hidden file is removed.

    Args:
        path: Where the file shall be.

    Raises:
        OutputError: The folder cannot be made or written to, or the disk is full.
    """
    target = Path(path)
    hidden = target.parent / f".{secrets.token_hex(6)}.part"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with hidden.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a full disk may show only here
        hidden.replace(target)
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {target}: {reason}. Nothing was left half-written. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)


def write_atomically(path: str | os.PathLike[str], content: bytes) -> Path:
    """Put `content` into a file, see `atomic_write`.

    Returns:
        The path written to.

    Raises:
        OutputError: As in `atomic_write`.
    """
    with atomic_write(path) as file:
        file.write(content)
    return Path(path)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a hidden path beside `path`; on leaving, what lies there takes the name over.

    After an exception it is removed instead, and what `path` held before stays. The hidden name
    follows from `path`, so what a killed process left is overwritten by the next attempt.

    Args:
        path: Where the file shall be. Missing parent folders are made.

    Yields:
        The hidden path, to be written to and closed inside the `with`.

    Raises:
        OutputError: The folder cannot be made or written to, or the disk is full.
    """
    target = Path(path)
    hidden = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        with hidden.open("rb+") as file:
            os.fsync(file.fileno())  # a full disk may show only here
        hidden.replace(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}. Nothing was left half-written. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a hidden folder beside `path`; on leaving, it takes the name over from what was there.

    After an exception it is removed instead, and what `path` held before stays. A kill between the
    two moves of the exchange leaves the earlier folder under its hidden name, see
    `restore_folder`; other leftovers are removed by the next attempt.

    Args:
        path: Where the folder shall be. Missing parent folders are made.

    Yields:
        The hidden folder, empty.

    Raises:
        OSError: The folder cannot be made or written to, or the disk is full.
    """
    target = Path(path)
    hidden, earlier = _hidden(target, "part"), _hidden(target, "old")
    try:
        for leftover in (hidden, earlier):
            shutil.rmtree(leftover, ignore_errors=True)
        hidden.mkdir(parents=True)
        yield hidden
        for written in (*hidden.rglob("*"), hidden):
            _flush(written)
        if target.exists():
            target.replace(earlier)
        hidden.replace(target)
        _flush(target.parent)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
    shutil.rmtree(earlier, ignore_errors=True)


def restore_folder(path: str | os.PathLike[str]) -> None:
    """Find the earlier folder again, if a kill came while another one took its name over."""
    target = Path(path)
    earlier = _hidden(target, "old")
    if earlier.exists() and not target.exists():
        earlier.replace(target)


def _hidden(target: Path, ending: str) -> Path:
    return target.with_name(f".{target.name}.{ending}")


def _flush(path: Path) -> None:
    """Have the system write a file, or the list of a folder, to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
