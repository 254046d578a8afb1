import numpy as np
import pytest

from sam2_hf.data.color_jitter import (
    GRAY,
    GRAYSCALE,
    ColorAmounts,
    ColorChange,
    apply_changes,
    draw_change,
    draw_changes,
)
from sam2_hf.data.config import Augmentation

NONE = ColorAmounts(0, 0, 0, 0)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(40, 200, (16, 16, 3), dtype=np.uint8)


def test_no_amount_leaves_every_value(pixels):
    change = draw_change(NONE, np.random.default_rng(0))

    assert np.array_equal(apply_changes(pixels, [change]), pixels)


def test_brightness_multiplies(pixels):
    found = apply_changes(pixels, [ColorChange(brightness=1.2)])

    assert np.abs(found - pixels * 1.2).max() <= 0.5 + 1e-6


def test_contrast_spreads_about_the_gray_mean(pixels):
    found = apply_changes(pixels, [ColorChange(contrast=0.5)])

    mean = (pixels @ GRAY).mean()
    assert np.abs(found - (mean + (pixels - mean) * 0.5)).max() <= 0.5 + 1e-6


def test_gray_has_three_equal_channels(pixels):
    found = apply_changes(pixels, [GRAYSCALE])

    assert np.ptp(found.astype(int), axis=2).max() == 0
    assert np.abs(found[..., 0] - pixels @ GRAY).max() <= 0.5 + 1e-6


def test_a_turn_of_the_whole_color_circle_changes_nothing(pixels):
    found = apply_changes(pixels, [ColorChange(hue=1.0)])

    assert np.abs(found.astype(int) - pixels).max() <= 1


def test_hue_keeps_the_brightness(pixels):
    found = apply_changes(pixels, [ColorChange(hue=0.1)])

    inside = ((found > 0) & (found < 255)).all(axis=2)
    assert np.abs(found.astype(int) - pixels).max() > 10
    assert np.abs((found @ GRAY - pixels @ GRAY)[inside]).max() < 1.5


def test_values_stay_within_a_byte(pixels):
    found = apply_changes(pixels, [ColorChange(brightness=3.0)])

    assert found.dtype == np.uint8
    assert found[pixels > 90].min() == 255


def test_several_changes_follow_each_other(pixels):
    changes = [ColorChange(brightness=1.1), ColorChange(contrast=0.8)]

    together = apply_changes(pixels, changes)

    after = apply_changes(apply_changes(pixels, changes[:1]), changes[1:])
    assert np.abs(together.astype(int) - after).max() <= 1


def test_a_clip_shares_its_colors_and_each_frame_has_a_little_of_its_own():
    own = draw_changes(Augmentation(grayscale=1.0), 3, np.random.default_rng(0))

    assert [changes[:2] for changes in own] == [own[0][:2]] * 3
    assert own[0][1] == GRAYSCALE
    assert len({changes[2] for changes in own}) == 3


def test_factors_stay_within_their_amounts():
    amounts = ColorAmounts(0.1, 0.03, 0.2, 0.05)
    rng = np.random.default_rng(0)

    drawn = [draw_change(amounts, rng) for _ in range(200)]

    assert all(abs(change.brightness - 1) <= 0.1 for change in drawn)
    assert max(abs(change.brightness - 1) for change in drawn) > 0.09
    assert all(abs(change.contrast - 1) <= 0.03 for change in drawn)
    assert len({change.order for change in drawn}) == 24
