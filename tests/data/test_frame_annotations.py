import numpy as np
import pytest

from sam2_hf.data.affine import whole_picture
from sam2_hf.data.frame_annotations import LabelMap, MaskList, draw_unions
from tests.training.drawn_data import GREEN_BOX, HEIGHT, WIDTH, square

SIZE = (HEIGHT, WIDTH)
AFFINE = whole_picture(SIZE, 32)


def as_byte(labels_hw):
    return LabelMap(labels_hw.astype(np.uint8))


def as_number(labels_hw):
    return LabelMap(labels_hw.astype(np.int32))


@pytest.mark.parametrize("read", [as_byte, as_number])
def test_labels_need_not_follow_each_other(read):
    objects = read(square() * 7 + (square(GREEN_BOX) & ~square()) * 200)

    areas = objects.areas()

    assert list(areas) == [7, 200]
    assert areas[7] == pytest.approx(square().mean())


@pytest.mark.parametrize("read", [as_byte, as_number])
def test_a_label_that_is_not_there_is_an_empty_mask(read):
    found = read(square() * 7).transformed([3, 7, 999], AFFINE)

    assert found.any(axis=(1, 2)).tolist() == [False, True, False]


def test_overlapping_masks_keep_what_they_share():
    masks = [square(), square(GREEN_BOX)]

    found = MaskList.of(masks, SIZE).transformed([0, 1], AFFINE)

    alone = [AFFINE.labels(mask.astype(np.uint8)) > 0 for mask in masks]
    assert (found[0] & found[1]).any()
    assert np.array_equal(found, alone)


def test_more_masks_than_fit_into_a_byte_are_transformed_in_order():
    masks = [square((row, 0, row + 10, 20)) for row in range(20)]
    order = list(range(19, -1, -1))

    found = MaskList.of(masks, SIZE).transformed(order, AFFINE)

    expected = [AFFINE.labels(masks[number].astype(np.uint8)) > 0 for number in order]
    assert np.array_equal(found, expected)


def test_masks_are_drawn_only_when_they_are_wanted():
    drawn = []
    objects = MaskList(SIZE, {4: 480, 5: 0, 6: 9}, lambda number: drawn.append(number) or square())

    objects.areas()
    objects.transformed([4, 5], AFFINE)

    assert drawn == [4]
    assert list(objects.areas()) == [4, 6]


def test_a_point_lies_in_the_object():
    objects = as_byte(square())

    points = [objects.point(1, np.random.default_rng(seed)) for seed in range(20)]

    assert all(square()[int(y), int(x)] for x, y in points)
    assert len(set(points)) > 10


def test_an_object_that_is_not_visible_has_an_empty_mask():
    assert not MaskList.of([np.zeros(SIZE, np.bool_)], SIZE).mask(0).any()


def three_stripes(background=0):
    """A background and stripes 1, 2 and 3 beside each other."""
    labels_hw = np.full(SIZE, background, np.uint8)
    for label in (1, 2, 3):
        labels_hw[4:20, 6 * label : 6 * label + 6] = label
    return labels_hw


def test_labels_together_are_one_more_object():
    labels_hw = three_stripes()
    objects = LabelMap(labels_hw, [[1, 2]])

    assert list(objects.areas()) == [1, 2, 3, 4]
    assert objects.areas()[4] == pytest.approx(((labels_hw == 1) | (labels_hw == 2)).mean())
    assert np.array_equal(objects.mask(4), (labels_hw == 1) | (labels_hw == 2))
    union, one, two = objects.transformed([4, 1, 2], AFFINE)
    assert np.array_equal(union, one | two)


def test_the_first_union_is_the_whole_where_there_is_a_background():
    found = draw_unions(three_stripes(), 1, np.random.default_rng(0))

    assert found == [[1, 2, 3]]


def test_other_unions_are_of_labels_that_touch():
    found = [
        union
        for seed in range(50)
        for union in draw_unions(three_stripes(background=9), 3, np.random.default_rng(seed))
    ]

    apart = three_stripes()
    apart[:, 11:13] = 0  # a gap between 1 and 2
    torn = [
        union
        for seed in range(50)
        for union in draw_unions(apart, 3, np.random.default_rng(seed))[1:]
    ]
    assert {tuple(sorted(union)) for union in found} >= {(1, 2), (2, 3), (1, 9)}
    assert (1, 3) not in {tuple(sorted(union)) for union in found}
    assert {tuple(sorted(union)) for union in torn} == {(2, 3)}


def test_a_single_label_has_no_union():
    assert draw_unions((three_stripes() > 0).astype(np.uint8), 3, np.random.default_rng(0)) == []
