"""Give memory back to the system when visitors have left; the allocator would keep it."""

import ctypes
import gc
import sys

M_ARENA_MAX = -8  # of glibc's mallopt
ARENAS = 2  # one for each thread that ever ran would each keep their own leftovers


def limit_arenas() -> None:
    """Let all threads share a few heaps; on other systems than Linux with glibc, do nothing."""
    libc = _libc()
    if libc is not None:
        libc.mallopt(M_ARENA_MAX, ARENAS)


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
