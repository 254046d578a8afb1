"""Means over frames and objects, recall and decay."""

import numpy as np
import pytest

from evaluation.metrics import (
    MaskAccuracy,
    MaskletScore,
    MaskletValues,
    mean_score,
    score_masklet,
    summarize,
)
from sam2_hf.errors import DataError
from tests.slow_scores import slow_decay

EXACT = 1e-12


def blank():
    return np.zeros((24, 36), bool)


def with_box(top, bottom, left, right):
    mask_hw = blank()
    mask_hw[top:bottom, left:right] = True
    return mask_hw


def values(*j):
    return MaskletValues(tuple(MaskAccuracy(one, 1 - one) for one in j))


def test_a_masklet_is_scored_without_its_first_and_last_frame():
    truth_thw = np.stack([with_box(0, 4, 0, 4)] * 4)
    predicted_thw = np.stack([blank(), truth_thw[1], blank(), blank()])

    assert score_masklet(truth_thw, predicted_thw) == MaskletScore(50, 50)


def test_the_truth_scores_a_hundred():
    truth_thw = np.stack([with_box(2, 9, x, x + 7) for x in range(5)])

    assert score_masklet(truth_thw, truth_thw).j_and_f == 100


def test_every_object_counts_the_same():
    assert mean_score([MaskletScore(0, 10), MaskletScore(100, 30)]) == MaskletScore(50, 20)


def test_masks_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"\(4, 24, 36\).*\(3, 24, 36\)"):
        score_masklet(np.zeros((4, 24, 36), bool), np.zeros((3, 24, 36), bool))


def test_two_frames_are_refused():
    with pytest.raises(DataError, match="2 frame"):
        score_masklet(np.zeros((2, 24, 36), bool), np.zeros((2, 24, 36), bool))


def test_a_mean_over_nothing_is_refused():
    with pytest.raises(DataError, match="no objects"):
        mean_score([])


def test_recall_is_the_share_of_frames_above_a_half():
    summary = summarize([values(0.5, 0.6, 0.4, 0.9)])

    assert (summary.j_recall, summary.f_recall) == (50, 25)


def test_decay_is_what_is_lost_from_the_first_quarter_to_the_last():
    assert summarize([values(1, 1, 0.5, 0.5, 0, 0, 0, 0)]).j_decay == pytest.approx(250 / 3)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 48, 256, 298, 1000])
def test_decay_is_right_for_sequences_of_any_length(count):
    """The original counts frames in 8 bits: above 256 it gives no number, or another one."""
    j_t = np.random.default_rng(count).random(count)

    assert summarize([values(*j_t)]).j_decay == pytest.approx(
        100 * slow_decay(j_t), abs=EXACT * 100
    )


def test_a_summary_averages_over_objects_and_not_over_frames():
    summary = summarize([values(1, 1, 1), values(0)])

    assert (summary.j, summary.f, summary.j_and_f, summary.num_objects) == (50, 50, 50, 2)
