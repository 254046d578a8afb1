import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.processing.prompt_checks import (
    check_boxes,
    check_finite,
    check_labels,
    check_mask,
    check_points,
)

SIZE = (600, 900)  # rows, columns
NAN, INF = float("nan"), float("inf")


def points(*xy):
    return torch.tensor(xy, dtype=torch.float64)


def positive(count=1):
    return torch.ones(count, dtype=torch.int64)


def test_every_label_of_the_prompt_encoder_is_known():
    check_labels(torch.tensor([1, 0, 2, 3, -1, -10]), "object 0")


@pytest.mark.parametrize("label", [4, -2, 0.5, NAN])
def test_another_label_is_named(label):
    with pytest.raises(PromptError, match=rf"label {label:g} of object 3 of image 1 is unknown"):
        check_labels(torch.tensor([1, label]), "object 3 of image 1")


@pytest.mark.parametrize("xy", [(0, 0), (900, 600), (901, 601), (-1, -1), (450.5, 3)])
def test_points_on_the_picture_and_on_its_very_edge_are_fine(xy):
    check_points(points(xy), positive(), SIZE, "object 0")


@pytest.mark.parametrize("xy", [(902, 5), (5, 602), (-2, 5), (5, -1.5)])
def test_a_point_outside_is_named_with_the_size_of_the_picture(xy):
    words = rf"point \({xy[0]:g}, {xy[1]:g}\) of object 2 .* 900 pixels wide and 600 high"

    with pytest.raises(PromptError, match=words):
        check_points(points((1, 1), xy), positive(2), SIZE, "object 2")


@pytest.mark.parametrize("label", [-10, -1, 2, 3])
def test_padding_and_corners_of_boxes_may_lie_anywhere(label):
    check_points(points((-10, -10)), torch.tensor([label]), SIZE, "object 0")


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_place_that_is_no_number_is_refused(value):
    with pytest.raises(PromptError, match="finite"):
        check_points(points((value, 5)), positive(), SIZE, "object 0")
    with pytest.raises(PromptError, match="finite"):
        check_boxes(points((0, 0, value, 5)), SIZE, "object 0")
    with pytest.raises(PromptError, match="finite"):
        check_finite(torch.tensor(value), "a click")


@pytest.mark.parametrize("box", [(0, 0, 900, 600), (5, 5, 5, 5), (-30, -20, 920, 640)])
def test_boxes_may_be_thin_and_hang_over_the_edge(box):
    check_boxes(points(box), SIZE, "object 0")


@pytest.mark.parametrize("box", [(50, 10, 40, 90), (50, 90, 60, 10)])
def test_a_box_that_ends_before_it_begins_is_named(box):
    with pytest.raises(PromptError, match=r"of object 1 ends before it begins"):
        check_boxes(points(box), SIZE, "object 1")


@pytest.mark.parametrize("box", [(-90, 10, -5, 20), (950, 10, 990, 20), (10, 700, 20, 720)])
def test_a_box_beside_the_picture_is_named(box):
    with pytest.raises(PromptError, match="lies outside the picture"):
        check_boxes(points(box), SIZE, "object 1")


def test_a_mask_prompt_is_a_quarter_of_the_input():
    check_mask(torch.zeros(64, 64), 256, "object 0")
    with pytest.raises(PromptError, match="32 x 64; the model expects 64 x 64"):
        check_mask(torch.zeros(32, 64), 256, "object 0")


def test_a_mask_prompt_holds_finite_logits():
    with pytest.raises(PromptError, match="boolean"):
        check_mask(torch.zeros(64, 64, dtype=torch.bool), 256, "object 0")
    with pytest.raises(PromptError, match="nan"):
        check_mask(torch.full((64, 64), NAN), 256, "object 0")
