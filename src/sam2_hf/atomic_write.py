"""Write a file whole or not at all.

Write a file bit by bit, and let it appear only when it is whole.
"""

import contextlib
import os
import secrets
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
