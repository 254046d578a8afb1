"""One object of a session: what was said about it, what is remembered, what came out.

Undo: what an object was like before each verb that changed its prompts.
"""

from dataclasses import dataclass, field

from torch import Tensor

from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.outputs import FrameMemory

from .frame_result import FrameOutput
from .masklet import MaskletStore
from .memory_bank import MemoryBank
from .memory_policy import Direction
from .prompts import FramePrompts


@dataclass(frozen=True, slots=True, eq=False)
class PromptedOutput:
    """The decoder's answer to the prompts of a frame, before it is remembered.

    Attributes:
        answer: Mask and scores.
        pointer_1d: Object pointer.
        full_logits_11hw: A given mask at input size; None if there is none.
    """

    answer: FrameOutput
    pointer_1d: Tensor
    full_logits_11hw: Tensor | None


@dataclass(slots=True, eq=False)
class Round:
    """The prompts of a frame after one call, and everything their decoding reads.

    What is read is taken down at the call, so the answer is that of decoding at once, whenever it
    is asked for and whatever has happened to the memory bank in between. An undo and the object
    share their rounds, so each is decoded once.

    Attributes:
        prompts: All prompts of the frame.
        direction: Which way time ran when the frame had been tracked; None for an initial
            conditioning frame, which reads no memory.
        recollection: Memories to look back on; None if there are none.
        earlier: Mask to start from, if no round came before this one.
        answer: What the decoder said; None until it is needed.
        stands_alone: Whether the answer was made from frame and prompts alone.
    """

    prompts: FramePrompts
    direction: Direction | None = None
    recollection: MemoryInputs | None = None
    earlier: FrameOutput | None = None
    answer: PromptedOutput | None = None
    stands_alone: bool = False

    def settle(self, answer: PromptedOutput, earlier: FrameOutput | None) -> None:
        """Take the answer, and let go of what it was made from.

        Args:
            answer: The answer.
            earlier: The mask it was started from; None if there was none.
        """
        self.answer = answer
        self.stands_alone = self.recollection is None and earlier is None
        self.recollection = self.earlier = None

    def reopen(self) -> None:
        """Have it answered again, if all that takes is still there."""
        if self.stands_alone:
            self.answer = None


@dataclass(slots=True, eq=False)
class TrackedObject:
    """State of one object; the session's tracker changes it, nothing else does.

    Attributes:
        object_id: The user's number.
        bank: Its memories.
        prompts: Frame -> all prompts there.
        rounds: Frame -> calls that are not remembered yet, oldest first; of those with an answer
            only the last is kept.
        outputs: Frame -> answer on a remembered prompted frame.
        directions: Frame -> which way time ran when it was tracked last.
        masklet: Its masks so far; None before the first.
    """

    object_id: int
    bank: MemoryBank
    prompts: dict[int, FramePrompts] = field(default_factory=dict)
    rounds: dict[int, tuple[Round, ...]] = field(default_factory=dict)
    outputs: dict[int, FrameOutput] = field(default_factory=dict)
    directions: dict[int, Direction] = field(default_factory=dict)
    masklet: MaskletStore | None = None

    def add(self, frame: int, round_: Round) -> None:
        """Note one more call about a frame."""
        self.prompts[frame] = round_.prompts
        self.rounds[frame] = (*self.rounds.get(frame, ()), round_)

    def last_output(self, frame: int) -> FrameOutput | None:
        """Return the newest answer on a frame; None if there is none."""
        for one in reversed(self.rounds.get(frame, ())):
            if one.answer is not None:
                return one.answer.answer
        return self.remembered_output(frame)

    def remembered_output(self, frame: int) -> FrameOutput | None:
        """Return the answer on a frame that is remembered or tracked; None if there is none."""
        return self.outputs.get(frame) or self.bank.output(frame)

    def clear(self, frame: int) -> None:
        """Take back the prompts of a frame; a remembered one counts as tracked from now on.

        Source: sam2/sam2_video_predictor.py:634-655 @ 2b90b9f.
        """
        self.prompts.pop(frame, None)
        self.rounds.pop(frame, None)
        if frame in self.outputs:
            self.directions.pop(frame, None)
            self.bank.demote(frame, self.outputs.pop(frame))

    def withdraw(self) -> None:
        """Leave prompts unanswered that are not remembered yet; they stay known."""
        self.rounds.clear()

    def drop_rounds(self, frame: int) -> None:
        """Drop the calls about a frame that are not remembered yet."""
        self.rounds.pop(frame, None)
        if frame not in self.outputs:
            self.prompts.pop(frame, None)

    def conditioning_frames(self, *, with_corrections: bool) -> set[int]:
        """List the frames that the object is tracked from, those included that will be soon.

        Args:
            with_corrections: Whether a corrected frame becomes one of them.
        """
        soon = {
            frame
            for frame, rounds in self.rounds.items()
            if with_corrections or rounds[-1].direction is None
        }
        return {*self.outputs, *soon}

    @property
    def device_bytes(self) -> int:
        """Bytes of the answers to prompts."""
        answered = [one.answer for rounds in self.rounds.values() for one in rounds if one.answer]
        outputs = [*self.outputs.values(), *(one.answer for one in answered)]
        tensors = [t for one in outputs for t in (one.logits_1hw, one.iou_1, one.score_1)]
        for one in answered:
            tensors.append(one.pointer_1d)
            if one.full_logits_11hw is not None:
                tensors.append(one.full_logits_11hw)
        return sum(tensor.nbytes for tensor in tensors)

    def trim_to_window(self, frame: int, reach: int) -> None:
        """Forget what was tracked `reach` frames and more from a frame; prompted frames stay."""
        masks = () if self.masklet is None else self.masklet.masklet.frames
        kept = {*self.directions, *self.bank.tracked, *masks}
        for far in [f for f in kept if abs(f - frame) >= reach and f not in self.prompts]:
            self.directions.pop(far, None)
            self.bank.forget(far)
            if self.masklet is not None:
                self.masklet.discard(far)


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
