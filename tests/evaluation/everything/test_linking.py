"""Masks of single frames, linked by their IoU."""

import numpy as np

from evaluation.everything.linking import MAX_GAP, link_frames
from sam2_hf import VideoEverythingOptions
from sam2_hf.everything.key_frame_masks import KeyFrameMask

SIZE = (20, 60)
OPTIONS = VideoEverythingOptions(min_area=0.0)


def linked(lefts_by_frame, options=OPTIONS):
    """Ids by the left edge of their masks, frame by frame."""

    def find(frame, picture):
        return [box(left, 0.9 - 0.1 * place) for place, left in enumerate(lefts_by_frame[frame])]

    pictures = [np.zeros((*SIZE, 3), np.uint8)] * len(lefts_by_frame)
    return [
        {int(np.flatnonzero(o.mask().any(0))[0]): o.object_id for o in tracked.objects}
        for tracked in link_frames(pictures, find, options)
    ]


def box(left, quality):
    mask = np.zeros(SIZE, bool)
    mask[:10, left : left + 10] = True
    return KeyFrameMask.of(mask, quality)


def test_a_mask_continues_the_id_that_it_overlaps_with_most():
    assert linked([[0, 30], [28, 2], [5, 26, 45]]) == [
        {0: 1, 30: 2},
        {28: 2, 2: 1},
        {5: 1, 26: 2, 45: 3},
    ]


def test_an_id_is_continued_after_a_short_gap_and_not_after_a_long_one():
    short = linked([[0], *[[]] * MAX_GAP, [1]])
    long = linked([[0], *[[]] * (MAX_GAP + 1), [1]])

    assert short[-1] == {1: 1}
    assert long[-1] == {1: 2}


def test_a_mask_that_moves_too_far_gets_a_new_id():
    assert linked([[0], [8]]) == [{0: 1}, {8: 2}]


def test_masks_are_chosen_as_by_the_tracker():
    panoptic = OPTIONS.changed(layout="panoptic", max_objects=2)

    # of the second most is covered, and there is no room for the last
    assert linked([[0, 4, 30, 45]], panoptic) == [{0: 1, 30: 2}]
