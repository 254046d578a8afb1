"""Guesses that need no model."""

import numpy as np

from evaluation.comparison.baselines import ANY_DISC, BOX, DISC, FLOOD, guess_without_model
from tests.labeled_squares import picture_of, square_mask

CLICK = (9, 11)


def guesses_of(method, picture_hw3, click=CLICK):
    (guesses,) = guess_without_model(picture_hw3, [click])
    return {one.setting: one.mask_hw for one in guesses if one.method == method}


def test_flood_fill_finds_what_has_one_color():
    found = guesses_of(FLOOD, picture_of(square_mask()))

    assert all((mask_hw == square_mask()).all() for mask_hw in found.values())


def test_flood_fill_stays_in_one_piece():
    mask_hw = square_mask()
    mask_hw[:, -3:] = True

    found = guesses_of(FLOOD, picture_of(mask_hw))

    assert (found["tolerance 8"] == square_mask()).all()


def test_flood_fill_does_not_pass_between_two_corners():
    mask_hw = square_mask()
    mask_hw[16:20, 14:20] = True  # touches the square's lower right corner

    found = guesses_of(FLOOD, picture_of(mask_hw))

    assert (found["tolerance 8"] == square_mask()).all()


def test_a_larger_tolerance_floods_more():
    shades = np.linspace(0, 255, 36).astype(np.uint8)
    picture_hw3 = np.broadcast_to(shades[:, None], (24, 36, 3))

    areas = [int(mask_hw.sum()) for mask_hw in guesses_of(FLOOD, picture_hw3).values()]

    assert areas == sorted(areas)
    assert areas[0] < areas[-1] < 24 * 36


def test_boxes_are_shares_of_the_sides_and_one_is_the_whole_picture():
    found = guesses_of(BOX, np.zeros((100, 200, 3), np.uint8), (100, 50))

    half = found["0.5 of the picture's sides"]
    assert np.flatnonzero(half.any(axis=1))[[0, -1]].tolist() == [25, 75]
    assert np.flatnonzero(half.any(axis=0))[[0, -1]].tolist() == [50, 150]
    assert found["the whole picture"].all()


def test_boxes_and_discs_are_cut_at_the_rim():
    picture_hw3 = np.zeros((100, 200, 3), np.uint8)

    box_hw = guesses_of(BOX, picture_hw3, (0, 0))["0.5 of the picture's sides"]

    assert np.argwhere(box_hw).max(axis=0).tolist() == [25, 50]


def test_the_disc_has_its_radius_and_is_among_the_discs_of_any_radius():
    picture_hw3 = np.zeros((100, 200, 3), np.uint8)

    (disc,) = guesses_of(DISC, picture_hw3, (100, 50)).items()

    assert disc[0] == "radius 0.15 x width"
    assert np.flatnonzero(disc[1][50])[[0, -1]].tolist() == [70, 130]
    assert (guesses_of(ANY_DISC, picture_hw3, (100, 50))[disc[0]] == disc[1]).all()


def test_each_click_has_its_guesses():
    found = list(guess_without_model(picture_of(square_mask()), [CLICK, (30, 2)]))

    methods = [[one.method for one in guesses] for guesses in found]
    assert methods[0] == methods[1]
    assert set(methods[0]) == {BOX, DISC, ANY_DISC, FLOOD}
