"""What a frame looks back on, and how many masks it chooses among."""

from dataclasses import replace

import pytest
import torch

from sam2_hf.model.outputs import FrameMemory
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.memory_bank import MemoryBank
from sam2_hf.video.policies.memory_policy import MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.storage.record_store import RecordStore
from sam2_hf.video.tracking import NO_PROMPTS, chooses_among_masks, gather_memories
from tests.drawn_video import clicks
from tests.fakes import FakeModel
from tests.video.remembered import Remembered, drawn_memory, fake_remembered

SAM2 = Sam2Policy(MemoryRules())
NOW = TrackingStep(10, num_frames=20)


@pytest.mark.parametrize(
    ("prompted", "tracked", "ages", "pointers"),
    [
        ((0,), (), [7], 1),
        ((0,), range(1, 10), [7, 6, 5, 4, 3, 2, 1], 10),
        ((0,), (4, 9), [7, 6, 1], 3),
        ((10,), (), [7], 1),  # a prompt on this very frame, which is corrected, is past
        ((15,), (), [7], 0),  # pointers of what is still to come are left out
        ((0, 4, 15), (9,), [7, 7, 7, 1], 3),
    ],
)
def test_what_is_recollected(prompted, tracked, ages, pointers):
    found = gather_memories(fake_remembered(prompted=prompted, tracked=tracked), NOW, SAM2)

    assert list(found.ages) == ages
    assert len(found.spatial) == len(ages)
    assert (0 if found.pointers_bpd is None else found.pointers_bpd.shape[1]) == pointers


def test_pointers_of_what_is_to_come_are_read_in_training():
    policy = Sam2Policy(MemoryRules(past_pointers_only=False))

    found = gather_memories(fake_remembered(prompted=(4, 15)), NOW, policy)

    assert (found.times_bp[0] * 15).tolist() == pytest.approx([6, -5])


def test_times_run_backward_when_time_does():
    now = TrackingStep(10, "backward", 20)

    found = gather_memories(fake_remembered(prompted=(4, 15), tracked=(11,)), now, SAM2)

    assert (found.times_bp[0] * 15).tolist() == pytest.approx([5, 1])


def test_a_frame_that_is_prompted_and_tracked_is_read_as_both():
    """sam2_base.py:529-567: tracked frames are looked up whether or not they are conditioning."""
    memories = Remembered({4: drawn_memory(4, seed=1)}, {4: drawn_memory(4, seed=2)})

    found = gather_memories(memories, NOW, SAM2)

    both = (memories.prompted[4], memories.tracked[4])
    assert found.ages == (7, 6)
    assert all(one is memory.spatial_bx for one, memory in zip(found.spatial, both, strict=True))
    pointers_bpd = torch.stack([memory.pointer_bd for memory in both], dim=1)
    assert torch.equal(found.pointers_bpd, pointers_bpd)


def test_a_prompted_frame_that_is_not_chosen_counts_as_tracked():
    """sam2_base.py:563-567: it is read by its age, and its pointer too."""
    memories = fake_remembered(prompted=(0, 8, 12, 15))
    policy = Sam2Policy(MemoryRules(max_prompted=2))

    found = gather_memories(memories, TrackingStep(10, num_frames=20), policy)

    assert list(found.ages) == [7, 7]
    nearer = gather_memories(memories, TrackingStep(13, num_frames=20), policy)
    assert list(nearer.ages) == [7, 7, 5]
    assert (nearer.times_bp[0] * 15).tolist() == pytest.approx([1, 5, 13])


def test_memories_that_are_stored_elsewhere_are_moved_to_where_the_model_is():
    memory = FrameMemory(0, torch.ones(1, 3, 1, 1), torch.ones(1, 4), torch.ones(1, 1))
    output = FrameOutput(torch.ones(1, 4, 4), torch.ones(1), torch.ones(1))
    with RecordStore(ram_budget=1 << 20) as history:
        bank = MemoryBank(1, history, "cpu")
        bank.remember_prompted(memory)
        bank.remember(replace(memory, frame=9), output)

        found = gather_memories(bank, NOW, SAM2).to("meta")

    tensors = (*found.spatial, found.pointers_bpd, found.times_bp)
    assert {tensor.device.type for tensor in tensors} == {"meta"}


@pytest.mark.parametrize(
    ("points", "tracked", "three"),
    [(0, True, True), (1, True, True), (2, True, False), (1, False, True), (2, False, False)],
)
def test_few_clicks_choose_among_three_masks(points, tracked, three):
    prompts = clicks(objects=1, points=points) if points else NO_PROMPTS

    assert chooses_among_masks(FakeModel(), prompts, tracked=tracked) == three


def test_tracked_frames_may_be_kept_to_the_single_mask():
    model = FakeModel()
    model.config.multimask_output_for_tracking = False

    assert not chooses_among_masks(model, NO_PROMPTS, tracked=True)
    assert chooses_among_masks(model, NO_PROMPTS, tracked=False)
