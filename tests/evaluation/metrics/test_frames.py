"""J and F of a frame: values known by hand, and an independent definition."""

import numpy as np
import pytest

from evaluation.metrics import (
    MaskAccuracy,
    boundary_map,
    boundary_radius,
    contour_accuracy,
    region_similarity,
    score_frame,
    score_labels,
)
from tests.slow_scores import slow_boundary, slow_f, slow_j

EXACT = 1e-12  # both sides are quotients of the same whole numbers
SIZES = ((24, 36), (75, 100), (240, 427))


def blank(size=(24, 36)):
    return np.zeros(size, bool)


def with_box(top, bottom, left, right, size=(24, 36)):
    mask_hw = blank(size)
    mask_hw[top:bottom, left:right] = True
    return mask_hw


def drawn_pairs():
    """Masks of every kind: blobs, specks, noise, at the rim, full, empty."""
    generator = np.random.default_rng(0)
    for size in SIZES:
        y, x = np.indices(size)
        blobs = [
            (y - size[0] * cy) ** 2 + (x - size[1] * cx) ** 2 < (min(size) * r) ** 2
            for cy, cx, r in generator.uniform((0, 0, 0.05), (1, 1, 0.5), (3, 3))
        ]
        noise = generator.random(size) < 0.02
        yield from ((blobs[0], blobs[1]), (blobs[1], blobs[0] ^ noise), (blobs[2], noise))
        yield from ((np.ones(size, bool), blobs[0]), (blank(size), blobs[1]))


def test_j_is_intersection_over_union():
    assert region_similarity(with_box(0, 4, 0, 4), with_box(0, 4, 2, 6)) == 8 / 24


@pytest.mark.parametrize(("predicted", "j"), [(blank(), 1.0), (with_box(0, 1, 0, 1), 0.0)])
def test_of_two_empty_masks_j_is_one_and_of_one_it_is_zero(predicted, j):
    assert region_similarity(blank(), predicted) == j
    assert region_similarity(predicted, blank()) == j


def test_a_single_pixel_has_a_boundary_of_four():
    edges_hw = boundary_map(with_box(5, 6, 7, 8))

    assert np.argwhere(edges_hw).tolist() == [[4, 6], [4, 7], [5, 6], [5, 7]]


def test_a_mask_that_fills_the_picture_has_no_boundary():
    assert not boundary_map(np.ones((24, 36), bool)).any()


def test_the_last_row_compares_right_the_last_column_down_and_the_corner_nothing():
    mask_hw = with_box(12, 24, 18, 36)

    edges_hw = boundary_map(mask_hw)

    assert np.flatnonzero(edges_hw[-1]).tolist() == [17]
    assert np.flatnonzero(edges_hw[:, -1]).tolist() == [11]
    assert not boundary_map(with_box(23, 24, 35, 36))[-1, -1]


@pytest.mark.parametrize(
    ("size", "radius"),
    [((480, 854), 8), ((75, 100), 1), ((720, 1280), 12), ((1080, 1920), 18), ((1024, 1024), 12)],
)
def test_the_radius_grows_with_the_diagonal(size, radius):
    assert boundary_radius(*size) == radius


def test_contours_within_the_radius_match_and_those_beyond_do_not():
    truth_hw = with_box(5, 15, 10, 20, (75, 100))

    assert contour_accuracy(truth_hw, with_box(5, 15, 11, 21, (75, 100))) == 1
    assert contour_accuracy(truth_hw, with_box(40, 50, 60, 70, (75, 100))) == 0
    assert 0.3 < contour_accuracy(truth_hw, with_box(5, 15, 12, 22, (75, 100))) < 0.9


@pytest.mark.parametrize(("predicted", "f"), [(blank(), 1.0), (with_box(3, 9, 3, 9), 0.0)])
def test_of_two_empty_contours_f_is_one_and_of_one_it_is_zero(predicted, f):
    assert contour_accuracy(blank(), predicted) == f
    assert contour_accuracy(predicted, blank()) == f
    assert contour_accuracy(predicted, np.ones((24, 36), bool)) == f


@pytest.mark.parametrize("pair", list(drawn_pairs()))
def test_boundary_and_f_equal_the_slow_definition(pair):
    assert all((boundary_map(mask_hw) == slow_boundary(mask_hw)).all() for mask_hw in pair)
    assert contour_accuracy(*pair) == pytest.approx(slow_f(*pair), abs=EXACT)


@pytest.mark.parametrize("pair", list(drawn_pairs()))
def test_both_scores_of_a_frame_equal_the_slow_definition(pair):
    score = score_frame(*pair)

    assert (score.j, score.f) == pytest.approx((slow_j(*pair), slow_f(*pair)), abs=EXACT)


def test_objects_of_a_label_map_are_scored_like_single_masks():
    truth_hw, predicted_hw = np.random.default_rng(0).integers(0, 5, (2, 40, 60))

    scores = score_labels(truth_hw, predicted_hw, [1, 4, 7])

    for number in (1, 4):
        assert scores[number] == score_frame(truth_hw == number, predicted_hw == number)
    assert scores[7] == MaskAccuracy(1, 1)
