import torch

from sam2_hf.model.outputs import FrameMemory
from sam2_hf.processing.prompts import Click
from sam2_hf.video.frame_result import FrameOutput
from sam2_hf.video.memory_bank import MemoryBank
from sam2_hf.video.object_registry import DEPTH, UndoStack
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.storage.record_store import RecordStore
from sam2_hf.video.tracked_object import Snapshot, TrackedObject

HISTORY = RecordStore(ram_budget=1 << 20)
CLICKED = FramePrompts(clicks=(Click((1, 2)),))


def an_object(object_id=1):
    return TrackedObject(object_id, MemoryBank(object_id, HISTORY, "cpu"))


def memory(frame):
    return FrameMemory(frame, torch.ones(1, 1, 1, 1), torch.ones(1, 1), torch.ones(1, 1))


def output():
    return FrameOutput(torch.ones(1, 4, 4), torch.ones(1), torch.ones(1))


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
