"""One hypothesis of an object: the bank's memories along a path of frames.

Suffixes: b = objects (1 here), k = further hypotheses on a frame, x = dimensions of a spatial
memory, d = decoder channels.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from sam2_hf.model.outputs import FrameMemory

from .memory_policy import MemoryPolicy, Path, TrackingStep


class Memories(Protocol):
    """Memories of one object, or of several that are always tracked together."""

    @property
    def references(self) -> Sequence[FrameMemory]:
        """Memories of pictures outside the video; read from every frame."""

    @property
    def prompted(self) -> Mapping[int, FrameMemory]:
        """Memories of prompted frames, by frame."""

    def score(self, frame: int) -> float | None:
        """Object score of a frame, logits; None if it has no memory."""

    def iou(self, frame: int) -> float | None:
        """Predicted IoU of a tracked frame's mask; None if it is unknown."""

    def notes(self, frame: int, policy: str) -> Sequence[float] | None:
        """Notes of a policy on a tracked frame; None if there are none."""

    def spatial_bx(self, frame: int) -> Tensor | None:
        """Spatial memory of a tracked frame; None if there is none."""

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Object pointer of a tracked frame; None if there is none."""


class BranchingMemories(Memories, Protocol):
    """Memories of an object, several on a frame."""

    def further_spatial_kx(self, frame: int) -> Tensor | None:
        """Spatial memories of the frame's other hypotheses; None if there are none."""

    def further_pointers_kd(self, frame: int) -> Tensor | None:
        """Object pointers of the frame's other hypotheses; None if there are none."""


class Hypothesis:
    """Memories along one path.

    Args:
        bank: All memories of the object.
        path: Frame -> which hypothesis of that frame belongs to this one; 0 is the answer.
    """

    def __init__(self, bank: BranchingMemories, path: Path) -> None:
        self._bank = bank
        self.path = path

    @property
    def references(self) -> Sequence[FrameMemory]:
        """Memories of pictures outside the video, which all hypotheses share."""
        return self._bank.references

    @property
    def prompted(self) -> Mapping[int, FrameMemory]:
        """Memories of prompted frames, which all hypotheses share."""
        return self._bank.prompted

    def score(self, frame: int) -> float | None:
        """Look up the object score of the frame's answer, logits."""
        return self._bank.score(frame)

    def iou(self, frame: int) -> float | None:
        """Look up the predicted IoU of the frame's answer."""
        return self._bank.iou(frame)

    def notes(self, frame: int, policy: str) -> Sequence[float] | None:
        """Look up the notes on a frame."""
        return self._bank.notes(frame, policy)

    def spatial_bx(self, frame: int) -> Tensor | None:
        """Look up the spatial memory of a tracked frame on this path."""
        if not self.path.get(frame, 0):
            return self._bank.spatial_bx(frame)
        return self._row(self._bank.further_spatial_kx(frame), frame)

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Look up the object pointer of a tracked frame on this path."""
        if not self.path.get(frame, 0):
            return self._bank.pointer_bd(frame)
        return self._row(self._bank.further_pointers_kd(frame), frame)

    def _row(self, further: Tensor | None, frame: int) -> Tensor | None:
        """Select the row of a frame whose answer is not on this path; None if it is missing."""
        row = self.path[frame] - 1
        return None if further is None or row not in range(len(further)) else further[row][None]


def hypotheses(
    bank: BranchingMemories, step: TrackingStep, policy: MemoryPolicy
) -> list[BranchingMemories | Hypothesis]:
    """List what an object is tracked from on a frame: its hypotheses, or the bank itself."""
    return [Hypothesis(bank, path) for path in policy.paths(step, bank)] or [bank]
