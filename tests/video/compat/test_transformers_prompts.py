"""Points with labels, sorted into clicks and a box."""

import pytest
import torch

from sam2_hf import PromptError
from sam2_hf.video.compat.transformers_prompts import frame_prompts, points_and_labels, scaled
from sam2_hf.video.prompts import FramePrompts


def read(labels, box=None):
    """Points (0, 0), (1, 10), (2, 20), ... with these labels."""
    numbers = torch.arange(float(len(labels)))
    points = torch.stack([numbers, 10 * numbers], dim=-1)
    return frame_prompts(points, torch.tensor(labels), box, "object 1")


def test_labels_say_whether_a_click_is_positive():
    prompts = read([1, 0])

    assert [(click.xy, click.positive) for click in prompts.clicks] == [
        ((0.0, 0.0), True),
        ((1.0, 10.0), False),
    ]
    assert prompts.box is None


def test_two_corners_are_a_box_whatever_their_order():
    prompts = read([1, 2, 3])

    assert prompts.box == (1.0, 10.0, 2.0, 20.0)
    assert len(prompts.clicks) == 1


def test_a_box_by_itself_joins_the_clicks():
    assert read([1], torch.tensor([5.0, 6.0, 7.0, 8.0])).box == (5.0, 6.0, 7.0, 8.0)


def test_padding_is_left_out():
    assert [click.xy for click in read([-10, 1, -1]).clicks] == [(1.0, 10.0)]


@pytest.mark.parametrize(
    ("labels", "box", "message"),
    [
        ([2], None, "one corner of a box only"),
        ([2, 3, 2], None, "two boxes"),
        ([2, 3], torch.zeros(4), "a box and points labeled as corners"),
        ([-10, -1], None, "no point and no box"),
        ([7], None, "label 7 of object 1 is unknown"),
    ],
)
def test_what_cannot_be_understood_is_refused(labels, box, message):
    with pytest.raises(PromptError, match=message):
        read(labels, box)


def test_prompts_are_carried_to_a_frame_of_another_size():
    prompts = read([1, 1], torch.tensor([1.0, 2.0, 3.0, 4.0]))

    moved = scaled(prompts, (10, 20), (30, 40))

    assert [click.xy for click in moved.clicks] == [(0.0, 0.0), (2.0, 30.0)]
    assert moved.box == (2.0, 6.0, 6.0, 12.0)


def test_prompts_for_the_same_size_stay_what_they_are():
    prompts = FramePrompts(box=(0.1, 0.2, 0.3, 0.4))

    assert scaled(prompts, (10, 20), (10, 20)) is prompts


def test_what_transformers_keeps_of_an_object_is_taken_apart():
    points, labels = points_and_labels(
        {"point_coords": torch.ones(1, 1, 2, 2), "point_labels": torch.ones(1, 1, 2)}
    )

    assert (points.shape, labels.shape) == ((2, 2), (2,))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"point_coords": torch.ones(1, 1, 2, 2)}, "Give point_coords and point_labels"),
        (
            {"point_coords": torch.ones(1, 1, 2, 2), "point_labels": torch.ones(1, 1, 3)},
            r"2 point\(s\) and .* 3 label\(s\)",
        ),
    ],
)
def test_incomplete_inputs_are_refused(inputs, message):
    with pytest.raises(PromptError, match=message):
        points_and_labels(inputs)
