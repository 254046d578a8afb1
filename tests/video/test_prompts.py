import numpy as np
import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.processing.prompts import Click
from sam2_hf.video.prompts import FramePrompts, read_clicks, read_object_id

BOX = (10.0, 20.0, 30.0, 40.0)
SIZE = (48, 72)
WHO = "object 3"


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


@pytest.mark.parametrize("given", [7, np.int64(7), torch.tensor(7)])
def test_an_object_id_is_any_whole_number(given):
    number = read_object_id(given)

    assert number == 7
    assert type(number) is int


@pytest.mark.parametrize("given", [1.5, "1", None, True, [1]])
def test_what_is_no_whole_number_is_no_object_id(given):
    with pytest.raises(PromptError, match="must be a whole number"):
        read_object_id(given)


def test_a_session_reads_clicks_with_their_flags():
    clicks = read_clicks([(1, 2), (3, 4)], [True, False], SIZE, WHO)

    assert clicks == (Click((1, 2)), Click((3, 4), positive=False))
    assert read_clicks(clicks, positive=True, size=SIZE, what=WHO) == clicks


@pytest.mark.parametrize(
    ("xy", "positive", "words"),
    [
        ((), True, r"xy of object 3 is \(\). Give \(x, y\)"),
        (np.zeros((0, 2)), True, "xy of object 3 is"),
        ((1, 2), None, r"xy of object 3 has 1 point\(s\) and positive has 0"),
        ([(1, 2)] * 4, [True, False, True], r"has 4 point\(s\) and positive has 3 label"),
    ],
)
def test_a_session_needs_a_click_and_a_flag(xy, positive, words):
    with pytest.raises(PromptError, match=words):
        read_clicks(xy, positive, SIZE, WHO)


@pytest.mark.parametrize("xy", [(-2, 5), (74, 5), (5, 50), (float("nan"), 5), (5, float("inf"))])
def test_a_click_outside_the_frame_is_refused(xy):
    with pytest.raises(PromptError, match="object 3"):
        read_clicks(xy, positive=True, size=SIZE, what=WHO)


def test_while_the_size_is_not_known_any_place_is_taken():
    assert read_clicks((500, 500), positive=True, size=None, what=WHO)[0].xy == (500.0, 500.0)
