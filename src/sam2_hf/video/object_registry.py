"""Object registry of a session: tracked objects in order, their records, and undo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from sam2_hf.errors import NoPromptError, UnknownObjectError
from sam2_hf.video.storage.record_store import RecordStore

from .memory_bank import MemoryBank
from .prompts import read_object_ids
from .session_options import SessionOptions
from .tracked_object import Snapshot, TrackedObject

DEPTH = 100  # undo depth
REMOVED_KEPT = 8  # removed objects that can be restored; their masks and memories stay until then


@dataclass(frozen=True, slots=True)
class BytesHeld:
    """Bytes of a session's tensors and records.

    Attributes:
        device: Image features, recent and prompted memories.
        ram: Offloaded records and masks.
        disk: Spilled records.
    """

    device: int
    ram: int
    disk: int


class ObjectRegistry:
    """State of a session's objects, read and changed by the tracker.

    Args:
        options: Session options.
        store: Offloaded records; empty if None.

    Attributes:
        objects: Object id -> object, in order of creation; a live view.
        store: Offloaded records.
    """

    def __init__(self, options: SessionOptions, store: RecordStore | None = None) -> None:
        if store is None:
            store = RecordStore(ram_budget=options.ram_budget, folder=options.spill_folder)
        self.store = store
        self.use_options(options)
        self._objects: dict[int, TrackedObject] = {}
        self.objects: Mapping[int, TrackedObject] = self._objects
        self._undo = UndoStack()

    def known(self, object_id: int) -> TrackedObject:
        """Look an object up.

        Raises:
            UnknownObjectError: There is no such object.
        """
        if object_id not in self._objects:
            raise UnknownObjectError(object_id, self._objects)
        return self._objects[object_id]

    def get_or_add(self, object_id: int, device: torch.device | str) -> TrackedObject:
        """Return an object; a new one if the id is new.

        Args:
            object_id: Its id.
            device: Device for the memories of a new object.
        """
        if object_id not in self._objects:
            self.store.discard_object(object_id)  # of a removed object with this id
            self.add(object_id, device)
        return self._objects[object_id]

    def add(self, object_id: int, device: torch.device | str) -> TrackedObject:
        """Add an object, which may already have records in the store."""
        bank = MemoryBank(object_id, self.store, device)
        self._objects[object_id] = TrackedObject(object_id, bank)
        return self._objects[object_id]

    def begin_change(
        self, object_id: int, frame: int | None, device: torch.device | str
    ) -> TrackedObject:
        """Return an object, a new one if the id is new, and push its state for undo.

        Args:
            object_id: Its id.
            frame: The frame whose prompts are about to change; None for references.
            device: Device for the memories of a new object.
        """
        if object_id in self._objects:
            self.note(self._objects[object_id], frame)
            return self._objects[object_id]
        # the id of a removed object: its masks can no longer be restored
        self._undo.forget_object(object_id)
        obj = self.get_or_add(object_id, device)
        self._push(Snapshot.of(obj, None, frame))
        return obj

    def note(self, obj: TrackedObject, frame: int | None, *, is_removal: bool = False) -> None:
        """Push the state of an object before a change; see [`Snapshot`]."""
        place = list(self._objects).index(obj.object_id)
        self._push(Snapshot.of(obj, place, frame, is_removal=is_removal))

    def undo(self) -> TrackedObject | None:
        """Undo the last change; return its object, None if there is none."""
        snapshot = self._undo.pop()
        if snapshot is None:
            return None
        snapshot.restore()
        if snapshot.place is None:
            self._delete(snapshot.obj.object_id)
        else:
            self._restore(snapshot.obj, snapshot.place)
        return snapshot.obj

    def remove(self, obj: TrackedObject) -> None:
        """Remove an object; `undo` can restore it."""
        self.note(obj, None, is_removal=True)
        del self._objects[obj.object_id]
        obj.bank.offload()

    def reset(self) -> None:
        """Remove all objects for good."""
        for object_id in list(self._objects):
            self._delete(object_id)
        self.forget_changes()

    def forget_changes(self) -> None:
        """Clear the undo stack and drop removed objects."""
        for gone in self._undo.clear():
            self._drop_records(gone)

    def store_on(self, device: torch.device | str) -> None:
        """Set the device of memories; existing ones move when read."""
        for obj in self._objects.values():
            obj.bank.device = device

    def use_options(self, options: SessionOptions) -> None:
        """Set new options."""
        self._corrections_condition = options.add_all_frames_to_correct_as_cond

    def conditioning_frames(self, *object_ids: int) -> set[int]:
        """List the conditioning frames of some objects, by default of all."""
        objects = [self._objects[number] for number in object_ids or self._objects]
        return {
            frame
            for obj in objects
            for frame in obj.conditioning_frames(with_corrections=self._corrections_condition)
        }

    @property
    def has_references(self) -> bool:
        """Whether any object has references."""
        return any(obj.bank.references for obj in self._objects.values())

    def has_outputs_of(self, frame: int) -> bool:
        """Tell whether every object has an output on a frame, and nothing is queued."""
        objects = self._objects.values()
        return bool(objects) and all(
            obj.state(frame).output is not None and not obj.queued for obj in objects
        )

    def chosen(self, object_ids: object) -> list[TrackedObject]:
        """Look up several objects, all if None.

        Raises:
            PromptError: These are no ids.
            UnknownObjectError: There is no such object.
        """
        if object_ids is None:
            return list(self._objects.values())
        return [self.known(number) for number in read_object_ids(object_ids)]

    def require_prompts(self, objects: Sequence[TrackedObject] | None = None) -> set[int]:
        """Refuse to track objects, all if None, without prompts and references.

        Returns:
            Their frames with prompts; none if they only have references.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
        """
        listed = self._objects.values() if objects is None else objects
        asked = [obj.object_id for obj in listed]
        with_prompt = [
            number
            for number, obj in self._objects.items()
            if obj.bank.references or self.conditioning_frames(number)
        ]
        for number in asked:
            if number not in with_prompt:
                raise NoPromptError(number, with_prompt)
        if not asked:
            raise NoPromptError(None, with_prompt)
        return self.conditioning_frames(*asked)

    def release_inputs(self) -> None:
        """Release all inputs of tracking and removed objects; masklets stay."""
        for obj in self._objects.values():
            obj.release_inputs()
        self.forget_changes()

    def bytes_held(self, *, also_on_device: int) -> BytesHeld:
        """Count memory usage.

        Args:
            also_on_device: Bytes shared by objects, such as image features.
        """
        objects = self._objects.values()
        device = sum(obj.bank.device_bytes + obj.device_bytes for obj in objects)
        store = self.store
        return BytesHeld(device + also_on_device, store.bytes_in_ram, store.bytes_on_disk)

    def _push(self, snapshot: Snapshot) -> None:
        for gone in self._undo.push(snapshot):
            self._drop_records(gone)

    def _restore(self, obj: TrackedObject, place: int) -> None:
        """Restore a removed object at its former position."""
        if obj.object_id not in self._objects:
            objects = list(self._objects.items())
            objects.insert(place, (obj.object_id, obj))
            self._objects.clear()
            self._objects.update(objects)

    def _delete(self, object_id: int) -> None:
        """Drop an object and all its records."""
        self._objects.pop(object_id, None)
        self.store.discard_object(object_id)

    def _drop_records(self, obj: TrackedObject) -> None:
        """Drop the records of a removed object, unless its id is in use again."""
        if obj.object_id not in self._objects:
            self.store.discard_object(obj.object_id)


@dataclass(slots=True, eq=False)
class UndoStack:
    """The last changes, newest last."""

    _snapshots: list[Snapshot] = field(default_factory=list)

    def push(self, snapshot: Snapshot) -> list[TrackedObject]:
        """Push a snapshot; return the removed objects that can no longer be restored."""
        self._snapshots.append(snapshot)
        removals = [s for s in self._snapshots if s.is_removal]
        begin = max(0, len(self._snapshots) - DEPTH)
        if len(removals) > REMOVED_KEPT:
            begin = max(begin, self._snapshots.index(removals[-REMOVED_KEPT - 1]) + 1)
        dropped = self._snapshots[:begin]
        del self._snapshots[:begin]
        return [s.obj for s in dropped if s.is_removal]

    def pop(self) -> Snapshot | None:
        """Pop the last change; None if there is none."""
        return self._snapshots.pop() if self._snapshots else None

    def forget_object(self, object_id: int) -> None:
        """Drop the changes of an object whose id is reused."""
        self._snapshots = [s for s in self._snapshots if s.obj.object_id != object_id]

    def clear(self) -> list[TrackedObject]:
        """Drop everything; return the removed objects, which can no longer be restored."""
        removed = [s.obj for s in self._snapshots if s.is_removal]
        self._snapshots.clear()
        return removed
