"""Which key-frame masks are known objects, and which are new."""

import numpy as np

from sam2_hf import VideoEverythingOptions
from sam2_hf.everything.matching import distinct_masks, duplicate_tracks, match_masks
from tests.everything.masks import SIZE, found, tracked

OPTIONS = VideoEverythingOptions()
PANOPTIC = VideoEverythingOptions(layout="panoptic")


def new_of(masks, known, options=OPTIONS):
    return match_masks(masks, known, options).new


def test_of_duplicates_the_better_one_stays_and_small_masks_go():
    good, copy = found(0, 0, 20, 20, 0.8), found(0, 0, 20, 19, 0.9)
    other, speck = found(30, 0, 50, 20, 0.7), found(55, 35, 56, 36, 1.0)

    assert distinct_masks([good, copy, other, speck], SIZE, OPTIONS) == [copy, other]
    assert distinct_masks([good, speck], SIZE, OPTIONS.changed(min_area=0.0)) == [speck, good]
    assert distinct_masks([], SIZE, OPTIONS) == []


def test_a_mask_that_is_tracked_is_known_under_its_id():
    mask, other = found(1, 0, 21, 20), found(40, 20, 55, 35)

    match = match_masks([mask, other], tracked((0, 0, 20, 20)), OPTIONS)

    assert match.known == {1: mask}
    assert match.new == [other]


def test_a_tracked_object_is_the_mask_that_it_overlaps_with_most():
    near, nearer = found(6, 0, 26, 20, 0.99), found(2, 0, 22, 20, 0.5)

    match = match_masks([near, nearer], tracked((0, 0, 20, 20)), OPTIONS)

    assert match.known == {1: nearer}
    assert match.new == []  # most of it is covered


def test_a_part_of_a_tracked_object_is_not_new():
    assert new_of([found(2, 2, 8, 8)], tracked((0, 0, 30, 30))) == []


def test_a_whole_is_not_new_if_its_tracked_parts_cover_most_of_it():
    whole, parts = found(0, 0, 40, 30), tracked((0, 0, 20, 30), (20, 0, 32, 30))

    assert new_of([whole], parts, OPTIONS.changed(match_iou=0.6)) == []
    assert new_of([whole], tracked((0, 0, 10, 30))) == [whole]


def test_parts_and_wholes_that_are_found_together_are_all_new_if_they_may_overlap():
    whole, part = found(0, 0, 30, 30, 0.9), found(5, 5, 15, 15, 0.8)

    assert new_of([whole, part], {}) == [whole, part]


def test_in_the_panoptic_layout_each_pixel_is_of_the_best_mask():
    best, worse, inside = found(0, 0, 20, 20), found(15, 0, 40, 20), found(2, 2, 8, 8)
    known = tracked((35, 0, 50, 20))

    new = new_of([best, worse, inside], known, PANOPTIC)

    assert [mask.area for mask in new] == [400, 15 * 20]
    stacked = sum(mask.mask().astype(int) for mask in new)
    assert stacked.max() == 1
    assert not np.any(stacked[:, 35:])


def test_what_is_left_of_a_mask_must_be_large_enough():
    known = tracked((0, 0, 20, 20))
    mask = found(0, 0, 22, 20)

    assert new_of([mask], known, OPTIONS.changed(match_iou=0.99, min_new_share=0.05)) == [mask]
    assert new_of([mask], known, OPTIONS.changed(match_iou=0.99, min_new_share=0.2)) == []
    large = OPTIONS.changed(match_iou=0.99, min_new_share=0.05, min_area=0.05)
    assert new_of([mask], known, large) == []


def test_an_object_with_the_mask_of_an_older_one_is_its_duplicate():
    masks = tracked((0, 0, 20, 20), (30, 0, 50, 20), (0, 0, 20, 19), (0, 0, 19, 20))

    assert duplicate_tracks(masks, OPTIONS) == {3: 1, 4: 1}
    assert duplicate_tracks({}, OPTIONS) == {}
