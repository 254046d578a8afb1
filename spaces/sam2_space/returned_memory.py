"""Release of freed memory to the system when visitors have left."""

import ctypes
import gc
import sys

M_ARENA_MAX = -8  # of glibc's mallopt


def limit_arenas() -> None:
    """Limit the number of malloc arenas; no-op except on Linux with glibc."""
    libc = _libc()
    if libc is not None:
        libc.mallopt(M_ARENA_MAX, 2)  # by default every thread's arena keeps freed memory


def give_memory_back() -> None:
    """Collect garbage, and return free memory to the system."""
    gc.collect()
    libc = _libc()
    if libc is not None:
        libc.malloc_trim(0)


def _libc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None
