import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.data.coco_masks import read_segments
from sam2_hf.errors import DataError
from tests.training.drawn_data import GREEN_BOX, HEIGHT, WIDTH, coco_rle, square

SIZE = (HEIGHT, WIDTH)
TRIANGLE = [10.0, 10.0, 40.0, 10.0, 10.0, 30.0]


def test_both_kinds_of_run_lengths_are_read():
    objects = read_segments([rle.encode(square()), coco_rle(square(GREEN_BOX))], SIZE)

    assert np.array_equal(objects.mask(0), square())
    assert np.array_equal(objects.mask(1), square(GREEN_BOX))
    assert objects.areas()[0] == pytest.approx(square().mean())


def test_polygons_are_filled():
    objects = read_segments([[TRIANGLE, [50, 40, 60, 40, 60, 46, 50, 46]]], SIZE)

    mask_hw = objects.mask(0)

    assert mask_hw.sum() == pytest.approx(30 * 20 / 2 + 10 * 6, rel=0.1)
    assert mask_hw[12, 12]
    assert mask_hw[43, 55]
    assert not mask_hw[28, 38]


def test_an_object_without_polygons_is_one_that_is_not_visible():
    objects = read_segments([[], [TRIANGLE]], SIZE)

    assert list(objects.areas()) == [1]


def test_what_is_not_annotated_is_unknown():
    objects = read_segments([None, coco_rle(square())], SIZE)

    assert objects.unknown == {0}
    assert list(objects.areas()) == [1]


def test_run_lengths_bring_their_own_size():
    assert read_segments([coco_rle(square())], (0, 0)).size == SIZE


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": [4, 4]},
        {"size": [4], "counts": [16]},
        {"size": [4, 4], "counts": "\x00"},
        {"size": [4, 4], "counts": None},
        "text",
        3.5,
        [["a", "b", "c", "d", "e", "f"]],
    ],
)
def test_what_is_no_mask_is_refused(wrong):
    with pytest.raises(DataError, match=r"a mask is|damaged"):
        read_segments([wrong], SIZE)


def test_damaged_run_lengths_are_refused():
    with pytest.raises(DataError, match="cover 9 pixels, but its size 4x4 has 16"):
        read_segments([{"size": [4, 4], "counts": [5, 4]}], SIZE)


def test_masks_of_several_sizes_are_refused():
    with pytest.raises(DataError, match="several sizes"):
        read_segments([coco_rle(square()), coco_rle(square(size=(40, 60)))], SIZE)


@pytest.mark.parametrize(
    ("polygon", "said"),
    [
        ([0, 0, 1e9, 0, 1e9, 1e9], r"coordinate 1000000000.0, far outside .* 64x48"),
        ([0, 0, 10, -49, 10, 10], "coordinate -49.0, far outside"),
        ([0, 0, 129, 0, 10, 10], "coordinate 129.0, far outside"),
        ([0, 0, float("inf"), 0, 10, 10], "coordinate inf"),
        ([0, 0, float("nan"), 0, 10, 10], "coordinate nan"),
        ([0, 0, 10, 0, 10, 10, 5], r"has 7 number\(s\)"),
        ([1.0, 2.0, 3.0, 4.0], r"has 4 number\(s\)"),
        ([[0, 0], [10, 0], [10, 10]], "a mask is"),
    ],
)
def test_a_polygon_that_cannot_be_drawn_is_refused(polygon, said):
    with pytest.raises(DataError, match=said):
        read_segments([[TRIANGLE, polygon]], SIZE)


def test_a_polygon_may_leave_its_picture_by_its_size():
    large = [-WIDTH, -HEIGHT, 2 * WIDTH, -HEIGHT, 2 * WIDTH, 2 * HEIGHT, -WIDTH, 2 * HEIGHT]

    assert read_segments([[large]], SIZE).mask(0).all()
