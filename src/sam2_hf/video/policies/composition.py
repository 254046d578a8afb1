"""Two policies as one: the first chooses the mask of a frame, the second what is remembered."""

from collections.abc import Mapping, Sequence

from .mask_candidates import MaskCandidates
from .memory_policy import Choice, MemoryIndex, MemoryPolicy, TrackingStep


class ComposedPolicy(MemoryPolicy):
    """`FIRST+SECOND`: choose masks by the first policy, and select memories by the second.

    Both leave their own notes on every frame, made from the mask that the first one chose.

    Args:
        masks: Chooses among the candidate masks.
        memories: Selects memories and pointers.
    """

    reviews = True

    def __init__(self, masks: MemoryPolicy, memories: MemoryPolicy) -> None:
        super().__init__(memories.rules)
        self._masks = masks
        self._memories = memories

    @property
    def reach(self) -> int:
        """That of the second policy."""
        return self._memories.reach

    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select by the second policy."""
        return self._memories.select(step, memories)

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select by the second policy."""
        return self._memories.select_pointers(step, memories)

    def choose(self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates) -> int:
        """Choose by the first policy."""
        return self._masks.choose(step, memories, found)

    def note(
        self, step: TrackingStep, memories: MemoryIndex, found: MaskCandidates, chosen: int
    ) -> Mapping[str, Sequence[float]]:
        """Make the notes of both."""
        first = self._masks.note(step, memories, found, chosen)
        return {**first, **self._memories.note(step, memories, found, chosen)}
