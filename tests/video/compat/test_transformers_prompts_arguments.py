"""What is given for one object or several on a frame."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import PromptError
from sam2_hf.video.compat.transformers_prompts import (
    list_masks,
    prompts_of_object,
    read_frame,
    read_ids,
)

SIZE = (48, 80)


@pytest.mark.parametrize(
    ("given", "ids"),
    [(3, [3]), ([3, 5], [3, 5]), ((3,), [3]), (np.array([3, 5]), [3, 5]), (torch.tensor(3), [3])],
    ids=["number", "list", "tuple", "array", "tensor"],
)
def test_objects_are_one_number_or_several(given, ids):
    assert read_ids(given) == ids


def test_a_list_of_objects_is_copied():
    given = [1, 2]

    read_ids(given).clear()

    assert given == [1, 2]


@pytest.mark.parametrize("given", [[], [1.5], ["dog"], True])
def test_what_is_no_object_is_refused(given):
    with pytest.raises(PromptError, match=r"obj_ids is empty|must be a whole number"):
        read_ids(given)


def test_every_object_has_its_own_prompts():
    points, labels = [[[[1, 2]], [[3, 4], [5, 6]]]], [[[1], [0, 1]]]

    asked = read_frame((points, labels, None), SIZE, 64, -10)

    assert [click.xy for click in prompts_of_object(asked, 0, 2).clicks] == [(1.0, 2.0)]
    assert [click.positive for click in prompts_of_object(asked, 1, 2).clicks] == [False, True]


def test_an_object_with_a_box_may_have_no_points():
    points, boxes = [[[], [[3, 4]]]], [[[1, 2, 30, 40], [1, 2, 30, 40]]]

    asked = read_frame((points, None, boxes), SIZE, 64, -10)

    prompts = [prompts_of_object(asked, place, 2) for place in range(2)]
    assert [len(one.clicks) for one in prompts] == [0, 1]
    assert prompts[0].box == (1.0, 2.0, 30.0, 40.0)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((None, None, None), "there is no prompt"),
        ((None, [[[1]]], None), "input_labels came without input_points"),
        (([[[1, 2]]], None, None), "3 levels of nesting, it needs 4"),
        (([[[[90, 2]]]], None, None), "lies outside the picture"),
        ((None, None, [[[9, 9, 3, 3]]]), "ends before it begins"),
    ],
)
def test_prompts_that_cannot_be_used_are_refused(values, message):
    with pytest.raises(PromptError, match=message):
        read_frame(values, SIZE, 64, -10)


def test_another_number_of_objects_is_refused():
    asked = read_frame(([[[[1, 2]]]], None, None), SIZE, 64, -10)

    with pytest.raises(PromptError, match=r"prompts for 1 object.* and 2 object id"):
        prompts_of_object(asked, 0, 2)


@pytest.mark.parametrize(
    "masks",
    [
        np.ones(SIZE, bool),
        torch.ones(1, 1, *SIZE),
        [np.ones(SIZE, bool)],
        Image.new("L", SIZE[::-1], 255),
    ],
    ids=["map", "batch", "list", "picture"],
)
def test_one_mask_may_come_in_many_forms(masks):
    (mask,) = list_masks(masks, 1)

    assert np.asarray(mask).shape == SIZE


@pytest.mark.parametrize("shape", [(2, 4, 6), (1, 2, 4, 6), (2, 1, 4, 6)])
def test_an_array_holds_one_mask_for_each_object(shape):
    masks = list_masks(np.arange(48).reshape(shape), 2)

    assert [np.asarray(mask).flat[0] for mask in masks] == [0, 24]


def test_another_number_of_masks_is_refused():
    with pytest.raises(PromptError, match=r"3 mask\(s\) and 2 object id"):
        list_masks(np.ones((3, 4, 6)), 2)
