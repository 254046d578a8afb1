"""A memory policy that only tests have: frames on which the object was out of view are skipped."""

from sam2_hf.video.policies.memory_policy import (
    Choice,
    MemoryIndex,
    MemoryPolicy,
    TrackingStep,
    closest_prompted,
    pointer_frames,
)


class InViewPolicy(MemoryPolicy):
    """Look further back instead of at frames of low object score.

    Attributes:
        reach: Frames back that are looked at.
        least_score: Object score that a frame must have, logits.
    """

    reach = 24
    least_score = 0.0

    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Choose prompted frames, then the nearest in view; ages count those, not the skipped."""
        rules = self.rules
        prompted, _ = closest_prompted(step.frame, memories.prompted, rules.max_prompted)
        in_view = self._in_view(step, memories, prompted)[: rules.num_memories - 1]
        aged = [(frame, age) for age, frame in enumerate(in_view, 1)]
        return [(frame, rules.num_memories) for frame in prompted] + aged

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Choose the same frames, as far as pointers are looked at."""
        prompted, _ = closest_prompted(step.frame, memories.prompted, self.rules.max_prompted)
        past = [frame for frame in prompted if step.back_to(frame) >= 0]
        in_view = self._in_view(step, memories, prompted)[: self.rules.num_pointers]
        return [(frame, step.back_to(frame)) for frame in past + in_view]

    def _in_view(self, step: TrackingStep, memories: MemoryIndex, prompted: list[int]) -> list[int]:
        scores = {
            frame: memories.score(frame)
            for frame in pointer_frames(step, count=self.reach + 1)
            if frame not in prompted
        }
        return [f for f, score in scores.items() if score is not None and score > self.least_score]
