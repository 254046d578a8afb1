"""The garbage collector, stopped while thousands of objects are made that all stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
