"""Scores of masklets that nothing prompted, against values computed by hand."""

import numpy as np
import pytest

from evaluation.everything.scoring import (
    MOST_PROPOSALS,
    SwitchCounter,
    proposals,
    score_unprompted,
    summarize_unprompted,
)
from evaluation.sets.open_set import open_set
from sam2_hf import rle
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame
from tests.small_sets import SIZE, boxes, write_davis

FRAMES = 6


@pytest.fixture
def video(tmp_path):
    """A video of two boxes, labeled 1 and 2."""
    (found,) = open_set("davis17-val", str(write_davis(tmp_path, ("cat",), FRAMES)))
    return found


def frames_of(masks_by_frame):
    """Tracked frames of masks by masklet."""
    return [
        TrackedFrame(
            frame,
            None,
            tuple(
                ObjectOnFrame(
                    number,
                    rle.to_coco(rle.encode(mask)),
                    int(mask.sum()),
                    0.9,
                    5.0,
                    prompted=False,
                )
                for number, mask in masks.items()
            ),
        )
        for frame, masks in enumerate(masks_by_frame)
    ]


def true_masks(frame):
    return {number: boxes(frame) == number for number in (1, 2)}


def test_the_truth_under_other_ids_scores_100(video):
    frames = frames_of(
        [{7: true_masks(frame)[2], 30: true_masks(frame)[1]} for frame in range(FRAMES)]
    )

    score = score_unprompted(video, frames)

    assert {n: values.score.j_and_f for n, values in score.objects.items()} == {1: 100, 2: 100}
    assert score.assigned == {1: 30, 2: 7}
    assert score.switches == {1: 0, 2: 0}
    assert (score.found, score.num_masklets) == (2, 2)


def test_a_masklet_is_assigned_once_and_over_the_whole_video(video):
    # 5 is best for both objects on some frames, 6 covers the second one half of the time
    both = [
        {5: true_masks(f)[1] | true_masks(f)[2]} | ({6: true_masks(f)[2]} if f < 3 else {})
        for f in range(FRAMES)
    ]

    score = score_unprompted(video, frames_of(both))

    assert score.assigned == {1: 5, 2: 6}
    assert score.objects[1].score.j == pytest.approx(50)
    assert score.objects[2].score.j == pytest.approx(50)
    assert score.found == 0


def test_all_frames_are_scored_also_the_first_and_the_last(video):
    masks = [true_masks(frame) for frame in range(FRAMES)]
    del masks[0][1], masks[-1][1]

    score = score_unprompted(video, frames_of(masks))

    assert score.objects[1].score.j == pytest.approx(100 * (FRAMES - 2) / FRAMES)
    assert len(score.objects[1].frames) == FRAMES


def test_nothing_found_scores_0(video):
    score = score_unprompted(video, frames_of([{}] * FRAMES))

    assert [values.score.j_and_f for values in score.objects.values()] == [0, 0]
    assert score.assigned == {1: None, 2: None}
    assert (score.found, score.num_masklets) == (0, 0)


def test_another_id_for_the_same_object_is_a_switch(video):
    masks = [
        {(1 if frame < 3 else 9): true_masks(frame)[1], 2: true_masks(frame)[2]}
        for frame in range(FRAMES)
    ]

    score = score_unprompted(video, frames_of(masks))

    assert score.switches == {1: 1, 2: 0}
    assert score.objects[1].score.j == pytest.approx(50)


def test_proposals_are_the_longest_masklets_then_the_largest():
    mask, large = np.zeros(SIZE, bool), np.ones(SIZE, bool)
    mask[:3, :3] = True
    many = dict.fromkeys(range(1, 40), mask)
    frames = frames_of([many, {25: mask, 30: mask}, {30: large}])

    kept = proposals(frames)

    assert len(kept) == MOST_PROPOSALS == 20
    assert {25, 30} <= set(kept)
    assert kept == [*range(1, 19), 25, 30]


def masks_at(*lefts, width=10):
    """Masks of one row each, which begin at columns; None is out of view."""
    found = {}
    for number, left in enumerate(lefts, 1):
        if left is not None:
            mask = np.zeros((1, 60), bool)
            mask[0, left : left + width] = True
            found[number] = mask
    return found


def test_exchanged_ids_are_two_switches():
    counter = SwitchCounter()
    counter.feed(masks_at(0, 30), masks_at(0, 30))
    counter.feed(masks_at(0, 30), masks_at(30, 0))

    assert counter.switches == {1: 1, 2: 1}


def test_an_id_kept_through_an_absence_is_no_switch_and_a_new_one_is():
    counter = SwitchCounter()
    for truth, found in [
        (masks_at(0), masks_at(0)),
        (masks_at(None), masks_at(None)),
        (masks_at(20), masks_at(20)),
        (masks_at(None), masks_at(None)),
        (masks_at(40), masks_at(None, 40)),
    ]:
        counter.feed(truth, found)

    assert counter.switches == {1: 1}


def test_a_pair_is_kept_while_it_is_good_even_if_another_mask_is_better():
    counter = SwitchCounter()
    counter.feed(masks_at(0), masks_at(0))
    counter.feed(masks_at(0), masks_at(3, 0))
    assert counter.switches == {}

    counter.feed(masks_at(0), masks_at(6, 0))  # IoU 4 / 16
    assert counter.switches == {1: 1}


def test_masks_that_overlap_too_little_are_no_pair():
    counter = SwitchCounter()
    counter.feed(masks_at(0), masks_at(0))
    counter.feed(masks_at(20), masks_at(None, 26))

    assert counter.switches == {}


def test_a_summary_weighs_objects_equally(video, tmp_path):
    good = score_unprompted(video, frames_of([true_masks(frame) for frame in range(FRAMES)]))
    bad = score_unprompted(video, frames_of([{}] * FRAMES))

    summary = summarize_unprompted([good, bad])

    assert summary.j_and_f == pytest.approx(50)
    assert summary.recall == pytest.approx(50)
    assert (summary.switches, summary.num_objects, summary.num_masklets) == (0, 4, 1)
