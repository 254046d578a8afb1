"""Several hypotheses of an object, and which of them go on."""

import math

import pytest

from sam2_hf.video.policies.hypothesis import Hypothesis
from sam2_hf.video.policies.memory_policy import TrackingStep
from sam2_hf.video.policies.tree import PATH_WIDTH, PathNotes, TreePolicy
from tests.video.policies.hand_made import LEFT, RIGHT, RULES, Remembered, boxes


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
