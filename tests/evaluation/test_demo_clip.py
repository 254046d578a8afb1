"""The clip of `make demo`."""

import av
import numpy as np
import pytest

from evaluation import demo
from evaluation.demo_clip import CAT, CUP, HEIGHT, NUM_FRAMES, WIDTH, demo_clip, first_clicks, main


@pytest.fixture(scope="module")
def clip():
    return demo_clip()


def test_it_is_the_same_at_every_call(clip):
    frames, masks = demo_clip()

    np.testing.assert_array_equal(frames, clip[0])
    np.testing.assert_array_equal(masks[CUP], clip[1][CUP])
    assert frames.shape == (NUM_FRAMES, HEIGHT, WIDTH, 3)


def test_no_pixel_belongs_to_both_objects(clip):
    _, masks = clip

    assert not (masks[CUP] & masks[CAT]).any()


def test_the_cat_is_nearly_hidden_in_the_middle_and_whole_at_the_ends(clip):
    areas = clip[1][CAT].sum(axis=(1, 2))

    assert areas.min() < 0.05 * areas[0]
    assert NUM_FRAMES // 4 < areas.argmin() < 3 * NUM_FRAMES // 4
    assert areas[-1] > 0.9 * areas[0]


def test_objects_move_and_the_scene_does_not(clip):
    frames, masks = clip

    background = ~(masks[CUP][0] | masks[CUP][9] | masks[CAT][0] | masks[CAT][9])
    change = np.abs(frames[0].astype(int) - frames[9]).max(axis=2)
    assert np.quantile(change[background], 0.99) == 0
    assert change[masks[CUP][0]].mean() > 20


def test_the_clicks_of_make_demo_are_the_middles_of_the_objects(clip):
    clicked = {demo.CUP_IN_CLIP, demo.CAT_IN_CLIP}

    for number, (x, y) in first_clicks(clip[1]).items():
        assert clip[1][number][0, y, x]
        assert f"0:{number}:{x},{y}" in clicked


def test_it_can_be_written_as_a_video(tmp_path):
    main([str(tmp_path / "clip.mp4")])

    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == NUM_FRAMES
