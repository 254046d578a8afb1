"""Frames that tell the object from its likes are remembered apart."""

import pytest

from sam2_hf.video.policies.distractor import DistractorNotes, DistractorPolicy
from sam2_hf.video.policies.memory_policy import TrackingStep
from tests.video.policies.hand_made import LEFT, RIGHT, RULES, Remembered, boxes, seen, tracked


def beside(found_iou=(0.9, 0.5, 0.1), own=LEFT):
    return boxes(own, RIGHT, None, iou=found_iou)


def alone(iou=0.9, own=LEFT):
    return boxes(own, own, None, iou=(iou, 0.5, 0.1))


def resolving(memories, frame):
    return DistractorNotes.of_numbers(memories.notes(frame, "distractor")).resolving


def test_a_candidate_elsewhere_makes_a_resolving_frame():
    _, memories = tracked(DistractorPolicy(RULES), [alone(), alone(), beside(), alone()])

    assert resolving(memories, 2) == ()
    assert resolving(memories, 3) == resolving(memories, 4) == (3,)


def test_resolving_frames_are_more_than_five_frames_apart_and_the_last_are_kept():
    _, memories = tracked(DistractorPolicy(RULES), [alone()] + [beside()] * 40)

    assert resolving(memories, 41) == (20, 26, 32, 38)


@pytest.mark.parametrize(
    "doubtful",
    [
        beside((0.8, 0.5, 0.1)),  # not more than 0.8
        beside(own=(8, 8, 24, 20)),  # 25 % smaller
        beside(own=(8, 8, 24, 29)),  # 31 % larger
        boxes(LEFT, (8, 8, 26, 26), None, iou=(0.9, 0.5, 0.1)),  # a little larger: IoU above 0.7
    ],
)
def test_an_unreliable_or_plain_frame_is_not_remembered_apart(doubtful):
    _, memories = tracked(DistractorPolicy(RULES), [alone()] * 5 + [doubtful])

    assert resolving(memories, 6) == ()


def test_only_the_largest_part_of_another_candidate_counts():
    specks = boxes(LEFT, [(8, 8, 24, 26), (62, 62, 63, 63)], None, iou=(0.9, 0.5, 0.1))

    _, memories = tracked(DistractorPolicy(RULES), [alone()] * 5 + [specks])

    assert resolving(memories, 6) == ()


def test_resolving_frames_are_read_as_prompted_ones_and_recent_ones_fill_the_rest():
    policy = DistractorPolicy(RULES)
    steps = [beside() if frame in (2, 9, 16, 23) else alone() for frame in range(1, 40)]
    _, memories = tracked(policy, steps)

    found = policy.select(TrackingStep(40), memories)

    assert found == [(0, 7), (9, 7), (16, 7), (23, 7), (30, 3), (35, 2), (39, 1)]


def test_a_resolving_frame_that_is_the_previous_one_is_read_as_recent():
    policy = DistractorPolicy(RULES)
    _, memories = tracked(policy, [alone()] * 11 + [beside()])

    found = policy.select(TrackingStep(13), memories)

    assert found == [(0, 7), (5, 3), (10, 2), (12, 1)]


def test_frames_without_the_object_are_not_read():
    policy = DistractorPolicy(RULES)
    gone = boxes(None, None, None, iou=(0.9, 0.5, 0.1), score=-2.0)
    steps = [alone()] * 17 + [gone] * 12
    _, memories = tracked(policy, steps)

    found = policy.select(TrackingStep(30), memories)
    pointers = [frame for frame, _ in policy.select_pointers(TrackingStep(30), memories)]

    assert found == [(0, 7), (5, 4), (10, 3), (15, 2), (17, 1)]
    assert pointers == [0, 17, 16, 15]


def test_backward_in_time_the_grid_of_recent_frames_is_mirrored():
    policy = DistractorPolicy(RULES)
    memories = Remembered(seen(range(10, 39)), prompted=(39,))

    found = policy.select(TrackingStep(10, "backward", 40), memories)

    assert found == [(39, 7), (35, 6), (30, 5), (25, 4), (20, 3), (15, 2), (11, 1)]


def test_a_prompt_in_between_does_not_end_what_is_known():
    policy = DistractorPolicy(RULES)
    _, memories = tracked(policy, [alone(), alone(), beside()])
    memories.prompted[4] = None

    assert (3, 7) in policy.select(TrackingStep(5), memories)


@pytest.mark.parametrize("distance", [1, 20, 290])
def test_frames_without_notes_do_not_end_the_memory_of_distractors(distance):
    policy = DistractorPolicy(RULES)
    steps = [beside() if frame == 3 else alone() for frame in range(1, 8)]
    _, memories = tracked(policy, steps)
    for frame in range(8, 8 + distance):  # corrections, or frames under another policy
        memories.remember(frame, {})

    found = policy.select(TrackingStep(8 + distance), memories)

    assert (3, 7) in found
