"""Tracks that need no model."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from evaluation.comparison.baselines import FLOW, FLOWS, REPEAT, carry_by_flow, track_without_model


def moving_clip(shift=(1, 2), frames=4):
    """A smooth pattern that moves by whole pixels, and the mask of a part of it."""
    noise = np.random.default_rng(0).random((60 + 9 * 2, 80 + 9 * 2, 3))
    wide = gaussian_filter(noise, (3, 3, 0))
    wide = (255 * (wide - wide.min()) / np.ptp(wide)).astype(np.uint8)
    mask = np.zeros(wide.shape[:2], bool)
    mask[25:50, 30:60] = True
    cuts = [
        (slice(9 - t * shift[0], 69 - t * shift[0]), slice(9 - t * shift[1], 89 - t * shift[1]))
        for t in range(frames)
    ]
    return np.stack([wide[cut] for cut in cuts]), np.stack([mask[cut] for cut in cuts])


def test_the_first_mask_is_repeated():
    frames_thw3, masks_thw = moving_clip()

    first = next(track_without_model(frames_thw3, masks_thw[0]))

    assert first.method == REPEAT
    assert (first.masks_thw == masks_thw[0]).all()
    assert first.masks_thw.shape == masks_thw.shape


@pytest.mark.parametrize("name", FLOWS)
def test_flow_carries_a_mask_along_with_what_moves(name):
    frames_thw3, masks_thw = moving_clip()

    carried_thw = carry_by_flow(frames_thw3, masks_thw[0], FLOWS[name])

    union = (carried_thw[-1] | masks_thw[-1]).sum()
    assert (carried_thw[-1] & masks_thw[-1]).sum() / union > 0.9
    assert (masks_thw[0] & masks_thw[-1]).sum() / (masks_thw[0] | masks_thw[-1]).sum() < 0.6


def test_half_a_pixel_a_frame_adds_up():
    frames_thw3 = np.zeros((5, 20, 20, 3), np.uint8)
    first_hw = np.zeros((20, 20), bool)
    first_hw[5:10, 5:10] = True

    def half_a_pixel(now, _before):
        return np.stack([np.zeros_like(now), np.full_like(now, -0.5)])

    carried_thw = carry_by_flow(frames_thw3, first_hw, half_a_pixel)

    assert np.flatnonzero(carried_thw[-1].any(axis=0))[0] == 7


def test_every_kind_of_flow_is_tried():
    frames_thw3, masks_thw = moving_clip(frames=2)

    tracks = list(track_without_model(frames_thw3, masks_thw[0]))

    assert [(one.method, one.setting) for one in tracks[1:]] == [(FLOW, name) for name in FLOWS]
