"""The policy `score`: frames that are not trusted are skipped, and older ones read instead."""

from .memory_policy import (
    Choice,
    MemoryIndex,
    Sam2Policy,
    TrackingStep,
    closest_prompted,
    nearest_trusted,
    pointer_frames,
)

MIN_IOU = 0.5  # predicted IoU that a memory must exceed
MIN_SCORE = 0.0  # object score that it must exceed, logits


class ScorePolicy(Sam2Policy):
    """Skip frames by their scores; those before them are attended to instead.

    A tracked frame is trusted if its object score is above 0 and its predicted IoU above 0.5. The
    previous frame is always attended to, as the nearest; then the nearest trusted frames, up to 300
    frames back. Temporal codes count the attended frames, not time. Pointers are those of the
    original's frames that are trusted.

    Source: the two scores of SAMURAI's memory selection (arXiv 2411.11922, section 4.2).

    Attributes:
        min_iou: Predicted IoU that the mask of a trusted frame exceeds.
    """

    min_iou = MIN_IOU

    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, then the previous frame and the nearest trusted ones."""
        rules = self.rules
        prompted, _ = closest_prompted(step.frame, memories.prompted, rules.max_prompted)
        recent = nearest_trusted(
            step,
            rules.num_memories - 1,
            lambda frame: frame not in prompted and self.is_trusted(frame, memories),
        )
        aged = [(frame, age) for age, frame in enumerate(recent, 1)]
        return [(frame, rules.num_memories) for frame in prompted] + aged[::-1]

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, then recent ones that are trusted, nearest first."""
        recent = set(pointer_frames(step, count=self.rules.num_pointers))
        doubtful = {
            frame
            for frame in recent - {step.previous}
            if frame not in memories.prompted and not self.is_trusted(frame, memories)
        }
        chosen = super().select_pointers(step, memories)
        return [(frame, age) for frame, age in chosen if frame not in doubtful]

    def is_trusted(self, frame: int, memories: MemoryIndex) -> bool:
        """Tell whether the scores of a tracked frame, if it has any, are high enough."""
        score, iou = memories.score(frame), memories.iou(frame)
        return score is not None and score > MIN_SCORE and (iou is None or iou > self.min_iou)
