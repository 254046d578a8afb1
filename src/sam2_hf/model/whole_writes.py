"""Write a file or a folder whole or not at all."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from .checkpoint_errors import CheckpointWriteError


@contextmanager
def written_whole(target: Path) -> Iterator[Path]:
    """Offer a hidden neighbour of `target` to write to, and move it there once all is written.

    Args:
        target: The file or folder to be. An existing file is replaced, an empty folder too.

    Yields:
        The path to write to; nothing is there yet.

    Raises:
        CheckpointWriteError: If `target` is a folder with something in it, or if writing fails,
            for instance because the disk is full. Nothing is left of what had been written.
    """
    hidden = target.parent / f".{target.name}.{secrets.token_hex(4)}.part"
    require_free(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield hidden
        hidden.replace(target)
    except (OSError, SafetensorError, RuntimeError) as error:  # torch.save raises the last
        raise CheckpointWriteError(
            f"cannot write {target}: {_reason(error)}. Nothing of it was left behind. "
            "Free some space or choose a folder you may write to."
        ) from error
    finally:
        _remove(hidden)


def require_free(target: Path) -> None:
    """Refuse to write where there is a folder with something in it.

    Raises:
        CheckpointWriteError: If there is one.
    """
    if target.is_dir() and any(target.iterdir()):
        raise CheckpointWriteError(
            f"the folder {target} is not empty, so nothing was written. "
            "Remove it or choose another."
        )


def _reason(error: BaseException) -> str:
    """Say why writing failed; torch hides the system's reason behind one of its own."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        link = link.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _remove(path: Path) -> None:
    """Delete what was written so far; says nothing if there is none."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
