"""The tracked objects of a session, in order, with what is kept of them and what can be undone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from sam2_hf.errors import NoPromptError, UnknownObjectError
from sam2_hf.video.storage.record_store import RecordStore

from .memory_bank import MemoryBank
from .session_options import SessionOptions
from .tracked_object import Snapshot, TrackedObject

DEPTH = 100  # changes that can be undone
REMOVED_KEPT = 8  # removed objects that can come back; their masks and memories stay until then


@dataclass(frozen=True, slots=True)
class BytesHeld:
    """Bytes of a session's tensors and records.

    Attributes:
        device: What the model can still read: image features, recent and prompted memories.
        ram: What has left the device, masks included.
        disk: What has left the RAM.
    """

    device: int
    ram: int
    disk: int


class ObjectRegistry:
    """State of the objects of a session; the tracker's steps read and change it.

    Args:
        options: How to track.
        store: What has left the device already; nothing if None.

    Attributes:
        objects: Object id -> object, in the order in which they came; changes with the session.
        store: What has left the device.
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
            object_id: Its number.
            device: Where a new one stores its memories.
        """
        if object_id not in self._objects:
            self.store.discard_object(object_id)  # of a removed object of that number
            self.add(object_id, device)
        return self._objects[object_id]

    def add(self, object_id: int, device: torch.device | str) -> TrackedObject:
        """Add an object, to which records in the store may belong already."""
        bank = MemoryBank(object_id, self.store, device)
        self._objects[object_id] = TrackedObject(object_id, bank)
        return self._objects[object_id]

    def begin_change(self, object_id: int, frame: int, device: torch.device | str) -> TrackedObject:
        """Return an object, a new one if the id is new, and note what it was like.

        Args:
            object_id: Its number.
            frame: The frame whose prompts are about to change.
            device: Where a new one stores its memories.
        """
        if object_id in self._objects:
            self.note(self._objects[object_id], frame)
            return self._objects[object_id]
        # the number of a removed object: its masks cannot come back any more
        self._undo.forget_object(object_id)
        one = self.get_or_add(object_id, device)
        self._push(Snapshot.of(one, None, frame))
        return one

    def note(self, one: TrackedObject, frame: int | None) -> None:
        """Note what an object is like before it is changed; see [`Snapshot`]."""
        place = list(self._objects).index(one.object_id)
        self._push(Snapshot.of(one, place, frame))

    def undo(self) -> TrackedObject | None:
        """Take the last change back; return whose it was, None if there is none."""
        snapshot = self._undo.pop()
        if snapshot is None:
            return None
        snapshot.restore()
        if snapshot.place is None:
            self._delete(snapshot.one.object_id)
        else:
            self._restore(snapshot.one, snapshot.place)
        return snapshot.one

    def remove(self, one: TrackedObject) -> None:
        """Remove an object; it can come back by `undo`."""
        self.note(one, None)
        del self._objects[one.object_id]
        one.bank.offload()

    def reset(self) -> None:
        """Remove all objects for good."""
        for object_id in list(self._objects):
            self._delete(object_id)
        self.forget_changes()

    def forget_changes(self) -> None:
        """Drop what could be undone, and the removed objects with it."""
        for gone in self._undo.clear():
            self._drop_records(gone)

    def store_on(self, device: torch.device | str) -> None:
        """Store memories elsewhere from now on; those that are stored move when they are read."""
        for one in self._objects.values():
            one.bank.device = device

    def use_options(self, options: SessionOptions) -> None:
        """Follow other options from now on."""
        self._corrections_condition = options.add_all_frames_to_correct_as_cond

    def conditioning_frames(self, *object_ids: int) -> set[int]:
        """List the frames that objects are tracked from, of all of them if none is named."""
        objects = [self._objects[number] for number in object_ids or self._objects]
        return {
            frame
            for one in objects
            for frame in one.conditioning_frames(with_corrections=self._corrections_condition)
        }

    def has_outputs_of(self, frame: int) -> bool:
        """Tell whether every object has its answer on a frame, and nothing is queued."""
        objects = self._objects.values()
        return bool(objects) and all(
            one.state(frame).output is not None and not one.queued for one in objects
        )

    def require_prompts(self) -> None:
        """Refuse to track what has no prompt.

        Raises:
            NoPromptError: There is no object, or one of them has no prompt.
        """
        with_prompt = [number for number in self._objects if self.conditioning_frames(number)]
        for number in self._objects:
            if number not in with_prompt:
                raise NoPromptError(number, with_prompt)
        if not self._objects:
            raise NoPromptError(None, ())

    def release_inputs(self) -> None:
        """Release everything that tracking reads, and removed objects; masklets stay."""
        for one in self._objects.values():
            one.release_inputs()
        self.forget_changes()

    def bytes_held(self, *, also_on_device: int) -> BytesHeld:
        """Count what is held.

        Args:
            also_on_device: Bytes of what the objects share, as image features.
        """
        objects = self._objects.values()
        device = sum(one.bank.device_bytes + one.device_bytes for one in objects)
        store = self.store
        return BytesHeld(device + also_on_device, store.bytes_in_ram, store.bytes_on_disk)

    def _push(self, snapshot: Snapshot) -> None:
        for gone in self._undo.push(snapshot):
            self._drop_records(gone)

    def _restore(self, one: TrackedObject, place: int) -> None:
        """Count an object in again that was removed, at the place it had."""
        if one.object_id not in self._objects:
            objects = list(self._objects.items())
            objects.insert(place, (one.object_id, one))
            self._objects.clear()
            self._objects.update(objects)

    def _delete(self, object_id: int) -> None:
        """Drop an object and everything that is kept of it."""
        self._objects.pop(object_id, None)
        self.store.discard_object(object_id)

    def _drop_records(self, one: TrackedObject) -> None:
        """Drop what is kept of a removed object, unless its number is another one's by now."""
        if one.object_id not in self._objects:
            self.store.discard_object(one.object_id)


@dataclass(slots=True, eq=False)
class UndoStack:
    """The last changes, newest last."""

    _snapshots: list[Snapshot] = field(default_factory=list)

    def push(self, snapshot: Snapshot) -> list[TrackedObject]:
        """Note an object before it is changed; return the removed ones that cannot come back."""
        self._snapshots.append(snapshot)
        removals = [one for one in self._snapshots if one.is_removal]
        begin = max(0, len(self._snapshots) - DEPTH)
        if len(removals) > REMOVED_KEPT:
            begin = max(begin, self._snapshots.index(removals[-REMOVED_KEPT - 1]) + 1)
        dropped = self._snapshots[:begin]
        del self._snapshots[:begin]
        return [one.one for one in dropped if one.is_removal]

    def pop(self) -> Snapshot | None:
        """Take the last change off; None if there is none."""
        return self._snapshots.pop() if self._snapshots else None

    def forget_object(self, object_id: int) -> None:
        """Drop the changes of an object whose number a new one takes."""
        self._snapshots = [s for s in self._snapshots if s.one.object_id != object_id]

    def clear(self) -> list[TrackedObject]:
        """Drop everything; return the removed objects, which cannot come back."""
        removed = [one.one for one in self._snapshots if one.is_removal]
        self._snapshots.clear()
        return removed
