"""Where a segment is clicked."""

import numpy as np
import pytest

from evaluation.comparison.baselines import innermost_point
from sam2_hf.errors import DataError


def slow_innermost_point(mask_hw):
    """Distance of every inside pixel to every outside one, the rim of the picture included."""
    padded = np.pad(mask_hw, 1)
    outside = np.argwhere(~padded)
    inside = np.argwhere(padded)
    squared = ((inside[:, None] - outside[None]) ** 2).sum(-1).min(1)
    y, x = inside[squared.argmax()]
    return x - 1, y - 1


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_pixel_farthest_from_the_outside(seed):
    y, x = np.indices((30, 40))
    circles = np.random.default_rng(seed).uniform((0, 0, 4), (40, 30, 12), (4, 3))
    mask_hw = np.any([(x - a) ** 2 + (y - b) ** 2 < r**2 for a, b, r in circles], axis=0)

    assert innermost_point(mask_hw) == slow_innermost_point(mask_hw)


def test_of_equal_pixels_the_first_in_reading_order_is_clicked():
    mask_hw = np.zeros((10, 10), bool)
    mask_hw[2:4, 5:9] = True

    assert innermost_point(mask_hw) == (5, 2)


def test_the_rim_of_the_picture_is_outside():
    assert innermost_point(np.ones((5, 9), bool)) == (2, 2)


def test_the_largest_of_several_pieces_is_clicked():
    mask_hw = np.zeros((20, 20), bool)
    mask_hw[:3, :3] = mask_hw[10:17, 10:17] = True

    assert innermost_point(mask_hw) == (13, 13)


def test_an_empty_mask_is_refused():
    with pytest.raises(DataError, match="empty"):
        innermost_point(np.zeros((4, 4), bool))
