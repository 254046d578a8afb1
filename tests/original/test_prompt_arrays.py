"""Prompts of the original's image predictor, read and refused."""

import numpy as np
import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.original.prompt_arrays import GivenPrompts, given_per_photo

SIZE, SIDE = (100, 200), 64  # of the photo, of the model's input
ZEROS = np.zeros((1, 16, 16), np.float32)


def read(*, normalize=True, **given):
    parts = {"point_coords": None, "point_labels": None, "box": None, "mask_input": None} | given
    return GivenPrompts(**parts).read(SIZE, SIDE, normalize=normalize)


def clicks(coords, labels):
    return {"point_coords": coords, "point_labels": labels}


def test_points_of_one_object_become_model_pixels():
    prompts = read(**clicks(np.array([[100, 50], [0, 25]]), np.array([1, 0])))

    assert prompts.points_pn2.tolist() == [[[32, 32], [0, 16]]]
    assert prompts.labels_pn.tolist() == [[1, 0]]
    assert prompts.masks_phw is None


@pytest.mark.parametrize("labels", [[[1.0, -1.0], [0.0, 1.0]], torch.tensor([[1, -1], [0, 1]])])
def test_points_of_several_objects_keep_their_labels(labels):
    prompts = read(**clicks([[[100, 50], [0, 0]], [[40, 25], [20, 10]]], labels))

    assert prompts.points_pn2.shape == (2, 2, 2)
    assert prompts.labels_pn.tolist() == [[1, -1], [0, 1]]


@pytest.mark.parametrize(
    "box",
    [[20, 10, 100, 50], [[20, 10, 100, 50]], [[[20, 10, 100, 50]]], [[20, 10], [100, 50]]],
)
def test_a_box_is_two_corners(box):
    prompts = read(box=np.array(box))

    assert prompts.labels_pn.tolist() == [[2, 3]]
    torch.testing.assert_close(prompts.points_pn2, torch.tensor([[[6.4, 6.4], [32.0, 32.0]]]))


def test_a_click_beside_the_photo_is_taken_as_it_is():
    """Key points of a detector often lie there."""
    prompts = read(**clicks([[300, -20]], [1]))

    torch.testing.assert_close(prompts.points_pn2, torch.tensor([[[96.0, -12.8]]]))


def test_corners_come_before_points():
    prompts = read(box=[20, 10, 100, 50], **clicks([[40, 25]], [0]))

    assert prompts.labels_pn.tolist() == [[2, 3, 0]]


@pytest.mark.parametrize("box", [[], np.zeros((0, 4)), torch.zeros(0, 4)])
def test_there_may_be_no_box_at_all(box):
    """A detector finds nothing on many a frame."""
    assert read(box=box).points_pn2.shape == (0, 2, 2)


def test_shares_of_the_photo_are_understood():
    prompts = read(normalize=False, box=[0, 0, 0.5, 1], **clicks([[0.25, 0.5]], [1]))

    assert prompts.points_pn2.tolist() == [[[0, 0], [32, 64], [16, 32]]]


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16), (1, 1, 16, 16)])
def test_a_mask_may_have_leading_axes(shape):
    prompts = read(mask_input=np.ones(shape))

    assert prompts.masks_phw.shape == (1, 16, 16)
    assert prompts.labels_pn.shape == (1, 0)


def test_each_object_may_have_its_mask_or_all_the_same():
    boxes = [[20, 10, 100, 50], [0, 0, 40, 40]]

    assert read(box=boxes, mask_input=np.ones((2, 1, 16, 16))).masks_phw.shape == (2, 16, 16)
    assert read(box=boxes, mask_input=ZEROS).masks_phw.shape == (1, 16, 16)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "there is no prompt"),
        (clicks(np.zeros((0, 2)), []), "there is no prompt"),
        (clicks([[10, 10]], None), "belong together"),
        (clicks(None, [1]), "belong together"),
        (clicks([10, 10], [1]), r"Give \(n, 2\)"),
        (clicks([[10, 10, 10]], [1]), r"Give \(n, 2\)"),
        (clicks("here", [1]), r"Give \(n, 2\)"),
        (clicks([[10, 10]], [1, 0]), "one label for each point"),
        (clicks([[10, 10]], ["on"]), "one label for each point"),
        (clicks([[10, 10]], [7]), "label 7"),
        (clicks([[10, 10]], [np.nan]), "label nan"),
        (clicks([[np.nan, 10]], [1]), "nan"),
        (clicks([[500, 10]], [1]), "outside the picture"),
        ({"box": [1, 2, 3]}, r"Give \(x0, y0, x1, y1\)"),
        ({"box": np.zeros((2, 3))}, r"Give \(x0, y0, x1, y1\)"),
        ({"box": [50, 50, 10, 60]}, "ends before it begins"),
        ({"box": [250, 0, 260, 20]}, "outside the picture"),
        ({"mask_input": np.zeros((3, 16, 16))}, r"shape \(3, 16, 16\)"),
        ({"mask_input": "mask"}, "shape"),
        ({"mask_input": np.zeros((1, 8, 8))}, "8 x 8; the model expects 16 x 16"),
        ({"mask_input": np.zeros((1, 16, 16), bool)}, "the model expects logits"),
        ({"mask_input": ZEROS + np.inf}, "inf"),
        ({"box": np.ones((3, 4)), **clicks([[10, 10]], [1])}, "3, 1 objects"),
        ({"box": np.ones((3, 4)), "mask_input": np.zeros((2, 1, 16, 16))}, "3, 2 objects"),
    ],
)
def test_what_cannot_be_used_is_an_error(given, message):
    with pytest.raises(PromptError, match=message):
        read(**given)


def test_the_callers_arrays_stay_as_they_are():
    coords, mask = np.array([[100.0, 50.0]]), ZEROS.copy()

    read(mask_input=mask, **clicks(coords, [1]))

    assert (coords.tolist(), mask.sum()) == ([[100, 50]], 0)


def test_lists_of_a_batch_are_dealt_out():
    coords, labels, boxes = [[[1, 2]], None], [[1], None], [None, [0, 0, 4, 4]]

    first, second = given_per_photo([coords, labels, boxes, None], 2)

    assert first == ([[1, 2]], [1], None, None)
    assert second == (None, None, [0, 0, 4, 4], None)


@pytest.mark.parametrize("boxes", [[[0, 0, 1, 1]], 7])
def test_a_list_of_another_length_is_an_error(boxes):
    with pytest.raises(PromptError, match=r"box_batch .* 2 photos are set"):
        given_per_photo([None, None, boxes, None], 2)
