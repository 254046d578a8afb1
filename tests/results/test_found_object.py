"""Masks of objects, and where pictures came from."""

import numpy as np

from sam2_hf.results.found_object import LazyMasks, Origin
from tests.results.readers import SIZE, objects, picture, plain_mask, ring_mask


def test_an_object_knows_its_area_box_and_part():
    part, box = objects()[1].part()

    assert (objects()[1].area, box) == (37 * 7, (2, 33, 39, 40))
    assert part.all()
    assert part.shape == (7, 37)
    assert objects()[2].box == (0, 0, 0, 0)


def test_masks_are_decoded_when_they_are_looked_at():
    masks = LazyMasks([found.rle for found in objects()])

    assert len(masks) == 3
    np.testing.assert_array_equal(masks[0], ring_mask())
    np.testing.assert_array_equal(next(iter(masks[1:2])), plain_mask())
    assert masks[-1].shape == SIZE


def test_the_name_of_a_picture_is_that_of_its_file():
    for path in ("a/street.png", "https://example.org/a/street.png?size=2"):
        assert Origin(path, picture).name == "street.png"
    assert Origin("", picture).name == ""
