"""The policy `samurai`: motion helps to choose the mask, and scores to choose the memories."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .box_motion import NUM_NUMBERS, BoxMotion
from .mask_candidates import MaskCandidates, box_iou
from .memory_policy import Choice, MemoryIndex, Sam2Policy, TrackingStep
from .score import ScorePolicy

NAME = "samurai"
STABLE_FRAMES = 15  # frames in a row whose mask was good, before motion counts
STABLE_IOU = 0.3  # predicted IoU that such a mask exceeds
MOTION_WEIGHT = 0.25  # of motion against predicted IoU in the choice among masks
MIN_MOTION = 0.0  # IoU with the predicted box that the mask of a trusted frame exceeds
UNKNOWN = -1.0  # the IoU of a frame on which motion did not count


@dataclass(frozen=True, slots=True)
class MotionNotes:
    """What is noted on a frame.

    Attributes:
        sign: Direction in which the frame was tracked, 1 or -1.
        stable: Good masks in a row.
        agreement: IoU of the chosen mask's box with the predicted one; `UNKNOWN` if not compared.
        motion: Motion after the frame; None before the first mask.
    """

    sign: int
    stable: int
    agreement: float
    motion: BoxMotion | None

    def numbers(self) -> list[float]:
        """List `WIDTH` numbers to store."""
        motion = [0.0] * NUM_NUMBERS if self.motion is None else self.motion.numbers()
        return [self.sign, self.stable, self.agreement, float(self.motion is not None), *motion]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> "MotionNotes":
        """Read the output of `numbers`."""
        sign, stable, agreement, is_known, *motion = numbers
        return cls(
            int(sign),
            int(stable),
            agreement,
            BoxMotion.of_numbers(motion) if is_known else None,
        )


WIDTH = 4 + NUM_NUMBERS


class SamuraiPolicy(ScorePolicy):
    """SAMURAI: choose the mask by predicted IoU and motion, and remember frames by three scores.

    A Kalman filter follows the box of the mask. After 15 frames with a predicted IoU above 0.3, the
    candidate of the highest `0.25 * motion + 0.75 * IoU` is kept, where motion is the IoU of its
    box with the predicted one; before that, the one of the highest predicted IoU. A predicted IoU
    of 0.3 or less starts this count again, without an update of the filter. Memories are those of
    the previous frame and of the nearest frames with a predicted IoU above 0.5, an object score
    above 0 and, where motion counted, an IoU with the predicted box above 0. Pointers are the
    original's.

    Source: SAMURAI (arXiv 2411.11922), sections 4.1 and 4.2.
    Differs: each object has a filter of its own. A prompt, a frame that was not tracked before it,
        and a change of direction start the filter again. An empty mask does so too, where the
        authors' code goes on with a box in the corner of the image. Boxes are measured in cells of
        the mask logits. Objects are in view above 0, as everywhere here, where their configs say
        -1. The weight is that of their tiny, small and base-plus configs; large has 0.15. Trusted
        frames are searched up to 300 frames back.
    """

    reviews = True
    notes_width: ClassVar[Mapping[str, int]] = {NAME: WIDTH}

    def choose(self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates) -> int:
        """Choose by predicted IoU, and by motion once that is reliable."""
        before = _before(step, memories)
        if before.motion is None or before.stable < STABLE_FRAMES:
            return found.best
        predicted = before.motion.predicted().box
        weighted = [
            MOTION_WEIGHT * box_iou(predicted, found.box(index)) + (1 - MOTION_WEIGHT) * iou
            for index, iou in enumerate(found.iou)
        ]
        return weighted.index(max(weighted))

    def note(
        self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates, chosen: int
    ) -> Mapping[str, Sequence[float]]:
        """Note the motion after the frame."""
        box, before = found.box(chosen), _before(step, memories)
        if box is None:
            return {NAME: MotionNotes(step.sign, 0, UNKNOWN, None).numbers()}
        if before.motion is None or before.stable == 0:
            return {NAME: MotionNotes(step.sign, 1, UNKNOWN, BoxMotion.started(box)).numbers()}
        motion, agreement = before.motion.predicted(), UNKNOWN
        if before.stable >= STABLE_FRAMES:
            agreement = box_iou(motion.box, box)
        if found.iou[chosen] <= STABLE_IOU:
            return {NAME: MotionNotes(step.sign, 0, agreement, motion).numbers()}
        stable = min(before.stable + 1, STABLE_FRAMES)
        return {NAME: MotionNotes(step.sign, stable, agreement, motion.updated(box)).numbers()}

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select the pointers of the original's policy."""
        return Sam2Policy.select_pointers(self, step, memories)

    def is_trusted(self, frame: int, memories: MemoryIndex) -> bool:
        """Tell whether all three scores of a tracked frame are high enough."""
        if not super().is_trusted(frame, memories):
            return False
        notes = memories.notes(frame, NAME)
        if notes is None:
            return True
        agreement = MotionNotes.of_numbers(notes).agreement
        return agreement == UNKNOWN or agreement > MIN_MOTION


def _before(step: TrackingStep, memories: MemoryIndex) -> MotionNotes:
    """Read the notes on the previous frame, if it was tracked in the same direction."""
    numbers = memories.notes(step.previous, NAME)
    if numbers is not None:
        notes = MotionNotes.of_numbers(numbers)
        if notes.sign == step.sign:
            return notes
    return MotionNotes(step.sign, 0, UNKNOWN, None)
