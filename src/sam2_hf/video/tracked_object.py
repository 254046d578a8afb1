"""Tracked objects: prompts by frame, memories and masklet; snapshots for undo."""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import FrameError
from sam2_hf.frames.base import Frames
from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.outputs import FrameMemory, ObjectMasks
from sam2_hf.video.policies.memory_policy import (
    LOOK_BACK,
    Direction,
    TrackingStep,
    pointer_frames,
)

from .frame_result import FrameOutput, split_by_object
from .masklet import MaskletStore
from .memory_bank import MemoryBank, Records
from .prompts import FramePrompts
from .session_options import SessionOptions


@dataclass(frozen=True, slots=True, eq=False)
class PromptedOutput:
    """Decoder output for the prompts of a frame, before it is consolidated.

    Attributes:
        answer: Mask and scores.
        pointer_1d: Object pointer.
        full_logits_11hw: A given mask at input size; None if there is none, or if memories encode
            low-resolution masks.
    """

    answer: FrameOutput
    pointer_1d: Tensor
    full_logits_11hw: Tensor | None

    @classmethod
    def of(cls, masks: ObjectMasks, options: SessionOptions) -> "PromptedOutput":
        """Take the decoder's output for one object."""
        keeps_full = options.mask_prompts_at_full_resolution
        return cls(
            split_by_object(masks, options.fill_hole_area)[0],
            masks.pointer_bd,
            masks.full_logits_b1hw if keeps_full else None,
        )

    def logits_for_memory(self, image_size: int) -> Tensor:
        """Return the mask logits for the memory encoder, `(1, 1, image_size, image_size)`.

        Args:
            image_size: Rows and columns of the model's input.
        """
        if self.full_logits_11hw is not None:
            return self.full_logits_11hw
        size = (image_size, image_size)
        return functional.interpolate(self.answer.logits_1hw[None], size, mode="bilinear")


@dataclass(slots=True, eq=False)
class QueuedPrompts:
    """Prompts of a frame after one call, and all inputs of their decoding.

    The inputs are those at the time of the call, so that later decoding gives the same answer,
    regardless of changes to the memory bank. Undo snapshots share these objects, so each is decoded
    once.

    Attributes:
        prompts: All prompts of the frame.
        direction: Direction in which the frame was tracked; None for an initial conditioning frame,
            which reads no memory.
        memory_inputs: Memories to attend to; None if there are none.
        previous_output: Mask to start from, if this is the first queued call.
        answer: Decoder output; None until needed.
        stands_alone: Whether the answer was made from frame and prompts alone.
    """

    prompts: FramePrompts
    direction: Direction | None = None
    memory_inputs: MemoryInputs | None = None
    previous_output: FrameOutput | None = None
    answer: PromptedOutput | None = None
    stands_alone: bool = False

    def set_answer(self, answer: PromptedOutput, previous_output: FrameOutput | None) -> None:
        """Set the answer and release its inputs.

        Args:
            answer: The answer.
            previous_output: The mask it started from; None if there was none.
        """
        self.answer = answer
        self.stands_alone = self.memory_inputs is None and previous_output is None
        self.memory_inputs = self.previous_output = None

    def reopen(self) -> None:
        """Discard the answer to decode again, if the inputs are still available."""
        if self.stands_alone:
            self.answer = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameState:
    """Prompts and output of an object on a frame; immutable.

    Attributes:
        prompts: All prompts of the frame; None if there are none, as for an output stored through
            transformers' API.
        queued: Calls that are not consolidated yet, oldest first; of answered ones only the last is
            kept.
        output: Consolidated output, which makes it a conditioning frame.
    """

    prompts: FramePrompts | None = None
    queued: tuple[QueuedPrompts, ...] = ()
    output: FrameOutput | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing."""
        return self.prompts is None and not self.queued and self.output is None


UNPROMPTED = FrameState()


@dataclass(slots=True, eq=False)
class TrackedObject:
    """State of one object, changed only by the session's tracker.

    Attributes:
        object_id: The object's id.
        bank: Its memories.
        frames: Frame -> state, of every frame with prompts or a consolidated output.
        directions: Frame -> direction in which it was last tracked.
        masklet: Its masks so far; None before the first.
    """

    object_id: int
    bank: MemoryBank
    frames: dict[int, FrameState] = field(default_factory=dict)
    directions: dict[int, Direction] = field(default_factory=dict)
    masklet: MaskletStore | None = None

    def state(self, frame: int) -> FrameState:
        """Look up the state of a frame; empty if there is none."""
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
        """Frame -> prompts, a copy."""
        states = self.frames.items()
        return {frame: state.prompts for frame, state in states if state.prompts is not None}

    @property
    def queued(self) -> dict[int, tuple[QueuedPrompts, ...]]:
        """Frame -> calls that are not consolidated yet, a copy."""
        return {frame: state.queued for frame, state in self.frames.items() if state.queued}

    @property
    def outputs(self) -> dict[int, FrameOutput]:
        """Conditioning frame -> output, a copy."""
        states = self.frames.items()
        return {frame: state.output for frame, state in states if state.output is not None}

    def add(self, frame: int, queued: QueuedPrompts) -> None:
        """Queue another call on a frame."""
        before = self.state(frame).queued
        self.update(frame, prompts=queued.prompts, queued=(*before, queued))

    def last_output(self, frame: int) -> FrameOutput | None:
        """Return the newest output on a frame; None if there is none."""
        for queued in reversed(self.state(frame).queued):
            if queued.answer is not None:
                return queued.answer.answer
        return self.remembered_output(frame)

    def remembered_output(self, frame: int) -> FrameOutput | None:
        """Return the output on a conditioning or tracked frame; None if there is none."""
        return self.state(frame).output or self.bank.output(frame)

    def clear(self, frame: int) -> None:
        """Remove the prompts of a frame; a conditioning frame becomes a tracked one.

        Source: sam2/sam2_video_predictor.py:634-655 @ 2b90b9f.
        """
        state = self.frames.pop(frame, UNPROMPTED)
        if state.output is not None:
            self.directions.pop(frame, None)
            self.bank.demote(frame, state.output)

    def has_memory(self, frame: int) -> bool:
        """Tell whether a prompted or tracked frame left a memory."""
        return frame in self.bank.prompted or self.bank.remembers(frame)

    def needs_memory(self, step: TrackingStep, every: int) -> bool:
        """Tell whether a tracked frame is to leave a memory if one of `every`, above 1, does.

        Where no frame is missing, memories lie on multiples, as those that are attended to with an
        equal stride. Elsewhere, as in a stream with other numbers, tracked frames are counted.
        """
        if step.frame % every == 0 and self._was_visited(step.previous):
            return True
        without = 0
        for frame in pointer_frames(step, count=max(LOOK_BACK, every) + 1):
            if self.has_memory(frame):
                return False
            without += self._was_visited(frame)
            if without == every - 1:
                break
        return True

    def _was_visited(self, frame: int) -> bool:
        """Tell whether a frame was tracked, or has or had a prompt."""
        return frame in self.directions or self.has_memory(frame)

    def withdraw(self) -> None:
        """Drop queued calls; their prompts stay."""
        for frame in self.queued:
            self.update(frame, queued=())

    def drop_unavailable(self, frames: Frames) -> None:
        """Drop queued calls on frames that a stream has dropped."""
        for frame in self.queued:
            if not frames.may_come(frame):
                try:
                    frames.require(frame)
                except FrameError:
                    self.drop_queued(frame)

    def drop_queued(self, frame: int) -> None:
        """Drop the queued calls on a frame."""
        state = self.state(frame)
        prompts = None if state.output is None else state.prompts
        self.update(frame, prompts=prompts, queued=())

    def release_inputs(self) -> None:
        """Release all inputs of tracking; masklet and prompts stay."""
        self.bank.clear()
        for frame in list(self.frames):
            self.update(frame, queued=(), output=None)

    def conditioning_frames(self, *, with_corrections: bool) -> set[int]:
        """List the conditioning frames, including queued ones.

        Args:
            with_corrections: Whether a corrected frame becomes a conditioning frame.
        """
        return {
            frame
            for frame, state in self.frames.items()
            if state.output is not None
            or (state.queued and (with_corrections or state.queued[-1].direction is None))
        }

    @property
    def device_bytes(self) -> int:
        """Bytes of decoder outputs for prompts."""
        answered = [call.answer for calls in self.queued.values() for call in calls if call.answer]
        outputs = [*self.outputs.values(), *(answer.answer for answer in answered)]
        tensors = [
            t for output in outputs for t in (output.logits_1hw, output.iou_1, output.score_1)
        ]
        for answer in answered:
            tensors.append(answer.pointer_1d)
            if answer.full_logits_11hw is not None:
                tensors.append(answer.full_logits_11hw)
        return sum(tensor.nbytes for tensor in tensors)

    def trim_to_window(self, frame: int, reach: int, needed: Container[int] = ()) -> None:
        """Drop tracked frames `reach` or more frames away from a frame; prompted frames stay.

        Args:
            frame: The frame.
            reach: Distance, frames.
            needed: Frames whose memories stay, because the next frame attends to them.
        """
        masks = () if self.masklet is None else self.masklet.masklet.frames
        kept = {*self.directions, *self.bank.tracked, *masks}
        for far in [far for far in kept if abs(far - frame) >= reach]:
            if self.state(far).prompts is not None:
                continue
            self.directions.pop(far, None)
            if far not in needed:
                self.bank.forget(far)
            if self.masklet is not None:
                self.masklet.discard(far)


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """State of an object before a change of its prompts.

    Tracked memories are saved only for frames whose open prompts can change them; others survive an
    undo.

    Attributes:
        obj: The object itself.
        place: Its position among the session's objects; None if it was not one.
        frame: The changed frame; None for all, or for references.
        is_removal: Whether the change removed the object.
        references: Its references.
        frames: Copy of the object's states.
        prompted: Copy of its memories of conditioning frames.
        directions: Frame -> tracking direction, of frames with open prompts.
        tracked: Frame -> records of tracking, of the same frames.
    """

    obj: TrackedObject
    place: int | None
    frame: int | None
    is_removal: bool
    references: tuple[FrameMemory, ...]
    frames: dict[int, FrameState]
    prompted: dict[int, FrameMemory]
    directions: dict[int, Direction | None]
    tracked: dict[int, Records]

    @classmethod
    def of(
        cls, obj: TrackedObject, place: int | None, frame: int | None, *, is_removal: bool = False
    ) -> "Snapshot":
        """Take a snapshot; only dicts are copied, since their values are immutable.

        Queued prompts are shared, so that a later answer serves both.
        """
        open_frames = {*obj.queued, *(() if frame is None else (frame,))}
        return cls(
            obj,
            place,
            frame,
            is_removal,
            obj.bank.references,
            dict(obj.frames),
            dict(obj.bank.prompted),
            {number: obj.directions.get(number) for number in open_frames},
            {number: obj.bank.records(number) for number in open_frames},
        )

    def restore(self) -> None:
        """Restore the object to this state."""
        obj = self.obj
        obj.frames, obj.bank.prompted = dict(self.frames), dict(self.prompted)
        obj.bank.references = self.references
        for frame, direction in self.directions.items():
            if direction is None:
                obj.directions.pop(frame, None)
            else:
                obj.directions[frame] = direction
        for frame, records in self.tracked.items():
            obj.bank.restore(frame, records)
