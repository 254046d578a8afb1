"""A detector found nothing: empty prompts have empty answers of the right shapes.

transformers 5.23 fails on all of them, with an IndexError in models/sam2/processing_sam2.py or a
RuntimeError in a reshape of models/sam2/modeling_sam2.py.
"""

import numpy as np
import pytest
import torch

from sam2_hf import ImageSegmentationPipeline, PromptError, Sam2ImageProcessor, Sam2Processor
from sam2_hf.pipelines.encoded_image import PhotoEncoder

SIZE = (60, 120)
BOX = [[10, 10, 90, 50]]


@pytest.fixture
def processor():
    return Sam2Processor(Sam2ImageProcessor(size=64))


@pytest.fixture
def photo():
    return np.zeros((*SIZE, 3), np.uint8)


@pytest.fixture
def segment(tiny_model):
    return ImageSegmentationPipeline(tiny_model)


NOTHING = {
    "boxes []": {"input_boxes": []},
    "boxes [[]]": {"input_boxes": [[]]},
    "boxes (0, 4)": {"input_boxes": np.zeros((0, 4))},
    "boxes (1, 0, 4)": {"input_boxes": torch.zeros(1, 0, 4)},
    "points []": {"input_points": []},
    "points [[]]": {"input_points": [[]]},
    "points (1, 0, 1, 2)": {"input_points": np.zeros((1, 0, 1, 2))},
    "points and labels": {"input_points": [[]], "input_labels": [[]]},
    "points and boxes": {"input_points": [[]], "input_boxes": [[]]},
    "masks []": {"input_masks": []},
    "masks (1, 0, 16, 16)": {"input_masks": torch.zeros(1, 0, 16, 16)},
    "masks and boxes": {"input_masks": torch.zeros(1, 0, 16, 16), "input_boxes": [[]]},
    "a mask and no boxes": {"input_masks": torch.zeros(1, 1, 16, 16), "input_boxes": [[]]},
}


@pytest.mark.parametrize("prompts", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize("multimask", [True, False])
def test_no_object_goes_through_processor_model_and_post_processing(
    tiny_model, processor, photo, prompts, multimask
):
    inputs = processor(photo, return_tensors="pt", **prompts)
    counts = processor.count_objects(inputs)
    sizes = inputs.pop("original_sizes")
    with torch.no_grad():
        output = tiny_model(**inputs, multimask_output=multimask)
    (masks,) = processor.post_process_masks(output.pred_masks, sizes, num_objects=counts)

    many = 3 if multimask else 1
    assert counts == [0]
    assert output.pred_masks.shape == (1, 0, many, 16, 16)
    assert output.iou_scores.shape == (1, 0, many)
    assert output.object_score_logits.shape == (1, 0, 1)
    assert (masks.shape, masks.dtype) == ((0, many, *SIZE), torch.bool)


def test_shapes_of_prompts_for_nothing(processor, photo):
    shapes = {
        name: tuple(processor(photo, return_tensors="pt", **{name: []})[name].shape)
        for name in ("input_points", "input_boxes", "input_masks")
    }

    assert shapes == {
        "input_points": (1, 0, 1, 2),
        "input_boxes": (1, 0, 4),
        "input_masks": (1, 0, 16, 16),
    }


@pytest.mark.parametrize(
    "prompts",
    [
        {"input_boxes": [BOX, []]},
        {"input_boxes": [np.array(BOX), np.zeros((0, 4))]},
        {"input_points": [[[[10, 10]]], []]},
        {"input_masks": [torch.ones(1, 16, 16), torch.zeros(0, 16, 16)]},
        {"input_points": [[[[10, 10]]], []], "input_boxes": [BOX, []]},
    ],
    ids=["boxes", "arrays of boxes", "points", "masks", "points and boxes"],
)
def test_a_photo_without_objects_beside_one_with_an_object(tiny_model, processor, photo, prompts):
    inputs = processor([photo, photo], return_tensors="pt", **prompts)
    alone = processor(photo, return_tensors="pt", **{k: v[:1] for k, v in prompts.items()})
    counts = processor.count_objects(inputs)
    sizes, size = inputs.pop("original_sizes"), alone.pop("original_sizes")
    with torch.no_grad():
        together, single = tiny_model(**inputs).pred_masks, tiny_model(**alone).pred_masks

    masks = processor.post_process_masks(together, sizes, num_objects=counts)

    assert counts == [1, 0]
    assert [mask.shape for mask in masks] == [(1, 3, *SIZE), (0, 3, *SIZE)]
    torch.testing.assert_close(together[0, 0], single[0, 0])
    assert (together[1] == -1024).all()
    assert size.tolist() == [list(SIZE)]


def test_boxes_of_a_detector_need_no_axis_for_a_single_photo(processor, photo):
    boxes = np.array([[10, 10, 90, 50], [1, 2, 3, 4]], np.float32)
    expected = processor(photo, input_boxes=[boxes.tolist()], return_tensors="pt")

    for given in (boxes, torch.from_numpy(boxes)):
        found = processor(photo, input_boxes=given, return_tensors="pt")
        assert torch.equal(found["input_boxes"], expected["input_boxes"])


def test_embeddings_alone_answer_no_object_too(tiny_model, photo):
    embeddings = PhotoEncoder(tiny_model).embeddings(torch.zeros(3, *SIZE, dtype=torch.uint8))

    output = tiny_model(image_embeddings=embeddings, input_boxes=torch.zeros(1, 0, 4))

    assert output.pred_masks.shape == (1, 0, 3, 16, 16)


def test_no_object_has_no_loss(tiny_model):
    pixels, boxes = torch.zeros(2, 3, 64, 64), torch.zeros(2, 0, 4)

    output = tiny_model(
        pixel_values=pixels, input_boxes=boxes, labels=torch.zeros(2, 0, 64, 64) > 0
    )

    assert output.loss == 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"objects": []},
        {"objects": ()},
        {"objects": np.zeros((0, 4))},
        {"boxes": []},
        {"boxes": [[]]},
        {"boxes": np.zeros((0, 4), np.float32)},
        {"boxes": torch.zeros(0, 4)},
    ],
    ids=str,
)
def test_a_pipeline_answers_nothing_with_nothing(segment, photo, monkeypatch, arguments):
    monkeypatch.setattr(PhotoEncoder, "embeddings", None)  # no need to encode it

    assert segment(photo, **arguments) == []
    assert segment(photo, {}) == {}


def test_a_pipeline_takes_the_boxes_of_a_detector(segment, photo):
    boxes = torch.tensor([[10, 10, 90, 50], [1.5, 2, 30, 40]], dtype=torch.bfloat16)
    expected = segment(photo, [{"box": row} for row in boxes.tolist()])

    for given in (boxes, boxes.float(), boxes.float().numpy(), boxes.tolist(), list(boxes.float())):
        found = segment(photo, boxes=given)
        assert [one.scores.tolist() for one in found] == [one.scores.tolist() for one in expected]


def test_a_photo_without_detections_beside_others_in_a_pipeline(segment, photo):
    by_box, none = segment([photo, photo], boxes=[np.array(BOX), np.zeros((0, 4))])
    listed, nothing = segment([photo, photo], [[{"box": BOX[0]}], []])

    assert none == nothing == []
    assert np.array_equal(by_box[0].masks, listed[0].masks)


def test_an_object_with_nothing_in_it_is_still_refused(segment, processor, photo):
    """No object is an answer; an object that nobody pointed at is a mistake."""
    with pytest.raises(PromptError, match="the prompt is empty"):
        segment(photo, points=[])
    with pytest.raises(PromptError, match="object 0 of image 0 has no point"):
        processor(photo, input_points=[[[]]])
    with pytest.raises(PromptError, match="there is no prompt"):
        segment(photo)
    with pytest.raises(PromptError, match="Give one label per point"):
        segment(photo, labels=[1])
    with pytest.raises(PromptError, match="input_labels came without input_points"):
        processor(photo, input_labels=[[[1]]])


def test_a_box_may_come_with_an_empty_list_of_points(segment, processor, photo):
    expected = segment(photo, box=BOX[0])

    for points in ([], np.zeros((0, 2)), torch.zeros(0, 2)):
        found = segment(photo, box=BOX[0], points=points, labels=[])
        assert np.array_equal(found.low_res_logits, expected.low_res_logits)
    inputs = processor(photo, input_points=[[[]]], input_boxes=[BOX], return_tensors="pt")
    assert inputs["input_labels"].shape[:2] == (1, 1)
