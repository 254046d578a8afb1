"""Plain regions as data."""

import numpy as np
import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from sam2_hf.training.synthetic.regions import region_clip


def test_every_pixel_of_the_first_frame_belongs_to_one_region():
    clip = region_clip(np.random.default_rng(0), 32, num_frames=3)

    assert clip.frames_thw3.shape == (3, 32, 32, 3)
    assert (clip.masks_othw[:, 0].sum(axis=0) == 1).all()
    assert clip.masks_othw[:, 0].any(axis=(1, 2)).all()
    assert (clip.masks_othw.sum(axis=0) <= 1).all()


def test_regions_move_and_keep_their_colors():
    clip = region_clip(np.random.default_rng(1), 64, num_frames=4)

    changed = (clip.masks_othw[:, 0] != clip.masks_othw[:, 3]).any(axis=0)
    means = [
        np.array([clip.frames_thw3[frame][mask_thw[frame]].mean(axis=0) for frame in (0, 3)])
        for mask_thw in clip.masks_othw
        if mask_thw.sum(axis=(1, 2)).min() > 50
    ]
    assert changed.mean() > 0.02
    assert len(means) > 1
    assert all(np.abs(first - last).max() < 25 for first, last in means)


def test_neighbors_differ_in_color():
    clips = [region_clip(np.random.default_rng(seed), 32) for seed in range(20)]

    spreads = [
        np.std([clip.frames_thw3[0][mask_hw].mean(axis=0) for mask_hw in clip.masks_othw[:, 0]], 0)
        for clip in clips
    ]
    assert np.mean(spreads) > 30


def test_the_same_chance_gives_the_same_clip():
    one, same, other = (region_clip(np.random.default_rng(seed), 32) for seed in (5, 5, 6))

    assert (one.frames_thw3 == same.frames_thw3).all()
    assert not (one.frames_thw3 == other.frames_thw3).all()


def test_a_source_of_them_is_endless_and_needs_no_data():
    source = open_source(SourceConfig("regions", num_frames=2, max_objects=2, min_area=0.01))

    clip = source.draw_clip(7, 48, np.random.default_rng(0))

    assert len(source) > 10**6
    assert clip.frames_thw3.shape == (2, 48, 48, 3)
    assert len(clip.masks_othw) <= 2
    assert source.whole_clip(3).name == source.whole_clip(3).name
    assert source.fingerprint() == open_source(SourceConfig("regions")).fingerprint()


@pytest.mark.parametrize("wrong", [{"path": "photos"}, {"options": {"size": 3}}])
def test_a_path_or_an_option_is_refused(wrong):
    with pytest.raises(DataError, match="regions"):
        open_source(SourceConfig("regions", **wrong))
