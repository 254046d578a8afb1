"""Whole files or none."""

import errno
import os
import resource
from contextlib import contextmanager
from pathlib import Path

import pytest

from sam2_hf import OutputError
from sam2_hf.atomic_write import write_atomically


@contextmanager
def full_disk():
    """Files of this process can hold no more than 1,000 bytes, as if the disk were full.

    Not a fixture: pytest writes its own output, perhaps to a longer file, before a fixture ends.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_holds_what_was_given_and_nothing_else_is_left(tmp_path):
    path = write_atomically(tmp_path / "deep" / "er" / "file.bin", b"content")

    assert path.read_bytes() == b"content"
    assert list(path.parent.iterdir()) == [path]


def test_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old and longer")

    write_atomically(path, b"new")

    assert path.read_bytes() == b"new"


def test_a_full_disk_leaves_the_old_file_and_no_new_one(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    with pytest.raises(OutputError, match="No partial file was left behind"), full_disk():
        write_atomically(path, bytes(5000))

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_is_full_only_when_flushed_counts_too(tmp_path, monkeypatch):
    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(tmp_path / "file.bin", b"content")

    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_a_file_is_named_in_the_error(tmp_path):
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(OutputError, match=r"taken.file\.bin"):
        write_atomically(tmp_path / "taken" / "file.bin", b"content")


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(self, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)

    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file.bin", b"content")

    assert not list(tmp_path.iterdir())
