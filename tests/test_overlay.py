"""Pictures of masks."""

import itertools

import numpy as np
import pytest
from PIL import Image

from sam2_hf.overlay import (
    FILL,
    DrawnPrompts,
    draw_heat,
    draw_overlay,
    label_map,
    label_picture,
    mask_colors,
    object_colors,
)

SIZE = (60, 90)
GRAY = 100


@pytest.fixture
def photo():
    return np.full((*SIZE, 3), GRAY, np.uint8)


def rectangle(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


LARGE = rectangle(slice(10, 50), slice(10, 80))
SMALL = rectangle(slice(20, 30), slice(20, 40))


def test_the_inside_is_tinted_and_the_rest_is_left_alone(photo):
    picture = draw_overlay(photo, [LARGE])

    (color,) = mask_colors([LARGE])
    expected = np.rint((1 - FILL) * GRAY + FILL * np.array(color))
    np.testing.assert_array_equal(picture[30, 45], expected)
    np.testing.assert_array_equal(picture[2, 2], [GRAY] * 3)


def test_the_photo_itself_is_not_drawn_on(photo):
    draw_overlay(photo, [LARGE], DrawnPrompts(((45, 30, True),), ((5, 5, 50, 50),)))

    assert (photo == GRAY).all()


def test_a_contour_has_the_color_of_its_mask_and_a_white_rim(photo):
    picture = draw_overlay(photo, [LARGE])

    (color,) = mask_colors([LARGE])
    edge = picture[5:15, 45].astype(int)
    assert np.abs(edge - np.array(color)).sum(axis=1).min() < 60
    assert edge.min(axis=1).max() > 170  # whiter than photo and contour


def test_no_contour_runs_along_the_photos_border(photo):
    everything = np.ones(SIZE, bool)

    picture = draw_overlay(photo, [everything])

    assert len(np.unique(picture.reshape(-1, 3), axis=0)) == 1


def test_a_photo_without_masks_stays_the_same(photo):
    np.testing.assert_array_equal(draw_overlay(photo, []), photo)


def test_an_empty_mask_draws_nothing(photo):
    np.testing.assert_array_equal(draw_overlay(photo, [np.zeros(SIZE, bool)]), photo)


@pytest.mark.parametrize(("positive", "channel"), [(True, 1), (False, 0)])
def test_a_click_is_a_marker_of_its_color(photo, positive, channel):
    picture = draw_overlay(photo, [], DrawnPrompts(clicks=((45, 30, positive),)))

    pixel = picture[30, 45].astype(int)
    assert pixel[channel] == pixel.max()
    assert pixel[channel] > GRAY


def test_a_plus_has_four_arms_and_a_minus_two(photo):
    plus = draw_overlay(photo, [], DrawnPrompts(clicks=((45, 30, True),)))
    minus = draw_overlay(photo, [], DrawnPrompts(clicks=((45, 30, False),)))

    above = (25, 45)  # five pixels above the click
    assert (plus[above] != GRAY).any()
    assert (minus[above] == GRAY).all()


def test_prompts_on_and_over_the_edge_are_drawn_as_far_as_there_is_a_photo(photo):
    prompts = DrawnPrompts(clicks=((0, 0, True), (89, 59, False)), boxes=((-20, -5, 200, 70),))

    picture = draw_overlay(photo, [], prompts)

    assert picture.shape == photo.shape
    assert (picture[0, 0] != GRAY).any()


def test_a_box_is_drawn_around_and_not_inside(photo):
    picture = draw_overlay(photo, [], DrawnPrompts(boxes=((20, 15, 60, 45),)))

    assert (picture[15, 40] != GRAY).any()
    assert (picture[30, 20] != GRAY).any()
    assert (picture[30, 40] == GRAY).all()


def test_the_smaller_mask_lies_on_top_whatever_the_order():
    first = label_map([SMALL, LARGE], SIZE)
    second = label_map([LARGE, SMALL], SIZE)

    assert (first[25, 30], first[45, 70]) == (1, 2)
    assert (second[25, 30], second[45, 70]) == (2, 1)
    assert first[0, 0] == 0


def test_masks_that_touch_differ_in_color():
    columns = [rectangle(slice(None), slice(start, start + 10)) for start in range(0, 90, 10)]

    colors = mask_colors(columns)

    assert all(left != right for left, right in itertools.pairwise(colors))


def test_fourteen_overlapping_masks_have_fourteen_colors():
    assert len(set(mask_colors([LARGE] * 14))) == 14


def test_a_label_picture_holds_numbers_and_shows_colors():
    picture = label_picture([LARGE, SMALL], SIZE)

    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), label_map([LARGE, SMALL], SIZE))
    assert picture.convert("RGB").getpixel((30, 25)) == mask_colors([LARGE, SMALL])[1]


def test_more_masks_than_a_palette_holds_become_a_16_bit_picture():
    masks = [rectangle(index // 90, index % 90) for index in range(300)]

    picture = label_picture(masks, SIZE)

    assert isinstance(picture, Image.Image)
    assert picture.mode.startswith("I")
    assert np.asarray(picture).max() == 300


def test_a_label_picture_without_masks_is_all_background():
    picture = label_picture([], SIZE)

    assert picture.size == (90, 60)
    assert not np.asarray(picture).any()


def test_colors_may_be_chosen_by_the_caller(photo):
    picture = draw_overlay(photo, [LARGE], colors=[(200, 0, 100)])

    expected = np.rint((1 - FILL) * GRAY + FILL * np.array((200, 0, 100)))
    np.testing.assert_array_equal(picture[30, 45], expected)


def test_fourteen_objects_of_a_video_have_different_colors_and_then_they_repeat():
    colors = object_colors(15)

    assert len(set(colors)) == 14
    assert colors[14] == colors[0]
    assert object_colors(3) == colors[:3]


def test_a_heat_map_of_any_size_tints_where_it_is_high():
    gray = np.full((8, 12, 3), 100, np.uint8)

    drawn = draw_heat(gray, np.array([[0.0, 0.2]]), color=(255, 0, 0))

    assert drawn.shape == gray.shape
    assert (drawn[:, 0] == 60).all()
    assert (drawn[:, -1] == (216, 12, 12)).all()  # four fifths of the color
    pale = draw_heat(gray, np.array([[0.0, 0.2]]), color=(255, 0, 0), largest=0.4)
    assert (pale[:, -1] == (138, 36, 36)).all()  # two fifths: another map has twice as much
    assert (draw_heat(gray, np.zeros((2, 2))) == 60).all()
    assert (gray == 100).all()
