import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.processing.prompt_tensors import count_objects, pad_prompts, read_prompts

SIZE, MODEL_SIZE, PAD = (600, 900), 256, -10
POINTS = [[[[90, 60]], [[0, 0], [900, 600]]], [[[450, 300]]]]
BOXES = [[[0, 0, 900, 600], [9, 6, 90, 60]], [[0, 0, 450, 300]]]


def prepare(num_images=2, pad=PAD, **arguments):
    prompts = read_prompts(arguments, num_images, pad)
    for index, one in enumerate(prompts):
        one.check(SIZE, MODEL_SIZE, f"image {index}")
    return pad_prompts([one.scaled(SIZE, MODEL_SIZE) for one in prompts], pad, MODEL_SIZE // 4)


def test_places_are_scaled_and_padded():
    inputs = prepare(input_points=POINTS)

    assert inputs["input_labels"].tolist() == [[[1, -10], [1, 1]], [[1, -10], [-10, -10]]]
    assert inputs["input_points"].dtype == torch.float32
    expected = torch.tensor([[[25.6, 25.6], [-10, -10]], [[0, 0], [256, 256]]])
    torch.testing.assert_close(inputs["input_points"][0], expected)


def test_images_may_have_different_numbers_of_boxes():
    """Refused by transformers 5.23: models/sam2/processing_sam2.py:147-155."""
    inputs = prepare(input_boxes=BOXES)

    assert inputs["input_boxes"].shape == (2, 2, 4)
    assert inputs["input_boxes"][0, 0].tolist() == [0, 0, 256, 256]
    assert inputs["input_boxes"][1, 1].tolist() == [-10] * 4


def test_real_objects_are_counted():
    assert count_objects(prepare(input_points=POINTS)) == [2, 1]
    assert count_objects(prepare(input_boxes=BOXES)) == [2, 1]
    assert count_objects(prepare(input_points=[[[], [[1, 1]]], [[[2, 2]]]], input_boxes=BOXES)) == [
        2,
        1,
    ]
    assert count_objects(prepare(input_masks=torch.zeros(2, 3, 64, 64))) == [3, 3]
    assert count_objects({}) == []


def test_padding_of_the_callers_own_stays_padding():
    points = torch.tensor([[[[90.0, 60.0], [-10.0, -10.0]]]])

    inputs = prepare(1, input_points=points)

    assert inputs["input_labels"].tolist() == [[[1, -10]]]
    assert inputs["input_points"][0, 0, 1].tolist() == [-10, -10]
    assert points[0, 0, 0].tolist() == [90, 60]


def test_another_pad_value_fills_points_but_labels_keep_theirs():
    inputs = prepare(pad=-7, input_points=POINTS)

    assert inputs["input_points"][1, 1].unique().tolist() == [-7]
    assert inputs["input_labels"][1, 1].unique().tolist() == [-10]


def test_one_mask_serves_all_objects_of_its_image():
    inputs = prepare(
        input_points=POINTS, input_masks=[torch.ones(1, 64, 64), torch.ones(1, 64, 64)]
    )

    assert inputs["input_masks"].shape == (2, 2, 64, 64)
    assert inputs["input_masks"].mean(dim=(2, 3)).tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"input_points": POINTS[:1]}, r"input_points has prompts for 1 image\(s\), there are 2"),
        ({"input_points": POINTS, "input_boxes": BOXES[:1]}, "input_boxes has prompts for 1"),
        ({"input_labels": [[[1]]]}, "input_labels came without input_points"),
        (
            {"input_points": POINTS, "input_labels": [[[1], [1, 0, 1]], [[1]]]},
            r"input_points of object 1 of image 0 has 2 point\(s\) and input_labels has 3 label",
        ),
        (
            {"input_points": POINTS, "input_labels": [[[1]], [[1]]]},
            "image 0 differ: input_points 2, input_labels 1",
        ),
        (
            {"input_points": POINTS, "input_boxes": [BOXES[0], BOXES[0]]},
            "image 1 differ: .*input_boxes 2",
        ),
        (
            {"input_points": [POINTS[0], []], "input_boxes": BOXES},
            "image 1 differ: input_points 0, input_labels 0, input_boxes 1",
        ),
        ({"input_points": [POINTS[0], [[]]]}, "object 0 of image 1 has no point"),
        ({"input_points": [POINTS[0], [[[950, 5]]]]}, "object 0 of image 1 lies outside"),
        ({"input_points": POINTS, "input_labels": [[[7], [1, 1]], [[1]]]}, "label 7 of object 0"),
        ({"input_boxes": [BOXES[0], [[9, 9, 1, 1]]]}, "object 0 of image 1 ends before"),
        ({"input_boxes": [BOXES[0], [[9, 9, float("nan"), 1]]]}, "nan"),
        ({"input_masks": torch.zeros(2, 1, 32, 32)}, "object 0 of image 0 is 32 x 32"),
        (
            {"input_points": POINTS, "input_masks": [torch.zeros(3, 64, 64)] * 2},
            "image 0 differ: .*input_masks 3",
        ),
    ],
)
def test_what_does_not_belong_together_is_named(arguments, words):
    with pytest.raises(PromptError, match=words):
        prepare(**arguments)
