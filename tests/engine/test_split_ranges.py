"""Ranges of long videos."""

import numpy as np

from sam2_hf.engine.split_ranges import scenes_of, split_ranges
from sam2_hf.frames.open import open_frames


def test_neighboring_scenes_share_a_range_while_it_is_short_enough():
    assert split_ranges([(0, 30), (30, 50), (50, 90), (90, 100)], 50) == [(0, 50), (50, 100)]


def test_a_long_scene_is_cut_evenly():
    assert split_ranges([(0, 10), (10, 131)], 50) == [(0, 10), (10, 50), (50, 90), (90, 131)]


def test_every_frame_is_in_one_range_that_is_not_too_long():
    scenes = [(0, 7), (7, 8), (8, 45), (45, 60)]

    for longest in range(1, 70):
        ranges = split_ranges(scenes, longest)
        assert [frame for first, stop in ranges for frame in range(first, stop)] == list(range(60))
        assert max(stop - first for first, stop in ranges) <= longest


def test_looking_for_scenes_is_progress_on_every_frame():
    beats, noise = [], np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), np.uint8)
    noise[1] //= 4  # darker
    pictures = [noise[0]] * 4 + [noise[1]] * 5

    with open_frames(pictures, image_size=64) as frames:
        scenes = scenes_of(frames, lambda: beats.append(1))

    assert scenes == [(0, 4), (4, 9)]
    assert len(beats) == 8
