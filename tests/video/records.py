"""Records for the tests of the history, and a disk that is full."""

import resource
from contextlib import contextmanager

import torch


@contextmanager
def full_disk(room=1000):
    """Files of this process can hold no more than so many bytes, as if the disk were full.

    Not a fixture: pytest writes its own output, perhaps to a longer file, before a fixture ends.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def memory_record(seed=0, rows=4):
    """A record like a frame's memory: several dtypes, one of them bfloat16."""
    generator = torch.Generator().manual_seed(seed)
    return {
        "spatial": torch.randn(1, 8, rows, rows, generator=generator).bfloat16(),
        "pointer": torch.randn(1, 16, generator=generator),
        "score": torch.randn(1, 1, generator=generator),
    }


def same(first, second):
    """Whether two records have the same names, dtypes, shapes and bits."""
    return first.keys() == second.keys() and all(
        _same_bits(first[name], second[name]) for name in first
    )


def _same_bits(first, second):
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return torch.equal(*(one.reshape(-1).view(torch.uint8) for one in (first, second)))
