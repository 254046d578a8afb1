import pytest

from sam2_hf.errors import UnknownObjectError
from sam2_hf.video.memory_bank import MemoryBank
from sam2_hf.video.object_registry import DEPTH, ObjectRegistry, UndoStack
from sam2_hf.video.prompts import FramePrompts
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.storage.record_store import RecordStore
from sam2_hf.video.tracked_object import QueuedPrompts, Snapshot, TrackedObject

HISTORY = RecordStore(ram_budget=1 << 20)


def an_object(object_id=1):
    return TrackedObject(object_id, MemoryBank(object_id, HISTORY, "cpu"))


def test_the_last_change_comes_off_first():
    stack, first, second = UndoStack(), an_object(1), an_object(2)
    stack.push(Snapshot.of(first, None, 0))
    stack.push(Snapshot.of(second, 0, 0))

    newest, oldest = stack.pop(), stack.pop()

    assert (newest.obj, newest.place) == (second, 0)
    assert (oldest.obj, oldest.place) == (first, None)
    assert stack.pop() is None


def test_the_oldest_changes_are_forgotten_when_there_are_too_many():
    stack = UndoStack()
    for number in range(DEPTH + 3):
        stack.push(Snapshot.of(an_object(number), 0, 0))

    kept = [stack.pop().obj.object_id for _ in range(DEPTH)]

    assert kept[-1] == 3
    assert stack.pop() is None


def test_changes_of_one_object_can_be_forgotten():
    stack = UndoStack()
    for number in (1, 2, 1):
        stack.push(Snapshot.of(an_object(number), 0, 0))

    stack.forget_object(1)

    assert stack.pop().obj.object_id == 2
    assert stack.pop() is None


def test_a_cleared_stack_undoes_nothing():
    stack = UndoStack()
    stack.push(Snapshot.of(an_object(), 0, 0))

    stack.clear()

    assert stack.pop() is None


def a_registry(*object_ids):
    registry = ObjectRegistry(SessionOptions())
    for number in object_ids:
        registry.begin_change(number, 0, "cpu")
    return registry


def test_an_unknown_object_is_named_with_those_that_there_are():
    with pytest.raises(UnknownObjectError, match=r"object 3.*1, 2"):
        a_registry(1, 2).known(3)


def test_a_removed_object_comes_back_at_its_place():
    registry = a_registry(5, 6, 7)
    registry.remove(registry.known(6))
    assert list(registry.objects) == [5, 7]

    registry.undo()

    assert list(registry.objects) == [5, 6, 7]


def test_undoing_the_first_change_of_an_object_removes_it():
    registry = a_registry(5, 6)

    assert registry.undo().object_id == 6
    assert list(registry.objects) == [5]


def test_a_reset_leaves_nothing_to_undo():
    registry = a_registry(5, 6)

    registry.reset()

    assert registry.undo() is None
    assert not registry.objects


def test_a_corrected_frame_conditions_only_where_the_options_say_so():
    kinds = {}
    for condition in (False, True):
        options = SessionOptions(add_all_frames_to_correct_as_cond=condition)
        registry = ObjectRegistry(options)
        one = registry.get_or_add(1, "cpu")
        one.add(3, QueuedPrompts(FramePrompts(), direction="forward"))
        one.add(5, QueuedPrompts(FramePrompts()))
        kinds[condition] = registry.conditioning_frames()

    assert kinds == {False: {5}, True: {3, 5}}
