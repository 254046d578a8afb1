"""Undo: what an object was like before each verb that changed its prompts."""

from dataclasses import dataclass, field

from torch import Tensor

from sam2_hf.model.frame_memory import FrameMemory

from .frame_result import FrameOutput
from .memory_selection import Direction
from .object_prompts import FramePrompts
from .tracked_object import Round, TrackedObject

DEPTH = 100  # verbs that can be undone
REMOVED_KEPT = 8  # removed objects that can come back; their masks and memories stay until then


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What prompts had made of an object, and what was tracked on the frame they were about.

    Attributes:
        one: The object itself.
        place: Which of the session's objects it was; None if it was none.
        frame: The frame that the verb is about; None if it is about all.
    """

    one: TrackedObject
    place: int | None
    frame: int | None
    prompts: dict[int, FramePrompts]
    rounds: dict[int, tuple[Round, ...]]
    outputs: dict[int, FrameOutput]
    prompted: dict[int, FrameMemory]
    directions: dict[int, Direction | None]
    tracked: dict[int, dict[str, Tensor] | None]

    @classmethod
    def of(cls, one: TrackedObject, place: int | None, frame: int | None) -> "Snapshot":
        """Note the state of an object; only dicts are copied, since what they hold does not change.

        Rounds are shared, so that an answer that comes later is known to both.
        """
        open_frames = {*one.rounds, *(() if frame is None else (frame,))}
        return cls(
            one,
            place,
            frame,
            dict(one.prompts),
            dict(one.rounds),
            dict(one.outputs),
            dict(one.bank.prompted),
            {number: one.directions.get(number) for number in open_frames},
            {number: one.bank.record(number) for number in open_frames},
        )

    def restore(self) -> None:
        """Put the object back into this state."""
        one = self.one
        one.prompts, one.rounds = dict(self.prompts), dict(self.rounds)
        one.outputs, one.bank.prompted = dict(self.outputs), dict(self.prompted)
        for frame, direction in self.directions.items():
            if direction is None:
                one.directions.pop(frame, None)
            else:
                one.directions[frame] = direction
        for frame, record in self.tracked.items():
            one.bank.put_back(frame, record)

    @property
    def is_removal(self) -> bool:
        """Whether the verb removed the object."""
        return self.place is not None and self.frame is None


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
        """Drop the changes of an object whose number somebody else takes."""
        self._snapshots = [s for s in self._snapshots if s.one.object_id != object_id]

    def clear(self) -> list[TrackedObject]:
        """Drop everything; return the removed objects, which cannot come back."""
        removed = [one.one for one in self._snapshots if one.is_removal]
        self._snapshots.clear()
        return removed
