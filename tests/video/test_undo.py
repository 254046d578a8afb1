import torch

from sam2_hf.model.outputs import FrameMemory
from sam2_hf.processing.prompts import Click
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.memory_bank import MemoryBank
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.storage.record_store import RecordStore
from sam2_hf.video.tracked_object import DEPTH, Round, Snapshot, TrackedObject, UndoStack

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
    one.add(0, Round(CLICKED))
    one.outputs[0] = output()
    one.bank.prompted[0] = memory(0)
    names = ("prompts", "rounds", "outputs")
    before = [dict(getattr(one, name)) for name in names] + [dict(one.bank.prompted)]
    snapshot = Snapshot.of(one, 0, 5)

    one.add(0, Round(CLICKED.with_box((0, 0, 1, 1))))
    one.add(5, Round(CLICKED))
    one.outputs.clear()
    one.bank.prompted.clear()
    snapshot.restore()

    assert [dict(getattr(one, name)) for name in names] + [dict(one.bank.prompted)] == before


def test_a_snapshot_can_be_put_back_twice():
    one = an_object()
    snapshot = Snapshot.of(one, 0, 5)

    for frame in (0, 1):
        snapshot.restore()
        one.add(frame, Round(CLICKED))
    snapshot.restore()

    assert one.prompts == {}


def test_the_last_change_comes_off_first():
    stack, first, second = UndoStack(), an_object(1), an_object(2)
    stack.push(Snapshot.of(first, None, 0))
    stack.push(Snapshot.of(second, 0, 0))

    newest, oldest = stack.pop(), stack.pop()

    assert (newest.one, newest.place) == (second, 0)
    assert (oldest.one, oldest.place) == (first, None)
    assert stack.pop() is None


def test_the_oldest_changes_are_forgotten_when_there_are_too_many():
    stack = UndoStack()
    for number in range(DEPTH + 3):
        stack.push(Snapshot.of(an_object(number), 0, 0))

    kept = [stack.pop().one.object_id for _ in range(DEPTH)]

    assert kept[-1] == 3
    assert stack.pop() is None


def test_changes_of_one_object_can_be_forgotten():
    stack = UndoStack()
    for number in (1, 2, 1):
        stack.push(Snapshot.of(an_object(number), 0, 0))

    stack.forget_object(1)

    assert stack.pop().one.object_id == 2
    assert stack.pop() is None


def test_a_cleared_stack_undoes_nothing():
    stack = UndoStack()
    stack.push(Snapshot.of(an_object(), 0, 0))

    stack.clear()

    assert stack.pop() is None
