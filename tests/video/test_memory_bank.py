"""What stays where it is read, what leaves it, and that it comes back bit by bit."""

import pytest
import torch

from sam2_hf.errors import OutputError
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.memory_bank import MEMORY, MemoryBank
from sam2_hf.video.policies.memory_policy import (
    MemoryRules,
    Sam2Policy,
    TrackingStep,
    pointer_frames,
    recent_frames,
)
from sam2_hf.video.storage.record_store import RecordStore
from tests.video.records import full_disk

SAM2 = Sam2Policy(MemoryRules())
SPATIAL = POINTER = 32  # bytes of one
SCORE = 4


@pytest.fixture
def history(tmp_path):
    with RecordStore(ram_budget=1 << 20, folder=tmp_path) as records:
        yield records


def memory(frame):
    spatial = torch.full((1, 4, 2, 2), float(frame)).bfloat16()
    return FrameMemory(frame, spatial, torch.full((1, 8), frame + 0.1), torch.ones(1, 1))


def output(frame):
    return FrameOutput(torch.full((1, 4, 4), frame - 0.3), torch.tensor([0.5]), torch.tensor([2.0]))


def bank_of(history, device="cpu"):
    return MemoryBank(1, history, device)


def track(bank, frames, direction="forward", policy=SAM2):
    """Remember frame after frame, and let go of what the next one cannot read."""
    step = 1 if direction == "forward" else -1
    for frame in frames:
        bank.remember(memory(frame), output(frame))
        bank.evict(TrackingStep(frame + step, direction), policy)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_everything_the_next_frame_can_read_is_there(history, direction, stride):
    bank, policy = bank_of(history), Sam2Policy(MemoryRules(stride=stride))
    frames = range(40) if direction == "forward" else range(39, -1, -1)

    track(bank, frames, direction, policy)

    now = TrackingStep(40 if direction == "forward" else -1, direction)
    for frame in recent_frames(now, count=6, stride=stride):
        assert torch.equal(bank.spatial_bx(frame), memory(frame).spatial_bx)
    for frame in pointer_frames(now, count=16):
        assert torch.equal(bank.pointer_bd(frame), memory(frame).pointer_bd)


def test_no_more_than_six_memories_and_fifteen_pointers_stay(history):
    bank = bank_of(history)

    track(bank, range(100))

    assert bank.device_bytes == 6 * SPATIAL + 15 * POINTER
    assert bank.tracked == list(range(100))


def test_a_memory_that_left_comes_back_bit_by_bit(history):
    bank = bank_of(history)
    track(bank, range(30))

    found = bank.spatial_bx(3), bank.pointer_bd(3)

    assert found[0].dtype == torch.bfloat16
    assert all(map(torch.equal, found, (memory(3).spatial_bx, memory(3).pointer_bd)))


def test_it_comes_back_from_a_file_too(tmp_path):
    with RecordStore(ram_budget=0, folder=tmp_path) as history:
        bank = bank_of(history)
        track(bank, range(30))

        assert history.bytes_on_disk > 0
        assert torch.equal(bank.spatial_bx(3), memory(3).spatial_bx)
        assert torch.equal(bank.output(3).logits_1hw, output(3).logits_1hw)


def test_what_came_back_leaves_again_when_time_goes_on(history):
    bank = bank_of(history)
    track(bank, range(30))
    kept = bank.device_bytes

    bank.spatial_bx(3)
    bank.pointer_bd(3)
    assert bank.device_bytes > kept
    bank.evict(TrackingStep(30), SAM2)

    assert bank.device_bytes == kept


def test_a_frame_that_was_never_tracked_has_no_memory(history):
    bank = bank_of(history)
    track(bank, range(3))

    assert bank.spatial_bx(7) is None
    assert bank.pointer_bd(7) is None
    assert bank.output(7) is None


def test_a_tracked_frame_has_its_answer(history):
    bank = bank_of(history)
    bank.remember(memory(2), output(2))

    found = bank.output(2)

    assert torch.equal(found.logits_1hw, output(2).logits_1hw)
    assert (found.iou_1.item(), found.score_1.item()) == (0.5, 2.0)


def test_the_score_of_a_frame_is_known_wherever_its_memory_is(tmp_path):
    with RecordStore(ram_budget=0, folder=tmp_path) as history:
        bank = bank_of(history)
        track(bank, range(30))
        bank.remember_prompted(memory(1))
        bank.forget(2)

        scores = [bank.score(frame) for frame in (0, 1, 2, 29, 30)]
        assert scores == [2.0, 1.0, None, 2.0, None]  # a prompted frame has the score of its prompt
        assert bank_of(history).score(0) == 2.0  # of a session that was loaded
        bank.put_back(29, bank.record(29) | {"score": torch.tensor([-3.0])})
        assert bank.score(29) == -3.0  # what an undo brings back


def test_memories_are_stored_where_they_should_be():
    """Transformers leaves spatial memories on the accelerator: modeling_sam2_video.py:2794."""
    bank = bank_of(RecordStore(ram_budget=0), device="meta")

    bank.remember_prompted(memory(0))

    stored = bank.prompted[0]
    assert {t.device.type for t in (stored.spatial_bx, stored.pointer_bd, stored.score_b1)} == {
        "meta"
    }


def test_tracked_memories_are_stored_there_too(history, monkeypatch):
    bank = bank_of(history, device="meta")
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape))

    bank.remember(memory(0), output(0))

    kept = (*bank._spatial.values(), *bank._pointers.values())
    assert {tensor.device.type for tensor in kept} == {"meta"}


def test_a_prompted_frame_takes_the_place_of_what_was_tracked_there(history):
    bank = bank_of(history)
    track(bank, range(4))

    bank.remember_prompted(memory(2))

    assert list(bank.prompted) == [2]
    assert bank.tracked == [0, 1, 3]
    assert bank.spatial_bx(2) is None


def test_prompted_frames_never_leave(history):
    bank = bank_of(history)
    bank.remember_prompted(memory(0))

    track(bank, range(1, 50))

    assert torch.equal(bank.prompted[0].spatial_bx, memory(0).spatial_bx)
    assert bank.device_bytes == 7 * SPATIAL + 16 * POINTER + SCORE


def test_a_demoted_frame_counts_as_tracked(history):
    bank = bank_of(history)
    bank.remember_prompted(memory(5))

    bank.demote(5, output(5))

    assert not bank.prompted
    assert bank.tracked == [5]
    assert torch.equal(bank.spatial_bx(5), memory(5).spatial_bx)
    assert torch.equal(bank.output(5).logits_1hw, output(5).logits_1hw)


def test_a_forgotten_frame_is_gone_from_everywhere(history):
    bank = bank_of(history)
    track(bank, range(3))

    bank.forget(1)
    bank.forget(77)

    assert bank.tracked == [0, 2]
    assert bank.spatial_bx(1) is None
    assert (1, 1, MEMORY) not in history
    assert bank.device_bytes == 2 * (SPATIAL + POINTER)


def test_on_a_full_disk_the_memory_is_stored_all_the_same(tmp_path):
    with RecordStore(ram_budget=0, folder=tmp_path) as history, full_disk(room=10):
        bank = bank_of(history)

        with pytest.raises(OutputError, match="Nothing is lost"):
            bank.remember(memory(0), output(0))

        assert torch.equal(bank.spatial_bx(0), memory(0).spatial_bx)
        bank.evict(TrackingStep(100), SAM2)
        assert torch.equal(bank.spatial_bx(0), memory(0).spatial_bx)


def test_objects_do_not_share_memories(history):
    first, second = (MemoryBank(number, history, "cpu") for number in (1, 2))

    first.remember(memory(0), output(0))

    assert second.spatial_bx(0) is None
    assert second.tracked == []
