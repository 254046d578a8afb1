"""A history's files beside a save: linked, copied, checked."""

import errno
import os

import pytest

from sam2_hf.errors import OutputError, SessionError
from sam2_hf.video.storage.checkpoint_files import read_history, write_history
from sam2_hf.video.storage.record_store import RecordStore
from tests.video.records import full_disk, memory_record, same


@pytest.fixture
def history(tmp_path):
    with RecordStore(ram_budget=5000, folder=tmp_path / "spill", segment_bytes=4000) as history:
        for frame in range(20):
            history.put((1, frame, "memory"), memory_record(frame))
        yield history


@pytest.fixture
def other_disk(monkeypatch):
    """A spill folder that nothing can be linked from; links within the saves work."""
    link = os.link

    def link_within_one_disk(source, target):
        if ("/spill" in str(source)) != ("/spill" in str(target)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        link(source, target)

    monkeypatch.setattr(os, "link", link_within_one_disk)


def folder_for(tmp_path, name):
    (tmp_path / name).mkdir()
    return tmp_path / name


def inodes(folder):
    return {path.name: path.stat().st_ino for path in folder.iterdir()}


def test_segments_are_linked_so_that_nothing_is_written_twice(tmp_path, history):
    folder = folder_for(tmp_path, "one")

    write_history(history, folder, None)

    assert inodes(folder).items() <= inodes(history.files.folder).items()


def test_what_is_appended_later_does_not_disturb_a_save(tmp_path, history):
    folder = folder_for(tmp_path, "one")
    saved = write_history(history, folder, None)
    for frame in range(40):
        history.put((1, frame, "memory"), memory_record(1000 + frame))

    with RecordStore(ram_budget=0, folder=tmp_path / "again") as again:
        read_history(saved, folder, again)
        assert all(same(again.get((1, f, "memory")), memory_record(f)) for f in range(20))


def test_on_another_disk_a_full_segment_is_copied_only_once(tmp_path, history, other_disk):
    one, two = folder_for(tmp_path, "one"), folder_for(tmp_path, "two")
    write_history(history, one, None)
    history.put((1, 20, "memory"), memory_record(20))

    saved = write_history(history, two, one)

    linked = [name for name, inode in inodes(two).items() if inodes(one).get(name) == inode]
    assert len(linked) >= len(saved.segments) - 2
    with RecordStore(ram_budget=0, folder=tmp_path / "spill-again") as again:
        read_history(saved, two, again)
        assert all(same(again.get((1, f, "memory")), memory_record(f)) for f in range(21))


def test_when_the_spill_disk_is_full_the_save_takes_what_is_in_ram(tmp_path, history, monkeypatch):
    def full(record):
        raise OutputError("the spill disk is full")

    monkeypatch.setattr(history.files, "append", full)
    folder = folder_for(tmp_path, "one")

    saved = write_history(history, folder, None)

    with RecordStore(ram_budget=0, folder=tmp_path / "again") as again:
        read_history(saved, folder, again)
        assert all(same(again.get((1, f, "memory")), memory_record(f)) for f in range(20))


def test_segments_that_hold_only_what_is_needed_go_when_it_is_discarded(tmp_path, history):
    folder = folder_for(tmp_path, "one")
    saved = write_history(history, folder, None)

    with RecordStore(ram_budget=0, folder=tmp_path / "again") as again:
        read_history(saved, folder, again)
        again.discard_object(1)

        assert again.bytes_on_disk == 0
        assert not list((tmp_path / "again").rglob("*.bin"))


def test_a_spill_file_that_someone_deleted_is_an_error_not_a_hole(tmp_path, history):
    next(history.files.folder.glob("*.bin")).unlink()

    with pytest.raises(OSError, match="is gone"):
        write_history(history, folder_for(tmp_path, "one"), None)


def test_a_spill_file_that_someone_cut_is_an_error_not_a_hole(tmp_path, history):
    os.truncate(next(history.files.folder.glob("*.bin")), 100)

    with pytest.raises(OSError, match="shorter than it was"):
        write_history(history, folder_for(tmp_path, "one"), None)


def test_a_full_disk_at_loading_says_where_nothing_need_be_copied(tmp_path, history, other_disk):
    saved = write_history(history, folder_for(tmp_path, "one"), None)

    with (
        RecordStore(ram_budget=0, folder=tmp_path / "spill-again") as again,
        pytest.raises(OutputError, match="disk of the save"),
        full_disk(100),
    ):
        read_history(saved, tmp_path / "one", again)


def test_a_saved_segment_that_was_cut_is_named_with_its_sizes(tmp_path, history):
    saved = write_history(history, folder_for(tmp_path, "one"), None)
    first = saved.segments[0]
    os.truncate(tmp_path / "one" / first["name"], 10)

    expected = f"{first['name']} has 10 bytes of {first['bytes']}"
    with (
        RecordStore(ram_budget=0, folder=tmp_path / "again") as again,
        pytest.raises(SessionError, match=expected),
    ):
        read_history(saved, tmp_path / "one", again)


def test_a_segment_name_that_leads_elsewhere_is_refused(tmp_path, history):
    saved = write_history(history, folder_for(tmp_path, "one"), None)
    saved.segments[0]["name"] = "../../etc/passwd"

    with (
        RecordStore(ram_budget=0, folder=tmp_path / "again") as again,
        pytest.raises(SessionError, match="not the name of a history file"),
    ):
        read_history(saved, tmp_path / "one", again)
