"""Write a file whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from sam2_hf.errors import OutputError


@contextlib.contextmanager
def replaced_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
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
    """Put `content` into a file, see `replaced_whole`.

    Returns:
        The path written to.

    Raises:
        OutputError: As in `replaced_whole`.
    """
    with replaced_whole(path) as file:
        file.write(content)
    return Path(path)
