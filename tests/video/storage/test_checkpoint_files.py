"""Sessions saved in a folder, whole or as before."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sam2_hf.errors import OutputError, SessionError
from sam2_hf.video.storage import checkpoint_files
from sam2_hf.video.storage.checkpoint_files import SavedSession, read_session, write_session
from sam2_hf.video.storage.record_store import RecordStore
from tests.video.records import full_disk, memory_record, same

DOCUMENT = {"objects": [{"id": 3, "clicks": [[0.1, 1e-300]]}], "name": "caf\u00e9", "none": None}


@pytest.fixture
def history(tmp_path):
    with RecordStore(ram_budget=3000, folder=tmp_path / "spill", segment_bytes=5000) as history:
        for frame in range(20):
            history.put((1, frame, "memory"), memory_record(frame))
            history.put((2, frame, "mask"), {"counts": torch.full((5,), frame).byte()})
        yield history


def save(folder, history, document=DOCUMENT):
    tensors = {"bank": memory_record(77)["spatial"], "turned": torch.arange(6).reshape(2, 3).T}
    write_session(folder, SavedSession(document, tensors, history))


def load(folder, **options):
    return read_session(folder, ram_budget=3000, **options)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_everything_comes_back_bit_by_bit(tmp_path, history):
    save(tmp_path / "saved", history)

    saved = load(tmp_path / "saved")

    with saved.history as found:
        assert saved.document == DOCUMENT
        assert same({"bank": saved.tensors["bank"]}, {"bank": memory_record(77)["spatial"]})
        assert saved.tensors["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
        assert dict.fromkeys(key for key, _ in found.places()).keys() == {
            key for key, _ in history.places()
        }
        assert all(same(found.get(key), history.get(key)) for key, _ in history.places())


def test_a_loaded_session_goes_on_and_is_saved_again_in_the_same_place(tmp_path, history):
    folder = tmp_path / "saved"
    save(folder, history)
    with load(folder).history as second:
        for frame in range(10, 30):
            second.put((1, frame, "memory"), memory_record(100 + frame))
        save(folder, second, {"lap": 2})

        with load(folder).history as third:
            assert third.frames(1, "memory") == list(range(30))
            assert same(third.get((1, 9, "memory")), memory_record(9))
            assert same(third.get((1, 10, "memory")), memory_record(110))
    assert same(history.get((1, 10, "memory")), memory_record(10))


def test_an_empty_session_is_saved_too(tmp_path):
    with RecordStore(ram_budget=0) as history:
        write_session(tmp_path / "saved", SavedSession({}, {}, history))

    saved = load(tmp_path / "saved")

    assert (saved.document, saved.tensors, len(saved.history)) == ({}, {}, 0)
    assert names_in(tmp_path / "saved") == ["current.json", "save-000001"]


def test_only_the_last_save_stays_and_what_is_not_ours_is_left_alone(tmp_path, history):
    folder = tmp_path / "saved"
    (folder / "save-me").mkdir(parents=True)
    (folder / "save-000041").mkdir()  # of a process that was killed

    save(folder, history)
    save(folder, history)

    assert names_in(folder) == ["current.json", "save-000043", "save-me"]


def test_there_is_no_pickle_in_a_save(tmp_path, history):
    save(tmp_path / "saved", history)

    files = [path for path in (tmp_path / "saved").rglob("*") if path.is_file()]

    assert {path.suffix for path in files} == {".json", ".safetensors", ".bin"}
    assert not any(b"PK\x03\x04" in file.read_bytes()[:4] for file in files)


def test_a_process_killed_at_any_moment_leaves_a_whole_save(tmp_path):
    program = Path(__file__).with_name("save_until_killed.py")
    answer = subprocess.run(
        [sys.executable, program, tmp_path / "saved", "84", "0"],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert answer.returncode == 0, answer.stderr
    assert int(answer.stdout) > 10  # laps were saved: 30 on an idle machine, fewer on a busy one


@pytest.mark.parametrize("room", [100, 1500, 4000])
def test_a_full_disk_leaves_the_save_before_and_nothing_else(tmp_path, history, room):
    folder = tmp_path / "saved"
    save(folder, history, {"lap": 1})
    history.put((1, 20, "memory"), memory_record(20))

    expected = r"cannot save the session in .*saved: File too large\. The save before is as it was"
    with pytest.raises(OutputError, match=expected), full_disk(room):
        write_session(folder, SavedSession({"lap": 2}, {"big": torch.zeros(10_000)}, history))

    assert names_in(folder) == ["current.json", "save-000001"]
    assert load(folder).document == {"lap": 1}
    save(folder, history, {"lap": 3})
    assert load(folder).document == {"lap": 3}


def test_a_disk_that_is_full_only_when_flushed_counts_too(tmp_path, history, monkeypatch):
    def no_space(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save(tmp_path / "saved", history)
    monkeypatch.setattr(os, "fsync", no_space)

    with pytest.raises(OutputError, match="No space left on device"):
        save(tmp_path / "saved", history)

    assert names_in(tmp_path / "saved") == ["current.json", "save-000001"]


def test_a_document_that_json_cannot_carry_leaves_the_save_before(tmp_path, history):
    save(tmp_path / "saved", history)

    with pytest.raises(TypeError):
        save(tmp_path / "saved", history, {"tensor": torch.ones(1)})

    assert names_in(tmp_path / "saved") == ["current.json", "save-000001"]


def test_an_interruption_just_after_the_switch_keeps_the_new_save(tmp_path, history, monkeypatch):
    switch = Path.replace

    def switch_and_interrupt(self, target):
        switch(self, target)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", switch_and_interrupt)
    with pytest.raises(KeyboardInterrupt):
        save(tmp_path / "saved", history)

    assert load(tmp_path / "saved").document == DOCUMENT


def test_a_folder_that_is_a_file_is_refused(tmp_path, history):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match=r"cannot save .*file: .*no earlier save"):
        save(tmp_path / "file", history)


@pytest.mark.parametrize("place", ["missing", "empty", "file"])
def test_where_there_is_no_save_the_error_says_so(tmp_path, place):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()

    with pytest.raises(SessionError, match=rf"no saved session in .*{place}.*session\.save"):
        load(tmp_path / place)


def test_a_save_of_a_newer_version_says_update(tmp_path, history, monkeypatch):
    save(tmp_path / "saved", history)
    monkeypatch.setattr(checkpoint_files, "FORMAT", 0)

    with pytest.raises(SessionError, match=r"newer version .*format 1.*pip install -U sam2-hf"):
        load(tmp_path / "saved")


def damaged_copies(folder, copies):
    """Copies of a save, in each of them one file cut, changed, or gone."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    for number, name in enumerate(files):
        content = (folder / name).read_bytes()
        changed = bytearray(content)
        changed[len(content) // 2] ^= 1
        for way, damage in enumerate((content[:-1], bytes(changed), b"", None)):
            copy = copies / f"{number}-{way}"
            shutil.copytree(folder, copy)
            (copy / name).unlink() if damage is None else (copy / name).write_bytes(damage)
            yield copy, name, damage


def test_any_damage_to_any_file_is_found_and_explained(tmp_path, history):
    save(tmp_path / "saved", history)

    for copy, name, damage in damaged_copies(tmp_path / "saved", tmp_path / "copies"):
        gone = name.name == "current.json" and damage is None
        expected = "no saved session" if gone else "is damaged: .*Restore the folder"
        with pytest.raises(SessionError, match=expected) as failure:
            load(copy)
        assert not list(copy.glob("sam2_hf-spill-*")), failure


def test_names_that_lead_out_of_the_folder_are_refused(tmp_path, history):
    save(tmp_path / "saved", history)
    current = tmp_path / "saved" / "current.json"
    current.write_text(json.dumps(json.loads(current.read_text()) | {"save": "../elsewhere"}))

    with pytest.raises(SessionError, match=r"'\.\./elsewhere' is not the name of a save"):
        load(tmp_path / "saved")


def test_a_session_loads_from_a_folder_that_cannot_be_written(tmp_path, history, monkeypatch):
    save(tmp_path / "saved", history)
    make = checkpoint_files.RecordStore

    def refuse(*, folder, **options):
        if folder == tmp_path / "saved":
            raise OutputError("read-only")
        return make(folder=folder, **options)

    monkeypatch.setattr(checkpoint_files, "RecordStore", refuse)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    with load(tmp_path / "saved").history as found:
        assert same(found.get((1, 0, "memory")), memory_record(0))


def test_two_processes_can_load_one_save_and_go_their_own_ways(tmp_path, history):
    save(tmp_path / "saved", history)
    with load(tmp_path / "saved").history as first, load(tmp_path / "saved").history as second:
        for frame in range(40):
            first.put((1, frame, "memory"), memory_record(200 + frame))
        save(tmp_path / "saved", first)

        assert all(same(second.get((1, f, "memory")), memory_record(f)) for f in range(20))
        assert os.listdir(tmp_path / "saved").count("save-000001") == 0
