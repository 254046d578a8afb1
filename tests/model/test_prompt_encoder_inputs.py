import pytest
import torch
from torch.nn import functional

from sam2_hf.model.prompt_encoder import Prompts, fill_padding_objects, fit_masks

MASK_SIZE = (16, 16)


def test_points_without_labels_are_on_the_object():
    prompts = Prompts(points_bpt2=torch.zeros(1, 2, 3, 2)).completed(MASK_SIZE)

    assert torch.equal(prompts.labels_bpt, torch.ones(1, 2, 3, dtype=torch.long))


def test_labels_that_are_given_stay():
    labels = torch.tensor([[[0, 3, -10]]])

    prompts = Prompts(torch.zeros(1, 1, 3, 2), labels).completed(MASK_SIZE)

    assert prompts.labels_bpt is labels


@pytest.mark.parametrize(("masks", "objects"), [(None, 1), (torch.zeros(2, 3, 16, 16), 3)])
def test_a_picture_without_points_and_boxes_gets_a_token_that_is_no_point(masks, objects):
    prompts = Prompts(masks_bphw=masks).completed(MASK_SIZE, torch.zeros(2, 32, 4, 4))

    assert prompts.points_bpt2.shape == (2, objects, 1, 2)
    assert torch.equal(prompts.labels_bpt, torch.full((2, objects, 1), -1))


def test_boxes_need_no_such_token():
    prompts = Prompts(boxes_bp4=torch.zeros(2, 3, 4))

    assert prompts.completed(MASK_SIZE, torch.zeros(2, 32, 4, 4)).points_bpt2 is None


def test_completing_leaves_the_prompts_that_were_given_alone():
    given = Prompts(points_bpt2=torch.zeros(1, 1, 1, 2))

    given.completed(MASK_SIZE)

    assert given.labels_bpt is None


def test_points_and_boxes_of_different_numbers_of_objects_are_refused():
    prompts = Prompts(torch.zeros(1, 3, 1, 2), None, torch.zeros(1, 2, 4))

    with pytest.raises(ValueError, match="points for 3 objects of 1 images and 2 boxes"):
        prompts.completed(MASK_SIZE)


@pytest.mark.parametrize(
    ("shape", "fitted"),
    [
        ((2, 16, 16), (2, 1, 16, 16)),
        ((2, 3, 16, 16), (2, 3, 16, 16)),
        ((2, 3, 1, 16, 16), (2, 3, 16, 16)),
    ],
)
def test_masks_may_be_of_each_picture_or_of_each_object(shape, fitted, generator):
    masks = torch.randn(shape, generator=generator)

    result = fit_masks(masks, MASK_SIZE)

    assert result.shape == fitted
    assert torch.equal(result.flatten(), masks.flatten())


@pytest.mark.parametrize("size", [8, 40])
def test_masks_of_another_size_are_resized_smoothly(size, generator):
    masks = torch.randn(1, 2, size, size, generator=generator)

    expected = functional.interpolate(masks, size=MASK_SIZE, mode="bilinear", antialias=True)

    assert torch.equal(fit_masks(masks, MASK_SIZE), expected)


def test_resized_masks_keep_their_dtype():
    masks = torch.ones(1, 1, 40, 40, dtype=torch.float16)

    assert fit_masks(masks, MASK_SIZE).dtype == torch.float16


def test_an_object_is_padding_if_all_of_its_points_and_its_box_are():
    labels = torch.tensor([[[-10, -10], [-10, 1], [-10, -10], [0, 0]]])
    boxes = torch.tensor([[[-10.0] * 4, [-10.0] * 4, [-10.0, 0, 5, 5], [1.0, 2, 3, 4]]])

    prompts = Prompts(torch.zeros(1, 4, 2, 2), labels, boxes)

    assert prompts.padding_objects().tolist() == [[True, False, False, False]]


def test_points_alone_and_boxes_alone_tell_padding_too():
    labels = torch.tensor([[[-10, -10], [-10, 1]]])
    boxes = torch.tensor([[[-10.0, -10, 3, 4], [-10.0] * 4]])

    by_points = Prompts(torch.zeros(1, 2, 2, 2), labels).padding_objects()
    by_boxes = Prompts(boxes_bp4=boxes).padding_objects()

    assert by_points.tolist() == [[True, False]]
    assert by_boxes.tolist() == [[False, True]]
    assert Prompts().padding_objects() is None


def test_what_was_predicted_for_padding_is_overwritten():
    values = torch.ones(1, 2, 3, 4, 4)

    blanked = fill_padding_objects(values, torch.tensor([[True, False]]), -1024.0)

    assert (blanked[:, 0] == -1024).all()
    assert torch.equal(blanked[:, 1], values[:, 1])
    assert values.min() == 1


@pytest.mark.parametrize("padding", [None, torch.tensor([[False, False]])])
def test_without_padding_nothing_is_copied(padding):
    values = torch.ones(1, 2, 3)

    assert fill_padding_objects(values, padding, 0.0) is values


@pytest.mark.parametrize(
    ("prompts", "complaint"),
    [
        ({"points_bpt2": torch.zeros(1, 1, 1, 2), "labels_bpt": torch.ones(1, 1, 2)}, "one label"),
        ({"points_bpt2": torch.zeros(2, 1, 1, 2)}, "2 images and 1 images"),
        ({"boxes_bp4": torch.zeros(2, 3, 4)}, "2 images and 1 images"),
        (
            {"points_bpt2": torch.zeros(1, 3, 1, 2), "masks_bphw": torch.zeros(1, 2, 16, 16)},
            "one mask per image or one per object",
        ),
        (
            {"points_bpt2": torch.zeros(1, 3, 1, 2), "boxes_bp4": torch.zeros(1, 2, 4)},
            "as many bounding boxes",
        ),
    ],
)
def test_prompts_that_do_not_fit_together_are_refused(prompts, complaint):
    with pytest.raises(ValueError, match=complaint):
        Prompts(**prompts).completed((16, 16), torch.zeros(1, 8, 4, 4))
