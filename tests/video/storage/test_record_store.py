"""Records in RAM and, beyond a budget, in files."""

import gc
import random
import tracemalloc

import pytest
import torch

from sam2_hf.errors import OutputError, SessionError
from sam2_hf.video.storage.record_store import RecordStore, bytes_held
from tests.video.records import full_disk, memory_record, same

ONE = bytes_held(memory_record())


def spilling(folder, *, records=2, **options):
    """A history with room for so many records in RAM."""
    return RecordStore(ram_budget=records * ONE, folder=folder, **options)


def test_a_record_in_ram_is_the_very_same_tensors(tmp_path):
    record = memory_record()
    with RecordStore(ram_budget=10 * ONE) as history:
        history.put((1, 0, "memory"), record)

        found = history.get((1, 0, "memory"))

        assert all(found[name].data_ptr() == record[name].data_ptr() for name in record)
        assert (history.bytes_in_ram, history.bytes_on_disk) == (ONE, 0)


def test_beyond_the_budget_the_records_put_first_go_to_disk_bit_by_bit(tmp_path):
    with spilling(tmp_path) as history:
        for frame in range(5):
            history.put((1, frame, "memory"), memory_record(frame))

        assert history.bytes_in_ram == 2 * ONE
        assert history.bytes_on_disk > 0
        for frame in range(5):
            assert same(history.get((1, frame, "memory")), memory_record(frame))


def test_what_a_caller_does_to_the_dictionary_it_got_changes_no_record():
    with RecordStore(ram_budget=10 * ONE) as history:
        history.put((1, 0, "memory"), memory_record())

        history.get((1, 0, "memory")).clear()

        assert same(history.get((1, 0, "memory")), memory_record())


def test_of_many_objects_that_came_and_went_nothing_remains(tmp_path):
    with spilling(tmp_path) as history:
        for object_id in range(20):
            history.put((object_id, 0, "memory"), memory_record())
        for object_id in range(20):
            history.discard_object(object_id)

        assert not list(history.places())
        assert not history._places
        assert (history.bytes_in_ram, history.bytes_on_disk) == (0, 0)


def test_objects_frames_and_kinds_are_kept_apart(tmp_path):
    with spilling(tmp_path, records=0) as history:
        for number, key in enumerate([(1, 5, "memory"), (1, 5, "mask"), (2, 5, "mask")]):
            history.put(key, memory_record(number))
        history.put((1, 2, "mask"), memory_record(3))

        assert same(history.get((1, 5, "mask")), memory_record(1))
        assert history.frames(1, "mask") == [2, 5]
        assert history.frames(2, "memory") == []
        assert (2, 5, "mask") in history
        assert (2, 5, "memory") not in history


def test_what_is_not_there_is_none_and_can_be_discarded(tmp_path):
    with spilling(tmp_path) as history:
        history.discard((1, 0, "mask"))
        history.discard_object(1)

        assert history.get((1, 0, "mask")) is None
        assert len(history) == 0


def test_a_discarded_object_leaves_the_others(tmp_path):
    with spilling(tmp_path) as history:
        for frame in range(6):
            for object_id in (1, 2):
                history.put((object_id, frame, "memory"), memory_record(10 * object_id + frame))

        history.discard_object(1)

        assert history.frames(1, "memory") == []
        assert len(history) == 6
        assert all(same(history.get((2, f, "memory")), memory_record(20 + f)) for f in range(6))


def change_at_random(history, plain, chance, step):
    """Do one thing to a history and the same to a dictionary; returns the key it was about."""
    key = (chance.randrange(3), chance.randrange(8), chance.choice(["memory", "mask"]))
    if chance.random() < 0.6:
        plain[key] = memory_record(step, rows=chance.randrange(1, 6))
        history.put(key, plain[key])
    elif chance.random() < 0.02:
        history.discard_object(key[0])
        for other in [one for one in plain if one[0] == key[0]]:
            del plain[other]
    else:
        history.discard(key)
        plain.pop(key, None)
    return key


def test_any_order_of_calls_gives_what_a_dictionary_gives(tmp_path):
    chance = random.Random(0)
    plain = {}
    with spilling(tmp_path, records=3, segment_bytes=4 * ONE) as history:
        for step in range(1500):
            changed = change_at_random(history, plain, chance, step)

            for key in (changed, chance.choice([*plain, changed])):
                found = history.get(key)
                assert (found is None) if key not in plain else same(found, plain[key])
            assert len(history) == len(plain)
            assert history.bytes_in_ram <= 3 * ONE


def test_tracking_the_same_frames_for_ever_does_not_grow_the_files(tmp_path):
    with spilling(tmp_path, records=0, segment_bytes=20_000) as history:
        sizes = []
        for lap in range(20):
            for frame in range(50):
                history.put((1, frame, "memory"), memory_record(lap * 50 + frame))
            sizes.append(history.bytes_on_disk)
        once = sizes[0]

        assert max(sizes) < 2 * once + 2 * 20_000
        assert sum(path.stat().st_size for path in tmp_path.rglob("*.bin")) == sizes[-1]
        assert all(same(history.get((1, f, "memory")), memory_record(950 + f)) for f in range(50))


def test_a_few_long_lived_records_do_not_hold_the_files_of_all_others(tmp_path):
    with spilling(tmp_path, records=0, segment_bytes=20_000) as history:
        for frame in range(1000):
            history.put((1, frame, "memory"), memory_record(frame % 7))
            if frame % 20:
                history.discard((1, frame, "memory"))

        assert history.bytes_on_disk < 100_000
        assert all(
            same(history.get((1, f, "memory")), memory_record(f % 7))
            for f in history.frames(1, "memory")
        )


def test_a_record_on_disk_leaves_less_than_300_bytes_in_ram(tmp_path):
    record = {"counts": torch.zeros(50, dtype=torch.uint8)}
    with RecordStore(ram_budget=0, folder=tmp_path) as history:
        history.put((1, 0, "mask"), record)
        gc.collect()
        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        for frame in range(1, 5001):
            history.put((1, frame, "mask"), record)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (after - before) / 5000 < 300


def test_on_a_full_disk_records_stay_in_ram_until_there_is_room_again(tmp_path):
    with spilling(tmp_path) as history:
        history.put((1, 0, "memory"), memory_record(0))
        history.put((1, 1, "memory"), memory_record(1))
        with full_disk(100):
            for frame in (2, 3):
                with pytest.raises(OutputError, match="Nothing is lost"):
                    history.put((1, frame, "memory"), memory_record(frame))
        kept = [same(history.get((1, f, "memory")), memory_record(f)) for f in range(4)]
        too_much = history.bytes_in_ram

        history.put((1, 4, "memory"), memory_record(4))

        assert kept == [True] * 4
        assert (too_much, history.bytes_in_ram) == (4 * ONE, 2 * ONE)
        assert all(same(history.get((1, f, "memory")), memory_record(f)) for f in range(5))


def test_a_full_disk_while_tidying_is_no_reason_to_fail(tmp_path, monkeypatch):
    def full(place):
        tried.append(place)
        raise OutputError("the disk is full")

    tried = []
    with spilling(tmp_path, records=0, segment_bytes=4000) as history:
        monkeypatch.setattr(history.files, "move", full)
        for frame in range(20):
            history.put((1, frame, "memory"), memory_record(frame))
            if frame % 5:
                history.discard((1, frame, "memory"))

        assert tried
        for frame in (0, 5, 10, 15):
            assert same(history.get((1, frame, "memory")), memory_record(frame))


def test_a_smaller_budget_counts_from_the_next_record_on(tmp_path):
    with spilling(tmp_path, records=5) as history:
        for frame in range(5):
            history.put((1, frame, "memory"), memory_record(frame))
        history.ram_budget = ONE
        history.put((1, 5, "memory"), memory_record(5))

        assert history.bytes_in_ram == ONE
        assert len(history) == 6


def test_flushed_records_are_on_disk_and_still_quick_to_find(tmp_path):
    with spilling(tmp_path) as history:
        history.put((1, 0, "memory"), memory_record())

        history.flush()
        on_disk = history.bytes_on_disk
        history.flush()

        assert history.bytes_on_disk == on_disk > 0
        assert history.bytes_in_ram == ONE


def test_a_flushed_record_leaves_ram_without_being_written_twice(tmp_path):
    with spilling(tmp_path, records=1) as history:
        history.put((1, 0, "memory"), memory_record(0))
        history.flush()
        on_disk = history.bytes_on_disk

        history.put((1, 1, "memory"), memory_record(1))

        assert history.bytes_on_disk == on_disk
        assert same(history.get((1, 0, "memory")), memory_record(0))


def test_a_closed_history_leaves_no_file_and_says_so(tmp_path):
    history = spilling(tmp_path, records=0)
    history.put((1, 0, "memory"), memory_record())

    history.close()
    history.close()

    assert not list(tmp_path.iterdir())
    with pytest.raises(SessionError, match="this session is closed"):
        history.get((1, 0, "memory"))
    with pytest.raises(SessionError, match="this session is closed"):
        history.put((1, 0, "memory"), memory_record())


def test_a_folder_that_cannot_be_used_is_refused_at_once(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OutputError, match="cannot make a spill folder"):
        RecordStore(ram_budget=0, folder=tmp_path / "file")


def test_without_a_folder_no_file_is_made_until_it_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with RecordStore(ram_budget=ONE) as history:
        history.put((1, 0, "memory"), memory_record())
        before = list(tmp_path.iterdir())
        history.put((1, 1, "memory"), memory_record())

        assert before == []
        assert len(list(tmp_path.iterdir())) == 1
