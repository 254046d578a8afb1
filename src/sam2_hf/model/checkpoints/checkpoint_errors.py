"""Exceptions for unusable checkpoints, and quotes of other libraries' messages.

Also the pause of the garbage collector for imports and loading, since nothing here imports torch.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


class CheckpointError(ValueError):
    """The requested weights cannot be used."""


class CheckpointNotFoundError(CheckpointError, OSError):
    """No weights were found. Also an `OSError`, as in transformers."""


class CheckpointWriteError(CheckpointError, OSError):
    """A checkpoint could not be written; partial output is removed."""


class CheckpointMismatchError(CheckpointError, RuntimeError):
    """Weight shapes do not match the config. Also a `RuntimeError`, as in torch."""


def first_line(error: BaseException) -> str:
    """Shorten another library's message for use inside one of ours."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


@contextmanager
def paused_collection() -> Iterator[None]:
    """Do not look for garbage in between.

    Importing transformers makes hundreds of thousands of objects that stay, and loading a model
    thousands more; looking through all of them again and again takes a fifth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
