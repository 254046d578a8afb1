"""One hypothesis of an object: the bank's memories along a path of frames.

Suffixes: b = objects (1 here), x = dimensions of a spatial memory, d = decoder channels.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import Tensor

from sam2_hf.model.outputs import FrameMemory

from .memory_policy import MemoryPolicy, Path, TrackingStep


class BranchingMemories(Protocol):
    """Memories of an object, several on a frame."""

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

    def further(self, frame: int) -> tuple[Tensor, Tensor] | None:
        """Spatial memories and pointers of the frame's other hypotheses; None without any."""


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
        further = self._further(frame)
        return None if further is None else further[0]

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Look up the object pointer of a tracked frame on this path."""
        if not self.path.get(frame, 0):
            return self._bank.pointer_bd(frame)
        further = self._further(frame)
        return None if further is None else further[1]

    def _further(self, frame: int) -> tuple[Tensor, Tensor] | None:
        """Look up spatial memory and pointer of a frame whose answer is not on this path."""
        further, row = self._bank.further(frame), self.path[frame] - 1
        if further is None or not 0 <= row < len(further[0]):
            return None
        return further[0][row : row + 1], further[1][row : row + 1]


def hypotheses(
    bank: BranchingMemories, step: TrackingStep, policy: MemoryPolicy
) -> list[BranchingMemories | Hypothesis]:
    """List what an object is tracked from on a frame: its hypotheses, or the bank itself."""
    return [Hypothesis(bank, path) for path in policy.paths(step, bank)] or [bank]
