import pytest
import torch

from sam2_hf.processing.prompts import Click
from sam2_hf.video.prompts import FramePrompts

BOX = (10.0, 20.0, 30.0, 40.0)


def test_clicks_accumulate_in_the_order_they_came():
    first, second = Click((1, 2)), Click((3, 4), positive=False)

    prompts = FramePrompts().with_clicks((first,)).with_clicks((second,))

    assert prompts.clicks == (first, second)


def test_a_box_joins_the_clicks():
    prompts = FramePrompts().with_clicks((Click((1, 2)),)).with_box(BOX)

    assert prompts.box == BOX
    assert len(prompts.clicks) == 1


def test_a_second_box_replaces_the_first():
    assert FramePrompts().with_box((0, 0, 1, 1)).with_box(BOX).box == BOX


def test_a_mask_replaces_clicks_and_box_and_they_it():
    mask = torch.ones(4, 4, dtype=torch.bool)
    clicked = FramePrompts().with_clicks((Click((1, 2)),)).with_box(BOX)

    masked = clicked.with_mask(mask)

    assert (masked.clicks, masked.box) == ((), None)
    assert masked.mask_hw is mask
    assert masked.with_box(BOX).mask_hw is None
    assert masked.with_clicks((Click((1, 2)),)).mask_hw is None


def test_adding_changes_nothing_that_was_there():
    before = FramePrompts()

    before.with_clicks((Click((1, 2)),))
    before.with_box(BOX)

    assert (before.clicks, before.box, before.mask_hw) == ((), None, None)


def test_the_model_gets_corners_of_the_box_first_in_model_pixels():
    clicks = (Click((50, 25)), Click((0, 0), positive=False))
    prompts = FramePrompts(clicks=clicks, box=BOX)

    points, labels = prompts.model_points((50, 100), 64)

    assert labels.tolist() == [2, 3, 1, 0]
    assert labels.dtype == torch.int64
    expected = [(6.4, 25.6), (19.2, 51.2), (32.0, 32.0), (0.0, 0.0)]
    for point, place in zip(points.tolist(), expected, strict=True):
        assert point == pytest.approx(place)
