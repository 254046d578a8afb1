import numpy as np
import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.processing.prompt_reading import read_mask_logits
from sam2_hf.processing.prompts import (
    Click,
    ObjectPrompt,
    PromptBatch,
    group_by_kind,
    pad_objects,
)

SIZE, MODEL_SIZE = (600, 900), 256
MASK = torch.zeros(64, 64)


def clicked(*places, box=None, mask=None):
    return ObjectPrompt(clicks=[Click(xy) for xy in places], box=box, mask_logits=mask)


def test_a_click_holds_two_floats():
    assert Click((1, np.float32(2))).xy == (1.0, 2.0)
    assert Click([3, 4], positive=False) == Click((3.0, 4.0), positive=False)


@pytest.mark.parametrize("xy", [(1,), (1, 2, 3), 5, ("a", "b"), (float("nan"), 1), None])
def test_a_click_that_is_no_place_is_refused(xy):
    with pytest.raises(PromptError, match="a click"):
        Click(xy)


def test_an_empty_prompt_is_refused_with_an_example():
    with pytest.raises(PromptError, match=r"ObjectPrompt\(clicks="):
        ObjectPrompt()


def test_one_click_may_stand_alone():
    assert ObjectPrompt(Click((1, 2))).clicks == (Click((1, 2)),)


def test_a_box_has_four_numbers():
    assert ObjectPrompt(box=np.array([1, 2, 3, 4])).box == (1.0, 2.0, 3.0, 4.0)
    with pytest.raises(PromptError, match="4 numbers"):
        ObjectPrompt(box=(1, 2, 3))


def test_the_box_comes_before_the_clicks():
    prompt = ObjectPrompt([Click((9, 8)), Click((7, 6), positive=False)], box=(1, 2, 3, 4))

    points, labels = prompt.labeled_points()

    assert points.tolist() == [[1, 2], [3, 4], [9, 8], [7, 6]]
    assert labels.tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (clicked((901.5, 5)), "outside"),
        (ObjectPrompt(box=(50, 10, 40, 90)), "ends before"),
        (ObjectPrompt(mask_logits=torch.zeros(32, 32)), "64 x 64"),
        (ObjectPrompt(mask_logits=MASK.bool()), "boolean"),
    ],
)
def test_a_prompt_is_compared_with_its_picture(prompt, words):
    with pytest.raises(PromptError, match=rf"object 0 of image 0.*{words}"):
        PromptBatch.from_prompts([[prompt]], [SIZE], MODEL_SIZE)


def test_shorter_prompts_and_missing_objects_are_padded():
    prompts = [[clicked((90, 60)), clicked((0, 0), (900, 600))], [clicked(box=(0, 0, 90, 60))]]

    batch = PromptBatch.from_prompts(prompts, [SIZE, SIZE], MODEL_SIZE)

    assert batch.num_objects == (2, 1)
    assert batch.input_labels.tolist() == [[[1, -10], [1, 1]], [[2, 3], [-10, -10]]]
    torch.testing.assert_close(batch.input_points[0, 0], torch.tensor([[25.6, 25.6], [-10, -10]]))
    assert (batch.input_points[1, 1] == -10).all()


def test_masks_travel_with_their_objects():
    masks = [torch.randn(64, 64), torch.randn(1, 64, 64)]
    prompts = [[clicked((1, 1), mask=mask)] for mask in masks]

    batch = PromptBatch.from_prompts(prompts, [SIZE, SIZE], MODEL_SIZE)

    assert torch.equal(batch.input_masks, torch.stack([masks[0][None], masks[1]]))


def test_an_image_with_masks_alone_has_no_points():
    batch = PromptBatch.from_prompts([[ObjectPrompt(mask_logits=MASK)]], [SIZE], MODEL_SIZE)

    assert set(batch.model_inputs()) == {"input_masks"}


def test_a_batch_moves_as_a_whole():
    batch = PromptBatch.from_prompts([[clicked((1, 1), mask=MASK)]], [SIZE], MODEL_SIZE)

    moved = batch.to("meta")

    assert all(tensor.is_meta for tensor in moved.model_inputs().values())
    assert set(moved.model_inputs()) == {"input_points", "input_labels", "input_masks"}
    assert moved.num_objects == batch.num_objects


def test_objects_of_different_kinds_need_separate_calls():
    prompts = [clicked((1, 1)), clicked((1, 1), mask=MASK), ObjectPrompt(box=(1, 1, 2, 2))]

    assert group_by_kind(prompts) == [[0, 2], [1]]
    with pytest.raises(PromptError, match="group_by_kind"):
        PromptBatch.from_prompts([prompts], [SIZE], MODEL_SIZE)


@pytest.mark.parametrize(
    ("prompts", "words"),
    [([[clicked((1, 1))]] * 2, r"prompts for 2 image\(s\) and 1 image"), ([[]], "no object")],
)
def test_images_and_prompts_must_match(prompts, words):
    with pytest.raises(PromptError, match=words):
        PromptBatch.from_prompts(prompts, [SIZE], MODEL_SIZE)


def test_three_masks_of_one_object_are_no_prompt():
    with pytest.raises(PromptError, match="one of the three masks"):
        read_mask_logits(torch.zeros(3, 64, 64))


def test_tensors_are_padded_to_the_largest():
    padded = pad_objects([[torch.ones(1, 2)], [torch.ones(2, 2), torch.ones(3, 2)]], -1.0)

    assert padded.shape == (2, 2, 3, 2)
    assert padded.sum(dim=(2, 3)).tolist() == [[-2, -6], [2, 6]]


def test_what_a_person_gave_is_left_alone():
    places, mask = [1, 2], torch.zeros(1, 64, 64)

    prompt = ObjectPrompt([Click(places)], mask_logits=mask)
    PromptBatch.from_prompts([[prompt]], [SIZE], MODEL_SIZE)

    assert places == [1, 2]
    assert mask.shape == (1, 64, 64)
