"""J, F and their means: values known by hand, and an independent definition."""

import math

import numpy as np
import pytest

from evaluation.metrics import (
    MaskletScore,
    boundary_map,
    boundary_radius,
    contour_accuracy,
    mean_score,
    region_similarity,
    score_masklet,
)
from sam2_hf.errors import DataError

EXACT = 1e-12  # both sides are quotients of the same whole numbers
SIZES = ((24, 36), (75, 100), (240, 427))


def blank(size=(24, 36)):
    return np.zeros(size, bool)


def with_box(top, bottom, left, right, size=(24, 36)):
    mask_hw = blank(size)
    mask_hw[top:bottom, left:right] = True
    return mask_hw


def slow_boundary(mask_hw):
    """The definition: a picture continues beyond its last row and column as it ends there."""
    wide_hw = np.pad(mask_hw, ((0, 1), (0, 1)), mode="edge")
    right_hw, below_hw, both_hw = wide_hw[:-1, 1:], wide_hw[1:, :-1], wide_hw[1:, 1:]
    return (mask_hw ^ right_hw) | (mask_hw ^ below_hw) | (mask_hw ^ both_hw)


def slow_dilation(map_hw, radius):
    """Shift the map to every place of a disc; outside the picture there is nothing."""
    height, width = map_hw.shape
    padded = np.pad(map_hw, radius)
    wide_hw = np.zeros_like(map_hw)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dy * dy + dx * dx <= radius * radius:
                top, left = radius + dy, radius + dx
                wide_hw |= padded[top : top + height, left : left + width]
    return wide_hw


def slow_f(truth_hw, predicted_hw):
    """F by dilation over the whole picture."""
    radius = math.ceil(0.008 * math.sqrt(truth_hw.shape[0] ** 2 + truth_hw.shape[1] ** 2))
    truth, predicted = slow_boundary(truth_hw), slow_boundary(predicted_hw)
    if not truth.any() or not predicted.any():
        return float(truth.any() == predicted.any())
    precision = (predicted & slow_dilation(truth, radius)).sum() / predicted.sum()
    recall = (truth & slow_dilation(predicted, radius)).sum() / truth.sum()
    total = precision + recall
    return 2 * precision * recall / total if total else 0.0


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


def test_a_masklet_is_scored_without_its_first_and_last_frame():
    truth_thw = np.stack([with_box(0, 4, 0, 4)] * 4)
    predicted_thw = np.stack([blank(), truth_thw[1], blank(), blank()])

    assert score_masklet(truth_thw, predicted_thw) == MaskletScore(50, 50)


def test_the_truth_scores_a_hundred():
    truth_thw = np.stack([with_box(2, 9, x, x + 7) for x in range(5)])

    assert score_masklet(truth_thw, truth_thw).j_and_f == 100


def test_every_object_counts_the_same():
    assert mean_score([MaskletScore(0, 10), MaskletScore(100, 30)]) == MaskletScore(50, 20)


def test_masks_of_another_shape_are_refused():
    with pytest.raises(DataError, match=r"\(4, 24, 36\).*\(3, 24, 36\)"):
        score_masklet(np.zeros((4, 24, 36), bool), np.zeros((3, 24, 36), bool))


def test_two_frames_are_refused():
    with pytest.raises(DataError, match="2 frame"):
        score_masklet(np.zeros((2, 24, 36), bool), np.zeros((2, 24, 36), bool))


def test_a_mean_over_nothing_is_refused():
    with pytest.raises(DataError, match="no objects"):
        mean_score([])
