"""Quality scores of masklets."""

import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.engine.quality import mask_iou, masklet_scores, moved_iou, way_back
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame
from tests.engine.clips import square


def on_frame(mask_hw, iou=0.9, score=3.0, object_id=1):
    segmentation = rle.to_coco(rle.encode(mask_hw))
    return ObjectOnFrame(object_id, segmentation, int(mask_hw.sum()), iou, score, False)


def tracked(masks, **scores):
    return [TrackedFrame(n, None, (on_frame(mask, **scores),)) for n, mask in enumerate(masks)]


def test_motion_does_not_count_against_stability():
    still, moved = square(0, 0), np.roll(square(0, 0), (3, 12), (0, 1))

    assert mask_iou(still, moved) < 0.3
    assert moved_iou(still, moved) == 1
    assert moved_iou(moved, still) == 1


def test_what_leaves_the_frame_does_not_count_but_a_changed_shape_does():
    bar, half = np.zeros((8, 20), bool), np.zeros((8, 20), bool)
    bar[2:4, 4:12], half[2:4, 6:10] = True, True

    assert moved_iou(bar, half) == 0.5


@pytest.mark.parametrize("shift", [(0, 0), (7, -9), (-25, 30), (2, 55), (-30, -55)])
def test_stability_is_measured_around_the_masks_as_on_whole_frames(shift):
    blob = np.random.default_rng(0).random((9, 12)) < 0.6
    masks = np.zeros((2, 60, 90), bool)
    masks[0, 25:34, 30:42] = blob
    masks[1] = np.roll(masks[0], shift, (0, 1))
    masks[1, 30:, 50:] = False

    (scores,) = masklet_scores(tracked(masks)).values()

    assert scores["stability"] == pytest.approx(moved_iou(*masks), abs=1e-6)


def test_scores_are_means_where_the_object_is_shown():
    masks = [square(0, frame) for frame in range(3)]
    frames = [*tracked(masks), TrackedFrame(3, None, (on_frame(masks[0] & False, 0.1, -9.0),))]

    (scores,) = masklet_scores(frames, {1: 0.25}).values()

    assert scores == {
        "predicted_iou": pytest.approx(0.9),
        "object_score": pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6),
        "stability": 1.0,
        "agreement": 0.25,
    }


def test_a_score_without_anything_to_measure_is_unknown():
    (scores,) = masklet_scores(tracked([square(0, 0)])).values()

    assert (scores["stability"], scores["agreement"]) == (None, None)
    (hidden,) = masklet_scores(tracked([square(0, 0) & False])).values()
    assert set(hidden.values()) == {None}


def test_the_way_back_begins_on_the_last_confident_frame():
    rows = [(n, on_frame(square(0, n), iou)) for n, iou in enumerate([0.9, 0.9, 0.9, 0.2])]

    first, last = way_back(rows, least_iou=0.7, least_score=0.5)
    assert (first[0], last[0]) == (0, 2)
    first, last = way_back([rows[0], rows[3]], least_iou=0.7, least_score=0.5)
    assert (first[0], last[0]) == (0, 3)  # no confident one, but one to check
    assert way_back(rows[:1], least_iou=0.7, least_score=0.5) is None
