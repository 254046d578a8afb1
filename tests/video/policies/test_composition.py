"""Two policies as one."""

from sam2_hf.video.policies.composition import ComposedPolicy
from sam2_hf.video.policies.distractor import DistractorNotes, DistractorPolicy
from sam2_hf.video.policies.memory_policy import TrackingStep
from sam2_hf.video.policies.samurai import SamuraiPolicy
from tests.video.policies.hand_made import RULES, at, tracked


def test_masks_are_chosen_by_the_first_policy_and_memories_by_the_second():
    policy = ComposedPolicy(SamuraiPolicy(RULES), DistractorPolicy(RULES))
    steps = [at(8, (0.9, 0.4, 0.1))] * 20 + [at(8, (0.85, 0.87, 0.1))]
    chosen, memories = tracked(policy, steps)

    assert chosen[-1] == 0
    notes = DistractorNotes.of_numbers(memories.notes(21, "distractor"))
    assert notes.resolving == (2, 8, 14, 20)
    assert policy.select(TrackingStep(22), memories) == DistractorPolicy(RULES).select(
        TrackingStep(22), memories
    )
