"""Shapes, surfaces and things, drawn many times."""

import numpy as np
import pytest

from sam2_hf.training.synthetic.objects import Materials, draw_things
from sam2_hf.training.synthetic.settings import SyntheticSettings
from sam2_hf.training.synthetic.shapes import SHAPES, draw_bar, draw_shape, soften
from sam2_hf.training.synthetic.textures import (
    PATTERNS,
    draw_pattern,
    fractal_noise,
    match_colors,
    photo_piece,
    shift_colors,
)

SEEDS = range(8)


def generator(seed=0):
    return np.random.default_rng(seed)


def materials(photos=(), cutouts=()):
    return Materials(np.full((4, 4, 3), 0.5, dtype=np.float32), photos, cutouts)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_shape_is_solid_inside_and_ends_before_the_border(kind):
    for seed in SEEDS:
        coverage_hw = draw_shape(generator(seed), (kind,), 48)
        border = np.concatenate([coverage_hw[[0, -1]].ravel(), coverage_hw[:, [0, -1]].ravel()])
        assert coverage_hw.max() == 1
        assert border.max() == 0


@pytest.mark.parametrize("kind", SHAPES)
def test_two_shapes_of_a_kind_differ(kind):
    first_hw, second_hw = (draw_shape(generator(seed), (kind,), 48) for seed in (0, 1))

    assert ((first_hw >= 0.5) ^ (second_hw >= 0.5)).mean() > 0.02


def test_some_rings_have_a_hole():
    shapes = [draw_shape(generator(seed), ("ring",), 48) for seed in SEEDS]

    assert min(shape_hw[24, 24] for shape_hw in shapes) == 0


def test_a_bar_is_long_and_thin():
    bar_hw = draw_bar(generator(), 64) >= 0.5

    rows, columns = bar_hw.any(axis=1).sum(), bar_hw.any(axis=0).sum()
    assert rows > 2 * columns > 0


def test_edges_become_soft_without_moving():
    hard_hw = np.zeros((9, 9), dtype=np.float32)
    hard_hw[:, 4:] = 1

    soft_hw = soften(hard_hw, 1)

    assert soft_hw[4, 3] == pytest.approx(1 / 3, abs=0.01)
    assert soft_hw[4, 4] == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("kind", PATTERNS)
def test_a_pattern_has_colors_in_range_and_is_not_plain(kind):
    for seed in SEEDS:
        colors_hw3 = draw_pattern(generator(seed), kind, 40)
        assert colors_hw3.shape == (40, 40, 3)
        assert 0 <= colors_hw3.min() <= colors_hw3.max() <= 1
        assert colors_hw3.std(axis=(0, 1)).max() > 0.005


def test_noise_fills_the_range():
    noise_hw = fractal_noise(generator(), 33)

    assert (noise_hw.min(), noise_hw.max()) == (0, 1)


@pytest.mark.parametrize("shape", [(30, 50, 3), (400, 300, 3)])
def test_a_piece_of_a_photo_of_any_size_has_its_colors(shape):
    blue = np.zeros(shape, dtype=np.uint8)
    blue[..., 2] = 255

    piece_hw3 = photo_piece(blue, generator(), 40)

    assert piece_hw3.shape == (40, 40, 3)
    assert (piece_hw3 == (0, 0, 1)).all()


def test_shifted_colors_are_others_and_matched_colors_are_alike():
    first_hw3, second_hw3 = (draw_pattern(generator(seed), "noise", 40) for seed in (0, 1))

    shifted_hw3 = shift_colors(generator(), first_hw3)
    matched_hw3 = match_colors(first_hw3, second_hw3)

    assert np.abs(shifted_hw3 - first_hw3).mean() > 0.02
    assert matched_hw3.mean(axis=(0, 1)) == pytest.approx(second_hw3.mean(axis=(0, 1)), abs=0.03)


def test_things_and_occluders_are_as_many_as_asked_for():
    settings = SyntheticSettings(num_objects=(3, 3), num_occluders=(2, 2))

    things = draw_things(generator(), materials(), settings)

    assert [sum(t.labeled for t in things), len(things)] == [3, 5]
    assert things[0].labeled


def test_twins_share_their_looks_and_not_their_way():
    settings = SyntheticSettings(num_objects=(2, 2), num_occluders=(0, 0), twins=1.0)

    first, second = draw_things(generator(), materials(), settings)

    assert first.parts is second.parts
    assert not np.array_equal(first.motion.start_2, second.motion.start_2)


def test_a_thing_that_leaves_is_in_the_picture_first_and_far_away_in_between():
    settings = SyntheticSettings(num_frames=16, leaving=1.0, num_objects=(4, 4), num_parts=(1, 1))

    for thing in draw_things(generator(), materials(), settings):
        start, length = thing.motion.absence
        first_2, away_2, last_2 = (
            thing.motion.at(time).shift_2 for time in (0, start + length / 2, start + length)
        )
        assert 0 < first_2.min() < first_2.max() < 1
        assert np.linalg.norm(away_2 - (first_2 + last_2) / 2) > 0.5


def test_leftovers_of_an_annotation_are_not_cut_out():
    """A frame around everything fills too little of its box; a painted shape takes its place."""
    white = np.full((60, 60, 3), 255, dtype=np.uint8)
    frame = np.ones((60, 60), dtype=bool)
    frame[4:-4, 4:-4] = False
    settings = SyntheticSettings(cutouts=1.0, num_occluders=(0, 0), num_parts=(1, 1), similar=0.0)

    (thing, *_) = draw_things(generator(), materials(cutouts=[(white, frame)]), settings)

    assert thing.parts[0].pixels_4hw[3].mean() > 0.1
    assert thing.parts[0].pixels_4hw[:3].min() < 0.9
