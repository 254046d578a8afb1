"""Candidate masks: boxes around them, and their parts."""

import numpy as np
import pytest

from sam2_hf.video.policies.mask_candidates import box_iou, largest_part
from tests.video.policies.hand_made import LEFT, boxes


def test_parts_and_boxes():
    mask_hw = np.zeros((8, 8), bool)
    mask_hw[0, 0] = mask_hw[1, 1] = mask_hw[2, 2] = mask_hw[5:7, 5] = True

    assert largest_part(mask_hw).sum() == 3
    assert box_iou((0, 0, 2, 2), (1, 0, 3, 2)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 2, 2), None) == box_iou((0, 0, 1, 1), (2, 2, 3, 3)) == 0


def test_candidates_know_their_best_area_and_box():
    found = boxes(LEFT, [(0, 0, 1, 1), (9, 4, 10, 6)], None, iou=(0.5, 0.7, 0.7))

    assert found.best == 1
    assert [found.area(index) for index in range(3)] == [256, 3, 0]
    assert found.box(0) == LEFT
    assert found.box(1) == (0, 0, 10, 6)
    assert found.box(2) is None
