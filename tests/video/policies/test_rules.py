"""The rule of each policy, on scores and masks that are written down by hand."""

import math

import numpy as np
import pytest

from sam2_hf.video.hypothesis import Hypothesis
from sam2_hf.video.mask_candidates import box_iou, largest_part
from sam2_hf.video.memory_policy import MemoryRules, TrackingStep
from sam2_hf.video.policies.box_motion import BoxMotion
from sam2_hf.video.policies.composition import ComposedPolicy
from sam2_hf.video.policies.distractor import DistractorNotes, DistractorPolicy
from sam2_hf.video.policies.samurai import STABLE_FRAMES, MotionNotes, SamuraiPolicy
from sam2_hf.video.policies.score import ScorePolicy
from sam2_hf.video.policies.tree import PATH_WIDTH, PathNotes, TreePolicy
from tests.video.policies.hand_made import Remembered, boxes, seen

RULES = MemoryRules()
LEFT, RIGHT = (8, 8, 24, 24), (40, 40, 56, 56)


# Score


def test_the_nearest_trusted_frames_take_the_places_of_doubtful_ones():
    memories = Remembered(seen(range(1, 30)) | seen((24, 26), score=-1.0) | seen((22, 27), iou=0.5))

    found = ScorePolicy(RULES).select(TrackingStep(30), memories)

    assert found == [(0, 7), (20, 6), (21, 5), (23, 4), (25, 3), (28, 2), (29, 1)]


def test_the_previous_frame_is_read_even_if_it_is_doubtful():
    memories = Remembered(seen(range(1, 9)) | seen([8], score=-2.0))

    assert ScorePolicy(RULES).select(TrackingStep(9), memories)[-2:] == [(7, 2), (8, 1)]


def test_pointers_of_doubtful_frames_are_left_out():
    memories = Remembered(seen(range(1, 9)) | seen((3, 5), score=-2.0) | seen([8], iou=0.1))

    frames = [frame for frame, _ in ScorePolicy(RULES).select_pointers(TrackingStep(9), memories)]

    assert frames == [0, 8, 7, 6, 4, 2, 1, 0]


def test_backward_in_time_the_trusted_frames_are_later_ones():
    memories = Remembered(seen(range(10, 40)) | seen((12, 13), score=-2.0), prompted=(39,))

    found = ScorePolicy(RULES).select(TrackingStep(10, "backward", 40), memories)

    assert found == [(39, 7), (18, 6), (17, 5), (16, 4), (15, 3), (14, 2), (11, 1)]


def test_only_so_many_frames_are_searched():
    memories = Remembered(seen(range(1, 5)) | seen(range(5, 320), score=-1.0))

    assert ScorePolicy(RULES).select(TrackingStep(304), memories) == [(0, 7), (4, 2), (303, 1)]
    assert ScorePolicy(RULES).select(TrackingStep(305), memories) == [(0, 7), (304, 1)]


# Samurai


def tracked(policy, steps, start=1):
    """Play a policy on frames of candidates; return what it chose, and its memories."""
    memories, chosen = Remembered(), []
    for frame, found in enumerate(steps, start):
        kept = policy.keep(TrackingStep(frame), memories, [found])
        memories.remember(frame, kept.notes, found.score, found.iou[kept.masks[0][1]])
        chosen.append(kept.masks[0][1])
    return chosen, memories


def at(x, iou, other=RIGHT):
    return boxes((x, 8, x + 16, 24), other, None, iou=iou)


def test_motion_counts_after_fifteen_good_masks():
    good, doubtful = at(8, (0.9, 0.4, 0.1)), at(8, (0.8, 0.85, 0.1))

    chosen, _ = tracked(SamuraiPolicy(RULES), [good] * (STABLE_FRAMES - 1) + [doubtful])
    assert chosen[-1] == 1
    chosen, _ = tracked(SamuraiPolicy(RULES), [good] * STABLE_FRAMES + [doubtful])
    assert chosen[-1] == 0


def test_motion_is_weighed_against_predicted_iou():
    """0.25 * 1 + 0.75 * 0.6 against 0.75 * 0.95."""
    good = at(8, (0.9, 0.4, 0.1))
    for iou, expected in ((0.6, 1), (0.63, 0)):
        steps = [good] * STABLE_FRAMES + [at(8, (iou, 0.95, 0.1))]
        agreement = 0.25 * 1 + 0.75 * iou
        assert (agreement > 0.75 * 0.95) == (expected == 0)
        assert tracked(SamuraiPolicy(RULES), steps)[0][-1] == expected


def test_a_moving_object_is_expected_where_it_goes():
    steps = [boxes((x, 8, x + 8, 24), iou=(0.9,)) for x in range(4, 40, 2)]
    crossing = boxes((40, 8, 48, 24), (30, 8, 38, 24), iou=(0.7, 0.75))

    assert tracked(SamuraiPolicy(RULES), [*steps, crossing])[0][-1] == 0


def test_a_poor_mask_starts_the_count_again():
    good, poor = at(8, (0.9, 0.4, 0.1)), at(8, (0.3, 0.2, 0.1))

    _, memories = tracked(SamuraiPolicy(RULES), [good] * 20 + [poor, good])

    counts = [MotionNotes.of_numbers(memories.notes(f, "samurai")).stable for f in (20, 21, 22)]
    assert counts == [STABLE_FRAMES, 0, 1]


def test_an_empty_mask_starts_the_filter_again():
    good, gone = at(8, (0.9, 0.4, 0.1)), boxes(None, None, None, iou=(0.9, 0.8, 0.7), score=-3.0)

    _, memories = tracked(SamuraiPolicy(RULES), [good] * 20 + [gone])

    assert MotionNotes.of_numbers(memories.notes(21, "samurai")).motion is None


def test_another_direction_starts_the_filter_again():
    _, memories = tracked(SamuraiPolicy(RULES), [at(8, (0.9, 0.4, 0.1))] * 20)

    chosen = SamuraiPolicy(RULES).choose(
        TrackingStep(9, "backward"), memories, at(8, (0.8, 0.85, 0.1))
    )

    assert chosen == 1


def test_a_mask_where_nothing_was_expected_is_not_remembered():
    good, elsewhere = at(8, (0.9, 0.4, 0.1)), at(40, (0.9, 0.4, 0.1), other=None)
    _, memories = tracked(SamuraiPolicy(RULES), [good] * 16 + [elsewhere] + [good] * 3)

    frames = [frame for frame, _ in SamuraiPolicy(RULES).select(TrackingStep(21), memories)]

    assert 17 not in frames
    assert {16, 20} <= set(frames)


def test_the_filter_is_that_of_deep_sort():
    """Numbers of an implementation with matrices that are written out."""
    motion = BoxMotion.started((0.0, 0.0, 10.0, 20.0))
    assert motion.mean_s.tolist() == [5.0, 10.0, 0.5, 20.0, 0.0, 0.0, 0.0, 0.0]
    deviations = np.sqrt(np.diag(motion.covariance_ss))
    assert deviations == pytest.approx([2.0, 2.0, 1e-2, 2.0, 1.25, 1.25, 1e-5, 1.25])

    predicted = motion.predicted()
    position = 2.0**2 + 1.25**2 + 1.0**2
    assert predicted.covariance_ss[0, 0] == pytest.approx(position)
    assert predicted.covariance_ss[0, 4] == pytest.approx(1.25**2)
    assert predicted.covariance_ss[2, 2] == pytest.approx(2e-4 + 1e-10)

    updated = predicted.updated((2.0, 0.0, 12.0, 20.0))
    gain = position / (position + 1.0**2)
    assert updated.mean_s[0] == pytest.approx(5.0 + gain * 2.0)
    assert updated.mean_s[4] == pytest.approx(1.25**2 / (position + 1.0) * 2.0)
    assert updated.covariance_ss[0, 0] == pytest.approx(position * (1 - gain))
    assert BoxMotion.of_numbers(updated.numbers()).box == updated.box


# Distractor


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


def test_parts_and_boxes():
    mask_hw = np.zeros((8, 8), bool)
    mask_hw[0, 0] = mask_hw[1, 1] = mask_hw[2, 2] = mask_hw[5:7, 5] = True

    assert largest_part(mask_hw).sum() == 3
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 2, 2), None) == box_iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0


# Composition


def test_masks_are_chosen_by_the_first_policy_and_memories_by_the_second():
    policy = ComposedPolicy(SamuraiPolicy(RULES), DistractorPolicy(RULES))
    steps = [at(8, (0.9, 0.4, 0.1))] * 20 + [at(8, (0.85, 0.87, 0.1))]
    chosen, memories = tracked(policy, steps)

    assert chosen[-1] == 0
    assert resolving(memories, 21) == (2, 8, 14, 20)
    assert policy.select(TrackingStep(22), memories) == DistractorPolicy(RULES).select(
        TrackingStep(22), memories
    )


# Tree


def three(*iou, score=5.0):
    return boxes(LEFT, RIGHT, (8, 8, 56, 56), iou=iou, score=score)


def grown(frames):
    """Play the tree; each frame lists the candidates of its hypotheses."""
    policy, memories, kept = TreePolicy(RULES), Remembered(), []
    for frame, hypotheses in enumerate(frames, 1):
        step = TrackingStep(frame)
        assert len(policy.paths(step, memories) or [{}]) == len(hypotheses)
        kept.append(policy.keep(step, memories, hypotheses))
        answer = hypotheses[0]
        memories.remember(frame, kept[-1].notes, answer.score, max(answer.iou))
    return policy, memories, kept


def paths_of(kept):
    numbers = list(kept.notes["tree"])[1:]
    return [PathNotes.of_numbers(numbers[i : i + PATH_WIDTH]) for i in range(0, 96, PATH_WIDTH)]


def test_a_certain_frame_is_not_branched_while_there_is_one_path():
    _, _, kept = grown([[three(0.9, 0.8, 0.7)]] * 3)

    assert [k.masks for k in kept] == [[(0, 0)]] * 3
    assert paths_of(kept[2])[0].score == pytest.approx(2 * math.log(0.9 + 1e-5))


def test_a_doubtful_frame_is_branched_into_masks_that_differ():
    _, _, kept = grown([[three(0.9, 0.8, 0.7)], [three(0.7, 0.75, 0.6, score=-1.0)]])

    assert kept[1].masks == [(0, 1), (0, 0), (0, 2)]
    assert [path.slot for path in paths_of(kept[1])] == [0, 1, 2]


def test_masks_of_equal_iou_count_as_one_and_copies_of_the_path_fill_up():
    _, _, kept = grown([[three(0.9, 0.8, 0.7)], [three(0.751, 0.749, 0.6, score=1.0)]])

    assert kept[1].masks == [(0, 0), (0, 2)]
    assert [path.slot for path in paths_of(kept[1])] == [0, 1, 0]


def test_the_path_that_turns_out_better_becomes_the_answer():
    doubtful = [three(0.7, 0.75, 0.1, score=1.0)]
    after = [three(0.3, 0.2, 0.1), three(0.9, 0.2, 0.1), three(0.1, 0.1, 0.1)]

    _, _, kept = grown([[three(0.9, 0.8, 0.7)], doubtful, after])

    assert kept[2].masks[0] == (1, 0)
    assert paths_of(kept[2])[0].trusted == ((1, 0), (2, 1), (3, 0))


def test_a_path_attends_to_its_own_masks_and_skips_doubtful_frames():
    doubtful = [three(0.7, 0.75, 0.1, score=1.0)]
    after = [three(0.3, 0.2, 0.1), three(0.9, 0.2, 0.1), three(0.1, 0.1, 0.1)]
    policy, memories, _ = grown([[three(0.9, 0.8, 0.7)], doubtful, after])

    first, *_ = policy.paths(TrackingStep(4), memories)
    view = Hypothesis(memories, first)

    assert dict(first) == {3: 0, 2: 1, 1: 0}
    assert policy.select(TrackingStep(4), view) == [(0, 7), (1, 3), (2, 2), (3, 1)]
    assert policy.select_pointers(TrackingStep(4), view) == [(0, 4), (3, 1), (2, 2), (1, 3)]


def test_no_more_than_three_hypotheses_are_kept_and_their_notes_do_not_grow():
    rows = [[three(0.9, 0.8, 0.7)], [three(0.7, 0.75, 0.1, score=1.0)]]
    rows += [[three(0.5, 0.6, 0.4, score=1.0)] * 3] * 30

    _, _, kept = grown(rows)

    assert {len(k.masks) for k in kept[2:]} == {3}
    assert {len(k.notes["tree"]) for k in kept} == {1 + 3 * PATH_WIDTH}
    assert max(len(path.trusted) for path in paths_of(kept[-1])) == 15
