"""Which masks show the same object."""

import numpy as np
import pytest

from sam2_hf.errors import PromptError
from sam2_hf.open_vocabulary.mask_matching import MatchingRules, mask_overlaps


def stripe(begin, end):
    mask_hw = np.zeros((4, 100), bool)
    mask_hw[:, begin:end] = True
    return mask_hw


def overlaps(new, known):
    return mask_overlaps(np.stack(new), np.stack(known))


def test_overlaps_are_measured_both_ways():
    found = overlaps([stripe(0, 20), stripe(50, 60)], [stripe(10, 50), stripe(0, 100)])

    np.testing.assert_allclose(found.iou_nm, [[10 / 50, 0.2], [0, 0.1]])
    np.testing.assert_allclose(found.new_in_known_nm, [[0.5, 1], [0, 1]])
    np.testing.assert_allclose(found.known_in_new_nm, [[0.25, 0.2], [0, 0.1]])


def test_masks_show_one_object_by_iou_or_if_one_lies_in_the_other():
    new = [stripe(0, 60), stripe(0, 10), stripe(35, 100)]
    found = overlaps(new, [stripe(0, 40)])

    assert found.same_object(MatchingRules()).tolist() == [[True], [True], [False]]
    assert found.same_object(MatchingRules(containment=1.0, iou=0.7)).tolist() == [
        [True],
        [True],
        [False],
    ]


def test_empty_masks_and_empty_lists_match_nothing():
    found = overlaps([stripe(0, 0)], [stripe(0, 0), stripe(0, 9)])
    none = mask_overlaps(np.zeros((0, 4, 100), bool), stripe(0, 9)[None])

    assert not found.same_object(MatchingRules()).any()
    assert none.same_object(MatchingRules()).shape == (0, 1)


def test_counts_of_pixels_of_large_masks_are_exact():
    large = np.ones((3000, 3001), bool)

    assert mask_overlaps(large[None], large[None]).iou_nm.item() == 1.0


@pytest.mark.parametrize("value", [0, 1.1, -1, float("nan"), "half", True])
def test_a_rule_that_is_no_share_is_refused(value):
    with pytest.raises(PromptError, match="iou is"):
        MatchingRules(iou=value)
