"""Atomic writes: a reader sees the old file or folder or the new one, never a part of either."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from .errors import OutputError

# Errors that the next file would meet, too.
EVERYWHERE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for atomic writing: a reader sees the old file or the new one, never a part.

    Bytes go to a hidden file in the same folder, which is renamed at the end and removed after an
    error. Missing parent folders are created.

    Args:
        path: Path of the file.

    Raises:
        OutputError: The folder cannot be created or written, or the disk is full.
    """
    target = Path(path)
    hidden = hidden_beside(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with hidden.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # a full disk may only fail here
        hidden.replace(target)
    except OutputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot write {target}: {reason}. No partial file was left behind. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)


def hidden_beside(path: Path) -> Path:
    """Choose an unused hidden path in a file's folder; whatever is left there ends in `.part`."""
    return path.with_name(f".{secrets.token_hex(6)}.part")


def write_atomically(path: str | os.PathLike[str], content: bytes) -> Path:
    """Write `content` to a file, see `atomic_write`.

    Returns:
        Its path.

    Raises:
        OutputError: As in `atomic_write`.
    """
    with atomic_write(path) as file:
        file.write(content)
    return Path(path)


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden path beside `path`; on exit, the file written there is renamed to `path`.

    After an exception it is removed instead, and an existing `path` stays. The hidden name depends
    on `path` only, so leftovers of a killed process are overwritten by the next attempt.

    Args:
        path: Path of the file. Missing parent folders are created.

    Yields:
        The hidden path, to be written and closed inside the `with`.

    Raises:
        OutputError: The folder cannot be created or written, or the disk is full.
    """
    target = Path(path)
    hidden = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        with hidden.open("rb+") as file:
            os.fsync(file.fileno())  # a full disk may only fail here
        hidden.replace(target)
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}. No partial file was left behind. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a hidden folder beside `path`; on exit, it replaces `path`.

    After an exception it is removed instead, and an existing `path` stays. A kill between the two
    renames leaves the earlier folder under its hidden name, see `restore_folder`; other leftovers
    are removed by the next attempt.

    Args:
        path: Path of the folder. Missing parent folders are created.

    Yields:
        The hidden folder, empty.

    Raises:
        OSError: The folder cannot be created or written, or the disk is full.
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


def fails_everywhere(error: Exception) -> bool:
    """Whether writing another file would fail, too, as on a full disk."""
    cause = error.__cause__
    return (
        isinstance(error, OutputError) and isinstance(cause, OSError) and cause.errno in EVERYWHERE
    )


def make_folder(path: str | os.PathLike[str]) -> None:
    """Create a folder and its parents, unless it exists.

    Raises:
        OutputError: It cannot be created, or is a file.
    """
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"cannot create the folder {path}: {reason}. Choose another folder."
        ) from error


def restore_folder(path: str | os.PathLike[str]) -> None:
    """Restore the earlier folder, if a process was killed while replacing it."""
    target = Path(path)
    earlier = _hidden(target, "old")
    if earlier.exists() and not target.exists():
        earlier.replace(target)


def _hidden(target: Path, ending: str) -> Path:
    return target.with_name(f".{target.name}.{ending}")


def _flush(path: Path) -> None:
    """Sync a file or a folder to disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
