"""One tracked object: its prompts frame by frame, memories and masklet; a snapshot for undo."""

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch.nn import functional

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
        full_logits_11hw: A given mask at input size; None if there is none, or if memory is to see
            masks as they come back from a quarter of that size.
    """

    answer: FrameOutput
    pointer_1d: Tensor
    full_logits_11hw: Tensor | None

    def logits_for_memory(self, image_size: int) -> Tensor:
        """Return the mask logits that the memory encoder sees, `(1, 1, image_size, image_size)`.

        Args:
            image_size: Rows and columns of the model's input.
        """
        if self.full_logits_11hw is not None:
            return self.full_logits_11hw
        size = (image_size, image_size)
        return functional.interpolate(self.answer.logits_1hw[None], size, mode="bilinear")


@dataclass(slots=True, eq=False)
class QueuedPrompts:
    """The prompts of a frame after one call, and everything that their decoding reads.

    What is read is kept from the time of the call, so the answer is that of decoding at once,
    whenever it is asked for and whatever has happened to the memory bank in between. An undo and
    the object share these, so each is decoded once.

    Attributes:
        prompts: All prompts of the frame.
        direction: Which way time ran when the frame had been tracked; None for an initial
            conditioning frame, which reads no memory.
        memory_inputs: Memories to attend to; None if there are none.
        previous_output: Mask to start from, if no call is queued before this one.
        answer: What the decoder said; None until it is needed.
        stands_alone: Whether the answer was made from frame and prompts alone.
    """

    prompts: FramePrompts
    direction: Direction | None = None
    memory_inputs: MemoryInputs | None = None
    previous_output: FrameOutput | None = None
    answer: PromptedOutput | None = None
    stands_alone: bool = False

    def set_answer(self, answer: PromptedOutput, previous_output: FrameOutput | None) -> None:
        """Take the answer, and release what it was made from.

        Args:
            answer: The answer.
            previous_output: The mask it was started from; None if there was none.
        """
        self.answer = answer
        self.stands_alone = self.memory_inputs is None and previous_output is None
        self.memory_inputs = self.previous_output = None

    def reopen(self) -> None:
        """Have it answered again, if all that takes is still there."""
        if self.stands_alone:
            self.answer = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameState:
    """What was said about an object on a frame, and what has come of it; never changed in place.

    Attributes:
        prompts: All prompts of the frame; None if there are none, as of an output that was stored
            by transformers' names.
        queued: Calls that are not consolidated yet, oldest first; of those with an answer only the
            last is kept.
        output: The answer that was consolidated, which makes it a conditioning frame.
    """

    prompts: FramePrompts | None = None
    queued: tuple[QueuedPrompts, ...] = ()
    output: FrameOutput | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known."""
        return self.prompts is None and not self.queued and self.output is None


UNPROMPTED = FrameState()


@dataclass(slots=True, eq=False)
class TrackedObject:
    """State of one object; the session's tracker changes it, nothing else does.

    Attributes:
        object_id: The user's number.
        bank: Its memories.
        frames: Frame -> state, of every frame that has prompts or an output of its own.
        directions: Frame -> which way time ran when it was tracked last.
        masklet: Its masks so far; None before the first.
    """

    object_id: int
    bank: MemoryBank
    frames: dict[int, FrameState] = field(default_factory=dict)
    directions: dict[int, Direction] = field(default_factory=dict)
    masklet: MaskletStore | None = None

    def state(self, frame: int) -> FrameState:
        """Look up what was said about a frame; an empty state if nothing was."""
        return self.frames.get(frame, UNPROMPTED)

    def update(self, frame: int, **changes: Any) -> None:
        """Replace fields of a frame's state."""
        state = replace(self.state(frame), **changes)
        if state.is_empty:
            self.frames.pop(frame, None)
        else:
            self.frames[frame] = state

    @property
    def prompts(self) -> dict[int, FramePrompts]:
        """Frame -> all prompts there, a copy."""
        states = self.frames.items()
        return {frame: state.prompts for frame, state in states if state.prompts is not None}

    @property
    def queued(self) -> dict[int, tuple[QueuedPrompts, ...]]:
        """Frame -> calls that are not consolidated yet, a copy."""
        return {frame: state.queued for frame, state in self.frames.items() if state.queued}

    @property
    def outputs(self) -> dict[int, FrameOutput]:
        """Conditioning frame -> answer, a copy."""
        states = self.frames.items()
        return {frame: state.output for frame, state in states if state.output is not None}

    def add(self, frame: int, queued: QueuedPrompts) -> None:
        """Queue one more call about a frame."""
        before = self.state(frame).queued
        self.update(frame, prompts=queued.prompts, queued=(*before, queued))

    def last_output(self, frame: int) -> FrameOutput | None:
        """Return the newest answer on a frame; None if there is none."""
        for queued in reversed(self.state(frame).queued):
            if queued.answer is not None:
                return queued.answer.answer
        return self.remembered_output(frame)

    def remembered_output(self, frame: int) -> FrameOutput | None:
        """Return the answer on a conditioning or tracked frame; None if there is none."""
        return self.state(frame).output or self.bank.output(frame)

    def clear(self, frame: int) -> None:
        """Take back the prompts of a frame; a conditioning frame counts as tracked from now on.

        Source: sam2/sam2_video_predictor.py:634-655 @ 2b90b9f.
        """
        state = self.frames.pop(frame, UNPROMPTED)
        if state.output is not None:
            self.directions.pop(frame, None)
            self.bank.demote(frame, state.output)

    def withdraw(self) -> None:
        """Leave prompts unanswered that are not consolidated yet; they stay known."""
        for frame in self.queued:
            self.update(frame, queued=())

    def drop_queued(self, frame: int) -> None:
        """Drop the calls about a frame that are not consolidated yet."""
        state = self.state(frame)
        prompts = None if state.output is None else state.prompts
        self.update(frame, prompts=prompts, queued=())

    def release_inputs(self) -> None:
        """Release everything that tracking reads; masklet and prompts stay."""
        self.bank.clear()
        for frame in list(self.frames):
            self.update(frame, queued=(), output=None)

    def conditioning_frames(self, *, with_corrections: bool) -> set[int]:
        """List the frames that the object is tracked from, those included that will be soon.

        Args:
            with_corrections: Whether a corrected frame becomes one of them.
        """
        return {
            frame
            for frame, state in self.frames.items()
            if state.output is not None
            or (state.queued and (with_corrections or state.queued[-1].direction is None))
        }

    @property
    def device_bytes(self) -> int:
        """Bytes of the answers to prompts."""
        answered = [one.answer for calls in self.queued.values() for one in calls if one.answer]
        outputs = [*self.outputs.values(), *(one.answer for one in answered)]
        tensors = [t for one in outputs for t in (one.logits_1hw, one.iou_1, one.score_1)]
        for one in answered:
            tensors.append(one.pointer_1d)
            if one.full_logits_11hw is not None:
                tensors.append(one.full_logits_11hw)
        return sum(tensor.nbytes for tensor in tensors)

    def trim_to_window(self, frame: int, reach: int) -> None:
        """Drop what was tracked `reach` frames and more from a frame; prompted frames stay."""
        masks = () if self.masklet is None else self.masklet.masklet.frames
        kept = {*self.directions, *self.bank.tracked, *masks}
        for far in [far for far in kept if abs(far - frame) >= reach]:
            if self.state(far).prompts is not None:
                continue
            self.directions.pop(far, None)
            self.bank.forget(far)
            if self.masklet is not None:
                self.masklet.discard(far)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An object before a method of the session changed its prompts.

    What tracking writes is noted of the frames only whose prompts can change what was tracked
    there; on all others it outlives an undo.

    Attributes:
        one: The object itself.
        place: Which of the session's objects it was; None if it was none.
        frame: The frame that the change is about; None if it is about all.
        frames: Copy of the object's states.
        prompted: Copy of its memories of conditioning frames.
        directions: Frame -> direction it was tracked in, of frames whose prompts are open.
        tracked: Frame -> memory of it as a tracked one, of the same frames.
    """

    one: TrackedObject
    place: int | None
    frame: int | None
    frames: dict[int, FrameState]
    prompted: dict[int, FrameMemory]
    directions: dict[int, Direction | None]
    tracked: dict[int, dict[str, Tensor] | None]

    @classmethod
    def of(cls, one: TrackedObject, place: int | None, frame: int | None) -> "Snapshot":
        """Note an object; only dicts are copied, since what they hold does not change.

        Queued prompts are shared, so that an answer that comes later is known to both.
        """
        open_frames = {*one.queued, *(() if frame is None else (frame,))}
        return cls(
            one,
            place,
            frame,
            dict(one.frames),
            dict(one.bank.prompted),
            {number: one.directions.get(number) for number in open_frames},
            {number: one.bank.record(number) for number in open_frames},
        )

    def restore(self) -> None:
        """Put the object back into this state."""
        one = self.one
        one.frames, one.bank.prompted = dict(self.frames), dict(self.prompted)
        for frame, direction in self.directions.items():
            if direction is None:
                one.directions.pop(frame, None)
            else:
                one.directions[frame] = direction
        for frame, record in self.tracked.items():
            one.bank.put_back(frame, record)

    @property
    def is_removal(self) -> bool:
        """Whether the change removed the object."""
        return self.place is not None and self.frame is None
