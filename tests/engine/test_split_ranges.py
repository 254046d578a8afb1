"""Ranges of long videos."""

from sam2_hf.engine.split_ranges import split_ranges


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
