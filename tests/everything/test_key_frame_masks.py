"""Overlaps of masks, and pairs of them."""

import numpy as np

from sam2_hf.everything.key_frame_masks import KeyFrameMask, Overlaps, pair_up
from tests.everything.masks import SIZE, found, rectangle


def test_a_mask_is_kept_exactly():
    mask = np.random.default_rng(0).random(SIZE) > 0.5

    kept = KeyFrameMask.of(mask, 0.5)

    np.testing.assert_array_equal(kept.mask(), mask)
    assert (kept.area, kept.quality) == (mask.sum(), 0.5)


def test_overlaps_are_those_of_the_pixels():
    random = np.random.default_rng(1)
    first = [random.random(SIZE) > share for share in (0.2, 0.5, 0.97)]
    second = [random.random(SIZE) > share for share in (0.4, 1.1)]  # the last one is empty

    overlaps = Overlaps.of(
        *([KeyFrameMask.of(mask, 1.0).segmentation for mask in part] for part in (first, second))
    )

    for row, mask in enumerate(first):
        for column, other in enumerate(second):
            assert overlaps.shared_mn[row, column] == (mask & other).sum()
            expected = (mask & other).sum() / max((mask | other).sum(), 1)
            assert overlaps.iou_mn[row, column] == expected


def test_no_masks_overlap_with_nothing():
    masks = [found(0, 0, 5, 5).segmentation]

    assert Overlaps.of([], masks).iou_mn.shape == (0, 1)
    assert Overlaps.of(masks, []).iou_mn.shape == (1, 0)
    assert (
        Overlaps.of([KeyFrameMask.of(rectangle(0, 0, 0, 0), 1.0).segmentation], masks).iou_mn == 0
    )


def test_the_best_pairs_come_first_and_each_mask_once():
    scores = np.array([[0.9, 0.8, 0.0], [0.85, 0.4, 0.6], [0.0, 0.55, 0.0]])

    assert pair_up(scores, 0.5) == [(0, 0), (1, 2), (2, 1)]
    assert pair_up(scores, 0.7) == [(0, 0)]
    assert pair_up(np.zeros((2, 2)), 0.0) == []
    assert pair_up(np.zeros((0, 3)), 0.5) == []
