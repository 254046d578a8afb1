"""Masks drawn over the frames of a video."""

import numpy as np
import pytest

from sam2_hf.overlay import FILL, DrawnPrompts, draw_overlay, object_colors
from sam2_hf.results.labeled_overlay import draw_masklets, draw_objects
from tests.results import readers
from tests.results.readers import Scene, found, plain_mask, ring_mask

SIZE = (120, 160)
GRAY = 100


@pytest.fixture
def picture():
    return np.full((*SIZE, 3), GRAY, np.uint8)


def block(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[rows, columns] = True
    return mask


LEFT, RIGHT = block(slice(40, 100), slice(10, 70)), block(slice(40, 100), slice(90, 150))


def tint(place, count):
    color = np.array(object_colors(count)[place])
    return np.rint((1 - FILL) * GRAY + FILL * color)


def test_an_object_keeps_its_color_whoever_else_is_there(picture):
    alone = draw_masklets(picture, {7: RIGHT}, (3, 7))
    together = draw_masklets(picture, {7: RIGHT, 3: LEFT}, (3, 7))
    hidden = draw_masklets(picture, {7: RIGHT, 3: np.zeros(SIZE, bool)}, (3, 7))

    for drawn in (alone, together, hidden):
        np.testing.assert_array_equal(drawn[80, 120], tint(1, 2))


def test_several_objects_wear_their_numbers_and_one_does_not(picture):
    numbered = draw_masklets(picture, {3: LEFT, 7: RIGHT}, (3, 7))
    plain = draw_masklets(picture, {3: LEFT}, (3,))

    tops = [drawn[34:48, 32:48].astype(int) for drawn in (numbered, plain)]
    assert (tops[0].sum(axis=2) < 150).any()  # black digits
    assert not (tops[1].sum(axis=2) < 150).any()


def test_numbers_at_one_place_stand_side_by_side(picture):
    drawn = draw_masklets(picture, {3: LEFT, 7: LEFT}, (3, 7)).astype(int)

    digits = np.flatnonzero((drawn[30:50].sum(axis=2) < 150).any(axis=0))
    assert digits.max() - digits.min() > 12


def test_a_number_stays_on_the_picture(picture):
    corner = block(slice(0, 6), slice(0, 3))

    drawn = draw_masklets(picture, {3: corner, 7: RIGHT}, (3, 7)).astype(int)

    assert (drawn[:16, :16].sum(axis=2) < 150).any()


def test_prompts_are_drawn_and_the_picture_is_left_alone(picture):
    prompts = DrawnPrompts(((40, 70, True),))

    drawn = draw_masklets(picture, {3: LEFT}, (3,), prompts).astype(int)

    red, green, blue = drawn[70, 40]
    assert green > red + 50
    assert green > blue
    assert (picture == GRAY).all()


def test_a_photo_has_one_look_as_a_plot_and_on_the_command_line():
    scene = Scene([found(1, ring_mask()), found(2, plain_mask(), "cup")])

    drawn = draw_objects(readers.picture(), scene.given, numbered=True)

    np.testing.assert_array_equal(np.asarray(scene.plot(readers.picture())), np.asarray(drawn))


def test_named_masks_of_everything_are_labeled_and_the_others_are_not():
    class Everything(Scene):
        IS_EVERYTHING = True

    def drawn(*names):
        masks = [ring_mask(), plain_mask()]
        given = [found(place, masks[place], name) for place, name in enumerate(names)]
        return np.asarray(Everything(given).plot(readers.picture()))

    plain = draw_overlay(readers.picture(), [ring_mask(), plain_mask()])
    np.testing.assert_array_equal(drawn(None, None), plain)
    assert (drawn(None, "cup")[25:] != plain[25:]).any()
    np.testing.assert_array_equal(drawn(None, "cup")[:20], plain[:20])
