import torch

from sam2_hf.model.outputs import FrameMemory
from sam2_hf.processing.prompts import Click
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.memory_bank import MemoryBank
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.storage.record_store import RecordStore
from sam2_hf.video.tracked_object import QueuedPrompts, Snapshot, TrackedObject

HISTORY = RecordStore(ram_budget=1 << 20)
CLICKED = FramePrompts(clicks=(Click((1, 2)),))


def an_object(object_id=1):
    return TrackedObject(object_id, MemoryBank(object_id, HISTORY, "cpu"))


def memory(frame):
    return FrameMemory(frame, torch.ones(1, 1, 1, 1), torch.ones(1, 1), torch.ones(1, 1))


def output():
    return FrameOutput(torch.ones(1, 4, 4), torch.ones(1), torch.ones(1))


def test_everything_that_prompts_made_of_an_object_is_put_back():
    one = an_object()
    one.add(0, QueuedPrompts(CLICKED))
    one.update(0, output=output())
    one.bank.prompted[0] = memory(0)
    names = ("prompts", "queued", "outputs")
    before = [dict(getattr(one, name)) for name in names] + [dict(one.bank.prompted)]
    snapshot = Snapshot.of(one, 0, 5)

    one.add(0, QueuedPrompts(CLICKED.with_box((0, 0, 1, 1))))
    one.add(5, QueuedPrompts(CLICKED))
    one.update(0, output=None)
    one.bank.prompted.clear()
    snapshot.restore()

    assert [dict(getattr(one, name)) for name in names] + [dict(one.bank.prompted)] == before


def test_a_snapshot_can_be_put_back_twice():
    one = an_object()
    snapshot = Snapshot.of(one, 0, 5)

    for frame in (0, 1):
        snapshot.restore()
        one.add(frame, QueuedPrompts(CLICKED))
    snapshot.restore()

    assert one.prompts == {}


def test_what_was_tracked_since_outlives_a_snapshot_but_for_open_frames():
    one = an_object()
    one.add(0, QueuedPrompts(CLICKED))
    one.directions[5] = "forward"
    snapshot = Snapshot.of(one, 0, 5)

    one.directions.update({0: "forward", 5: "backward", 6: "forward"})
    snapshot.restore()

    assert one.directions == {5: "forward", 6: "forward"}


def test_a_frame_of_which_nothing_is_left_takes_no_room():
    one = an_object()
    one.add(3, QueuedPrompts(CLICKED))

    one.drop_queued(3)

    assert one.frames == {}


def test_queued_prompts_can_be_dropped_without_the_answer_that_was_consolidated():
    one = an_object()
    one.update(3, output=output())
    one.add(3, QueuedPrompts(CLICKED))

    one.drop_queued(3)

    assert (list(one.prompts), list(one.queued), list(one.outputs)) == ([3], [], [3])
