"""Undo: what an object was like before each verb that changed its prompts."""

from dataclasses import dataclass, field

from sam2_hf.model.frame_memory import FrameMemory

from .frame_result import FrameOutput
from .object_prompts import FramePrompts
from .tracked_object import PromptedOutput, TrackedObject

DEPTH = 100  # verbs that can be undone


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """What prompts had made of an object; what was tracked is not part of it.

    Attributes:
        one: The object itself.
        existed: Whether it was one of the session's.
    """

    one: TrackedObject
    existed: bool
    prompts: dict[int, FramePrompts]
    rounds: dict[int, tuple[FramePrompts, ...]]
    pending: dict[int, PromptedOutput]
    outputs: dict[int, FrameOutput]
    prompted: dict[int, FrameMemory]

    @classmethod
    def of(cls, one: TrackedObject, *, existed: bool) -> "Snapshot":
        """Note the state of an object; everything in it is immutable, so only dicts are copied."""
        return cls(
            one,
            existed,
            dict(one.prompts),
            dict(one.rounds),
            dict(one.pending),
            dict(one.outputs),
            dict(one.bank.prompted),
        )

    def restore(self) -> None:
        """Put the object back into this state."""
        one = self.one
        one.prompts, one.rounds = dict(self.prompts), dict(self.rounds)
        one.pending, one.outputs = dict(self.pending), dict(self.outputs)
        one.bank.prompted = dict(self.prompted)


@dataclass(slots=True, eq=False)
class UndoStack:
    """The last changes, newest last."""

    _snapshots: list[Snapshot] = field(default_factory=list)

    def push(self, one: TrackedObject, *, existed: bool) -> None:
        """Note an object before it is changed."""
        self._snapshots.append(Snapshot.of(one, existed=existed))
        del self._snapshots[:-DEPTH]

    def pop(self) -> Snapshot | None:
        """Take the last change off; None if there is none."""
        return self._snapshots.pop() if self._snapshots else None

    def forget_object(self, object_id: int) -> None:
        """Drop the changes of an object whose number somebody else takes."""
        self._snapshots = [s for s in self._snapshots if s.one.object_id != object_id]

    def clear(self) -> None:
        """Drop everything."""
        self._snapshots.clear()
