"""One object of a session: what was said about it, what is remembered, what came out."""

from dataclasses import dataclass, field

from torch import Tensor

from .frame_result import FrameOutput
from .masklet import MaskletStore
from .memory_bank import MemoryBank
from .memory_selection import Direction
from .object_prompts import FramePrompts


@dataclass(frozen=True, slots=True, eq=False)
class PromptedOutput:
    """The decoder's answer to the prompts of a frame, before it is remembered.

    Attributes:
        answer: Mask and scores.
        pointer_1d: Object pointer.
        full_logits_11hw: A given mask at input size; None if there is none.
        initial: Whether the frame had not been tracked before.
    """

    answer: FrameOutput
    pointer_1d: Tensor
    full_logits_11hw: Tensor | None
    initial: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """What a frame was when somebody said something about it; later tracking does not change it.

    Attributes:
        direction: Which way time ran when it had been tracked; None if it had not.
        has_mask: Whether there was a tracked mask to start from.
    """

    direction: Direction | None
    has_mask: bool


@dataclass(slots=True, eq=False)
class TrackedObject:
    """State of one object; the session's tracker changes it, nothing else does.

    Attributes:
        object_id: The user's number.
        bank: Its memories.
        prompts: Frame -> all prompts there.
        rounds: Frame -> prompts after each call that the decoder has not answered yet.
        asked: Frame -> what it was when the first of these calls came.
        pending: Frame -> answer that is not remembered yet.
        outputs: Frame -> answer on a remembered prompted frame.
        directions: Frame -> which way time ran when it was tracked last.
        masklet: Its masks so far; None before the first.
    """

    object_id: int
    bank: MemoryBank
    prompts: dict[int, FramePrompts] = field(default_factory=dict)
    rounds: dict[int, tuple[FramePrompts, ...]] = field(default_factory=dict)
    asked: dict[int, Asked] = field(default_factory=dict)
    pending: dict[int, PromptedOutput] = field(default_factory=dict)
    outputs: dict[int, FrameOutput] = field(default_factory=dict)
    directions: dict[int, Direction] = field(default_factory=dict)
    masklet: MaskletStore | None = None

    def add(self, frame: int, prompts: FramePrompts) -> None:
        """Note the prompts of a frame after one more call."""
        if not self.rounds.get(frame):
            tracked = self.bank.prompted and self.directions.get(frame)
            self.asked[frame] = Asked(tracked or None, self.bank.remembers(frame))
        self.prompts[frame] = prompts
        self.rounds[frame] = (*self.rounds.get(frame, ()), prompts)

    def last_output(self, frame: int) -> FrameOutput | None:
        """Return the newest answer on a frame; None if there is none."""
        return self.last_answer(frame) or self.bank.output(frame)

    def last_answer(self, frame: int) -> FrameOutput | None:
        """Return the newest answer to the prompts of a frame; None if there is none."""
        if frame in self.pending:
            return self.pending[frame].answer
        return self.outputs.get(frame)

    def clear(self, frame: int) -> None:
        """Take back the prompts of a frame; a remembered one counts as tracked from now on.

        Source: sam2/sam2_video_predictor.py:634-655 @ 2b90b9f.
        """
        self.prompts.pop(frame, None)
        self.rounds.pop(frame, None)
        self.asked.pop(frame, None)
        self.pending.pop(frame, None)
        if frame in self.outputs:
            self.directions.pop(frame, None)
            self.bank.demote(frame, self.outputs.pop(frame))

    def withdraw(self) -> None:
        """Leave prompts unanswered that are not remembered yet; they stay known."""
        self.rounds.clear()
        self.asked.clear()
        self.pending.clear()

    def ask_again(self, frame: int) -> None:
        """Have the prompts of a frame answered afresh, as if they had been given at once."""
        self.rounds.pop(frame, None)
        self.pending.pop(frame, None)
        self.outputs.pop(frame, None)
        self.bank.prompted.pop(frame, None)
        self.add(frame, self.prompts[frame])

    @property
    def frames(self) -> set[int]:
        """Frames that the object is tracked from."""
        return {*self.outputs, *self.pending, *self.rounds}

    @property
    def device_bytes(self) -> int:
        """Bytes of the answers to prompts."""
        answers = [*self.outputs.values(), *(pending.answer for pending in self.pending.values())]
        tensors = [t for one in answers for t in (one.logits_1hw, one.iou_1, one.score_1)]
        for pending in self.pending.values():
            tensors.append(pending.pointer_1d)
            if pending.full_logits_11hw is not None:
                tensors.append(pending.full_logits_11hw)
        return sum(tensor.nbytes for tensor in tensors)

    @property
    def has_prompts(self) -> bool:
        """Whether there is anything to track it from."""
        return bool(self.bank.prompted or self.pending or self.rounds)

    def keep_near(self, frame: int, reach: int) -> None:
        """Forget what was tracked `reach` frames and more from a frame; prompted frames stay."""
        masks = () if self.masklet is None else self.masklet.masklet.frames
        kept = {*self.directions, *self.bank.tracked, *masks}
        for far in [f for f in kept if abs(f - frame) >= reach and f not in self.prompts]:
            self.directions.pop(far, None)
            self.bank.forget(far)
            if self.masklet is not None:
                self.masklet.discard(far)
