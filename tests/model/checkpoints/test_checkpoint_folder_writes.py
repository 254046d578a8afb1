"""Files and folders appear whole or not at all."""

import errno
import os

import pytest

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointWriteError
from sam2_hf.model.checkpoints.checkpoint_folder import atomic_write


def test_a_file_appears_when_all_is_written(tmp_path):
    target = tmp_path / "deep" / "x.bin"

    with atomic_write(target) as hidden:
        hidden.write_bytes(b"abc")
        assert not target.exists()

    assert target.read_bytes() == b"abc"
    assert [*target.parent.iterdir()] == [target]


def test_a_folder_takes_the_place_of_an_empty_one(tmp_path):
    target = tmp_path / "out"
    target.mkdir()

    with atomic_write(target) as hidden:
        hidden.mkdir()
        (hidden / "a").touch()

    assert [path.name for path in target.iterdir()] == ["a"]


def test_a_filled_folder_is_left_alone(tmp_path):
    (tmp_path / "mine").touch()

    with pytest.raises(CheckpointWriteError, match="is not empty"), atomic_write(tmp_path):
        pytest.fail("there is nothing to write to")

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def write_half(target, failure):
    """Begin to write a file, then fail."""
    with atomic_write(target) as hidden:
        hidden.write_bytes(b"half of the new")
        raise failure


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x.bin"
    target.write_bytes(b"old")

    with pytest.raises(CheckpointWriteError, match=r"cannot write .*x\.bin: No space left"):
        write_half(target, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    assert target.read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [target]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "x", KeyboardInterrupt())

    assert not [*tmp_path.iterdir()]
