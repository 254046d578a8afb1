"""Outlines that give the mask back."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from sam2_hf.results.polygons import draw_polygons, joined, mask_polygons
from tests.results.readers import SIZE, fill, plain_mask, ring_mask


def random_masks():
    """Noise at several scales: parts, holes, corners that touch, islands in holes."""
    rng = np.random.default_rng(0)
    for sigma in (0, 0, 0.8, 2, 5):
        noise = rng.standard_normal((31, 43))
        yield (gaussian_filter(noise, sigma) if sigma else noise) > 0
    yield np.ones((3, 5), bool)
    yield np.eye(6, dtype=bool)[:, ::-1]


@pytest.mark.parametrize("number", range(7))
def test_every_reader_gets_the_mask_back_from_the_polygons(number):
    mask = list(random_masks())[number]

    rings = mask_polygons(mask)

    np.testing.assert_array_equal(draw_polygons(rings, mask.shape), mask)  # pycocotools
    np.testing.assert_array_equal(fill(rings, mask.shape), mask)
    np.testing.assert_array_equal(draw_polygons([joined(rings)], mask.shape), mask)
    np.testing.assert_array_equal(fill([joined(rings)], mask.shape), mask)


def test_each_connected_part_has_one_polygon_with_its_holes():
    first, second = sorted(mask_polygons(ring_mask()), key=lambda ring: ring[:, 0].min())

    np.testing.assert_array_equal(first.min(axis=0), [4, 5])
    np.testing.assert_array_equal(second, [[40, 5], [52, 5], [52, 30], [40, 30]])


def test_pixels_that_touch_at_a_corner_are_one_part():
    assert len(mask_polygons(np.eye(4, dtype=bool))) == 1


def test_straight_sides_and_slopes_have_few_corners():
    assert len(mask_polygons(plain_mask())[0]) == 4
    slope = np.tril(np.ones((200, 200), bool))
    assert len(mask_polygons(slope)[0]) < 10


def test_an_empty_mask_has_no_polygon():
    assert mask_polygons(np.zeros(SIZE, bool)) == []
