import copy
import inspect

import numpy as np
import pytest
import torch
from seeded_inputs import photo
from transformers.processing_utils import ProcessorMixin

from sam2_hf.errors import ImageError, PromptError
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.processing_sam2 import Sam2Processor

ALONE_TOLERANCE = 1e-4  # logits; other batch sizes add in another order


@pytest.fixture
def processor():
    return Sam2Processor(Sam2ImageProcessor(size=64))


@pytest.fixture(scope="module")
def images():
    return [photo(120, 180, 1), photo(90, 60, 2)]


def predict(model, processor, images, **prompts):
    """Final logits of each image, by the lines a user writes."""
    inputs = processor(images, return_tensors="pt", **prompts)
    counts = processor.count_objects(inputs)
    sizes = inputs.pop("original_sizes")
    with torch.inference_mode():
        masks = model(**inputs).pred_masks
    return processor.post_process_masks(masks, sizes, binarize=False, num_objects=counts)


def test_pictures_alone_give_the_models_input_names(processor, images):
    inputs = processor(images, return_tensors="pt")

    assert set(inputs) == set(processor.model_input_names) == {"pixel_values", "original_sizes"}


def test_prompts_are_scaled_by_the_models_size(processor, images):
    inputs = processor(images[0], input_points=[[[[180, 60]]]], input_boxes=[[[0, 0, 90, 120]]])

    assert inputs["input_points"].tolist() == [[[[64, 32]]]]
    assert inputs["input_labels"].tolist() == [[[1]]]
    assert inputs["input_boxes"].tolist() == [[[0, 0, 32, 64]]]


def test_a_size_for_one_call_holds_for_its_prompts_too(processor, images):
    inputs = processor(images[0], input_points=[[[[180, 120]]]], size=32)

    assert inputs["input_points"].tolist() == [[[[32, 32]]]]


def test_prompts_of_encoded_pictures_need_sizes_only(processor):
    inputs = processor(
        original_sizes=[[120, 180]], input_points=[[[[90, 60]]]], return_tensors="pt"
    )

    assert set(inputs) == {"original_sizes", "input_points", "input_labels"}
    assert inputs["input_points"].tolist() == [[[[32, 32]]]]


RAGGED = [
    {"input_points": [[[[10, 20], [50, 60]], [[90, 30]]], [[[30, 45]]]]},
    {
        "input_points": [[[[10, 20], [50, 60]], [[90, 30]]], [[[30, 45], [5, 5], [9, 70]]]],
        "input_labels": [[[1, 0], [1]], [[1, 0, 1]]],
    },
    {"input_boxes": [[[10, 20, 100, 90], [5, 5, 30, 30], [60, 60, 170, 110]], [[3, 4, 50, 80]]]},
    {
        "input_points": [[[[10, 20]], []], [[[30, 45]]]],
        "input_boxes": [[[10, 20, 100, 90], [5, 5, 30, 30]], [[3, 4, 50, 80]]],
    },
]


@pytest.mark.parametrize("prompts", RAGGED)
def test_a_ragged_batch_gives_each_image_its_own_masks(tiny_model, processor, images, prompts):
    """Spurious masks or a refusal in transformers 5.23: models/sam2/processing_sam2.py:147-155."""
    together = predict(tiny_model, processor, images, **prompts)

    for index, masks in enumerate(together):
        own = {name: [value[index]] for name, value in prompts.items()}
        (alone,) = predict(tiny_model, processor, images[index], **own)
        torch.testing.assert_close(masks, alone, rtol=0, atol=ALONE_TOLERANCE)


def test_every_object_has_its_own_mask_prompt(tiny_model, processor, images):
    """Missing in transformers 5.23, whose processor takes no mask."""
    masks = torch.randn(1, 2, 16, 16, generator=torch.Generator().manual_seed(0)) * 5
    points = [[[[10, 20]], [[90, 30]]]]
    together = predict(tiny_model, processor, images[0], input_points=points, input_masks=masks)

    for index in range(2):
        alone = predict(
            tiny_model,
            processor,
            images[0],
            input_points=[[points[0][index]]],
            input_masks=masks[:, index : index + 1],
        )
        torch.testing.assert_close(together[0][index], alone[0][0], rtol=0, atol=ALONE_TOLERANCE)


@pytest.mark.parametrize("make", [lambda x: x, np.array, torch.tensor])
def test_the_callers_prompts_are_left_alone(processor, images, make):
    points, boxes = make([[[[10, 20]], [[90, 30]]]]), make([[[1, 2, 30, 40], [5, 5, 9, 9]]])
    before = copy.deepcopy((points, boxes))

    processor(images[0], input_points=points, input_boxes=boxes)

    assert np.array_equal(points, before[0])
    assert np.array_equal(boxes, before[1])


def test_options_survive_save_and_load(tmp_path):
    inner = Sam2ImageProcessor(size=32, compat="transformers")

    Sam2Processor(inner, target_size=77, point_pad_value=-11).save_pretrained(tmp_path)
    loaded = Sam2Processor.from_pretrained(tmp_path)

    assert (loaded.target_size, loaded.point_pad_value) == (77, -11)
    assert loaded.image_processor.to_dict() == inner.to_dict()
    assert type(loaded.image_processor) is Sam2ImageProcessor


def test_options_can_be_changed_while_loading(tmp_path, processor):
    processor.save_pretrained(tmp_path)

    loaded = Sam2Processor.from_pretrained(tmp_path, do_normalize=False, padding_value=1.0)

    assert loaded.image_processor.do_normalize is False


def test_programs_find_what_they_look_for_behind_the_class():
    """Transformers looks at the first base, and others at what `from_pretrained` takes."""
    assert inspect.getmro(Sam2Processor)[1] is ProcessorMixin
    for ours in (Sam2Processor, Sam2ImageProcessor):
        expected = inspect.signature(inspect.getmro(ours)[1].from_pretrained)
        assert inspect.signature(ours.from_pretrained) == expected


def test_an_image_processors_own_file_is_enough(tmp_path, processor):
    processor.image_processor.save_pretrained(tmp_path)

    assert Sam2Processor.from_pretrained(tmp_path).target_size == 64


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, PromptError, "neither images nor original_sizes"),
        ({"images": "nowhere.png"}, ImageError, "nowhere"),
        ({"original_sizes": [[9, 9]], "input_points": [[[1, 2]]]}, PromptError, "3 levels"),
        (
            {"original_sizes": [[9, 9]], "input_points": [[[[1, 2]]]] * 2},
            PromptError,
            r"for 2 image\(s\), there are 1",
        ),
        (
            {"original_sizes": [[9, 9]], "input_points": [[[[1, 20]]]]},
            PromptError,
            r"point \(1, 20\) of object 0 of image 0",
        ),
        (
            {"original_sizes": [[9, 9]], "input_masks": torch.zeros(1, 1, 9, 9)},
            PromptError,
            "9 x 9; the model expects 16 x 16",
        ),
    ],
)
def test_what_cannot_be_used_is_named(processor, arguments, error, words):
    with pytest.raises(error, match=words):
        processor(**arguments)


def test_sizes_that_contradict_the_pictures_are_named(processor, images):
    processor(images[0], original_sizes=[[120, 180]])
    with pytest.raises(PromptError, match=r"\(180, 120\).*\(120, 180\)"):
        processor(images[0], original_sizes=[[180, 120]])
