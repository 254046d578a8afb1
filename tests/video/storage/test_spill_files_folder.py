"""Spill folders come and go with their owner."""

import gc
import os
import signal
import subprocess
import sys

import pytest

from sam2_hf.errors import OutputError
from sam2_hf.video.storage.spill_files import SpillFolder

HOLD = """
import sys, time
from sam2_hf.video.storage.spill_files import SpillFolder
kept = SpillFolder(sys.argv[1])
(kept.path / "big.bin").write_bytes(b"x")
print(kept.path, flush=True)
time.sleep(60)
"""


def test_two_owners_in_one_place_have_folders_of_their_own(tmp_path):
    first, second = SpillFolder(tmp_path / "new" / "place"), SpillFolder(tmp_path / "new" / "place")

    assert first.path != second.path
    assert first.path.is_dir()


def test_a_closed_folder_is_gone_with_all_that_was_in_it(tmp_path):
    folder = SpillFolder(tmp_path)
    (folder.path / "file").touch()

    folder.close()
    folder.close()

    assert not list(tmp_path.iterdir())


def test_a_forgotten_folder_is_gone_too(tmp_path):
    folder = SpillFolder(tmp_path)

    del folder
    gc.collect()

    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        path = process.stdout.readline().strip()
        SpillFolder(tmp_path)
        there_while_alive = os.path.exists(path)
        process.send_signal(signal.SIGKILL)
    there_when_killed = os.path.exists(path)

    mine = SpillFolder(tmp_path)

    assert (there_while_alive, there_when_killed) == (True, True)
    assert list(tmp_path.iterdir()) == [mine.path]


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(
        OutputError, match=r"cannot make a spill folder in .*file.deeper: Not a dir"
    ):
        SpillFolder(tmp_path / "file" / "deeper")


def test_a_forked_child_leaves_the_folder_to_its_parent(tmp_path, monkeypatch):
    folder = SpillFolder(tmp_path)
    parent = os.getpid()

    monkeypatch.setattr(os, "getpid", lambda: parent + 1)
    folder.close()

    assert folder.path.is_dir()
