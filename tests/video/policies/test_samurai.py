"""Motion helps to choose the mask, three scores the memories."""

from sam2_hf.video.policies.memory_policy import TrackingStep
from sam2_hf.video.policies.samurai import STABLE_FRAMES, MotionNotes, SamuraiPolicy
from tests.video.policies.hand_made import RULES, at, boxes, tracked


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
