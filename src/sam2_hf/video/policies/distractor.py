"""The policy `distractor`: what tells the object from its likes is remembered apart."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import ClassVar

import numpy as np

from .mask_candidates import MaskCandidates, box_around, box_iou, largest_part
from .memory_policy import (
    LOOK_BACK,
    Choice,
    MemoryIndex,
    Sam2Policy,
    TrackingStep,
    closest_prompted,
    pointer_frames,
)

NAME = "distractor"
MIN_IOU = 0.8  # predicted IoU that the mask of a resolving frame exceeds
SIZES = (0.8, 1.2)  # its area as a part of the usual one
NUM_AREAS = 10  # areas whose median is the usual one
MIN_DISTANCE = 5  # frames that lie between two resolving ones
MAX_BOX_IOU = 0.7  # of the mask's box with that of mask and distractor together
NUM_RESOLVING = 3  # resolving frames that are attended to, besides the prompted ones
RECENT_STRIDE = 5  # frames between recent memories
NONE = -1  # in place of a frame


@dataclass(frozen=True, slots=True)
class DistractorNotes:
    """What is noted on a frame.

    Attributes:
        sign: Direction in which the frame was tracked, 1 or -1.
        area: Area of its mask, cells.
        areas: Areas of the last masks that are not empty, this one included, oldest first.
        resolving: The last resolving frames, this one included, oldest first; one more than are
            attended to, as the previous frame is attended to anyway.
    """

    sign: int
    area: int = 0
    areas: tuple[int, ...] = ()
    resolving: tuple[int, ...] = ()

    def numbers(self) -> list[float]:
        """List `WIDTH` numbers to store."""
        areas = [*self.areas, *[0] * (NUM_AREAS - len(self.areas))]
        resolving = [*self.resolving, *[NONE] * (NUM_RESOLVING + 1 - len(self.resolving))]
        return [self.sign, self.area, *areas, *resolving]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> "DistractorNotes":
        """Read the output of `numbers`."""
        sign, area, *rest = (int(number) for number in numbers)
        areas, resolving = rest[:NUM_AREAS], rest[NUM_AREAS:]
        return cls(
            sign,
            area,
            tuple(area for area in areas if area),
            tuple(frame for frame in resolving if frame != NONE),
        )


WIDTH = 2 + NUM_AREAS + NUM_RESOLVING + 1


class DistractorPolicy(Sam2Policy):
    """DAM4SAM: a memory of recent frames, and one of frames that resolved a distractor.

    A frame resolves a distractor if one of the candidate masks that were not chosen lies elsewhere:
    the box of the chosen mask and the box of that mask joined with the largest part of the other
    one outside it have an IoU of 0.7 or less. It is remembered if its own mask is reliable (a
    predicted IoU above 0.8, an area within 20 % of the median of the last 10 that are not empty)
    and the last such frame is more than 5 frames ago. The last 3 of them are attended to with the
    temporal code of prompted frames. The other memories are recent: the previous frame, then every
    fifth, without those on which the object was not visible, whose places older frames take.
    Pointers are those of prompted and resolving frames, and of the last 15 that are visible.

    Source: DAM4SAM (arXiv 2411.17576), section 3; 4 frames in the memory of distractors with the
        prompted one, stride 5.
    Differs: a prompted frame never leaves the memory of distractors, and all count as one. Areas
        and boxes are measured in cells of the mask logits. Frames are searched up to 300 back. A
        change of direction starts both memories again. With `memory_temporal_stride_for_eval` above
        1, that is the stride.
    """

    reviews = True
    notes_width: ClassVar[Mapping[str, int]] = {NAME: WIDTH}

    @property
    def reach(self) -> int:
        """The farthest pointer, or recent memory of an object that is always visible."""
        rules = self.rules
        return max(rules.num_pointers, (rules.num_memories - 1) * self._stride + 1)

    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted and resolving frames, then recent ones, farthest first."""
        rules = self.rules
        prompted, _ = closest_prompted(step.frame, memories.prompted, rules.max_prompted)
        apart = self._resolving(step, memories)
        taken = {*prompted, *apart}
        count = max(rules.num_memories - 1 - len(apart), 0)
        recent = islice(self._recent(step, memories, taken), count)
        aged = [(frame, age) for age, frame in enumerate(recent, 1)]
        return [(frame, rules.num_memories) for frame in prompted + apart] + aged[::-1]

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, resolving ones, and recent ones that are visible."""
        apart = self._resolving(step, memories)
        chosen = super().select_pointers(step, memories)
        visible = [
            (frame, age)
            for frame, age in chosen
            if frame in memories.prompted
            or (frame not in apart and _area(frame, memories) is not None)
        ]
        return visible + [(frame, step.back_to(frame)) for frame in apart]

    def note(
        self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates, chosen: int
    ) -> Mapping[str, Sequence[float]]:
        """Note the area of the mask, and whether the frame resolves a distractor."""
        before, area = _before(step, memories), found.area(chosen)
        if not area:
            notes = DistractorNotes(step.sign, 0, before.areas, before.resolving)
            return {NAME: notes.numbers()}
        areas = (*before.areas, area)[-NUM_AREAS:]
        resolving = before.resolving
        if (
            before.areas
            and found.iou[chosen] > MIN_IOU
            and SIZES[0] <= area / median(areas) <= SIZES[1]
            and (not resolving or abs(step.frame - resolving[-1]) > MIN_DISTANCE)
            and resolves_distractor(found, chosen)
        ):
            resolving = (*resolving, step.frame)[-NUM_RESOLVING - 1 :]
        return {NAME: DistractorNotes(step.sign, area, areas, resolving).numbers()}

    @property
    def _stride(self) -> int:
        """Frames between recent memories."""
        return self.rules.stride if self.rules.stride > 1 else RECENT_STRIDE

    def _resolving(self, step: TrackingStep, memories: MemoryIndex) -> list[int]:
        """List the resolving frames to attend to, oldest first."""
        count = min(NUM_RESOLVING, self.rules.num_memories - 2)
        frames = [
            frame
            for frame in _before(step, memories).resolving
            if frame != step.previous and frame not in memories.prompted
        ]
        return frames[-count:] if count > 0 else []

    def _recent(self, step: TrackingStep, memories: MemoryIndex, taken: set[int]) -> Iterator[int]:
        """Find the recent frames to attend to, nearest first."""
        sign, stride = step.sign, self._stride
        past = set(pointer_frames(step, count=LOOK_BACK + 1))
        frame, stride_now = sign * step.previous, 1  # backward in time, the grid is mirrored
        while sign * frame in past:
            if sign * frame not in taken and _area(sign * frame, memories) is not None:
                yield sign * frame
                frame, stride_now = (frame - 1) // stride * stride, stride
            else:
                frame -= stride_now


def resolves_distractor(found: MaskCandidates, chosen: int) -> bool:
    """Tell whether a candidate that was not chosen shows something else beside the object."""
    own_hw = found.mask(chosen)
    box = box_around(own_hw)
    for index in range(len(found.iou)):
        beside_hw = found.mask(index) & ~own_hw
        if index == chosen or not beside_hw.any():
            continue
        both = box_around(np.logical_or(own_hw, largest_part(beside_hw)))
        if box_iou(box, both) <= MAX_BOX_IOU:
            return True
    return False


def _area(frame: int, memories: MemoryIndex) -> int | None:
    """Return the area of a frame's mask; None if the object is not visible or not remembered.

    A frame that was tracked under another policy is visible if its object score says so.
    """
    score, notes = memories.score(frame), memories.notes(frame, NAME)
    if score is None or score <= 0:
        return None
    return 1 if notes is None else DistractorNotes.of_numbers(notes).area or None


def _before(step: TrackingStep, memories: MemoryIndex) -> DistractorNotes:
    """Read the newest notes before a frame, in the same direction.

    Prompted frames, corrections and frames tracked under another policy have none.
    """
    for frame in pointer_frames(step, count=LOOK_BACK):
        numbers = memories.notes(frame, NAME)
        if numbers is not None:
            notes = DistractorNotes.of_numbers(numbers)
            return notes if notes.sign == step.sign else DistractorNotes(step.sign)
    return DistractorNotes(step.sign)
