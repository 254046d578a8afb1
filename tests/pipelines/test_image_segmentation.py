"""Prompts and photos in, masks out."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import Click, ImageError, ImageSegmentationPipeline, ObjectPrompt, PromptError
from sam2_hf.geometry import to_model_pixels
from sam2_hf.masks import resize_masks
from sam2_hf.pipelines.encoded_image import PhotoEncoder
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.images import to_rgb

ROUNDING = 5e-4  # logits of a float64 model; the places of clicks are in float32 even there
BOX = (20, 10, 90, 50)


def outline_length(masks):
    """Count changes from pixel to pixel along rows."""
    return np.count_nonzero(masks[..., 1:] != masks[..., :-1])


@pytest.fixture(scope="module")
def pipeline(micro_model):
    """The micro model, whose masks really depend on the prompts."""
    return ImageSegmentationPipeline(micro_model)


@pytest.fixture(scope="module")
def exact_pipeline(micro_model):
    """The same in float64, where no rounding hides a real influence."""
    return ImageSegmentationPipeline(copy.deepcopy(micro_model).double())


def test_one_click_gives_three_masks_of_the_photos_size(pipeline, wide):
    result = pipeline(wide, points=(30, 20))

    assert (result.masks.shape, result.masks.dtype) == ((3, 60, 120), np.bool_)
    assert (result.scores.shape, result.low_res_logits.shape) == ((3,), (3, 64, 64))
    assert np.abs(result.low_res_logits).max() <= 32
    assert isinstance(result.object_score, float)


def test_the_best_mask_is_the_one_with_the_highest_score(pipeline, wide):
    result = pipeline(wide, points=(30, 20))

    assert result.best_score == result.scores.max()
    np.testing.assert_array_equal(result.best, result.masks[result.best_index])
    np.testing.assert_array_equal(result.best_logits, result.low_res_logits[result.best_index])


def test_a_single_mask_is_given_on_request(pipeline, wide):
    assert pipeline(wide, points=(30, 20), multimask=False).masks.shape == (1, 60, 120)


def test_the_answer_is_that_of_the_model(pipeline, micro_model, wide):
    embeddings = PhotoEncoder(micro_model).embeddings(to_rgb(wide))
    points = to_model_pixels(torch.tensor([[[[30.0, 20.0]]]]), (60, 120), 256)
    with torch.no_grad():
        output = micro_model(image_embeddings=embeddings, input_points=points)

    result = pipeline(wide, points=(30, 20))

    expected = resize_masks(output.pred_masks[0], (60, 120))[0] > 0
    np.testing.assert_array_equal(result.masks, expected)


@pytest.mark.parametrize("kind", ["path", "picture", "tensor"])
def test_a_photo_comes_in_any_form(pipeline, wide, tmp_path, kind):
    Image.fromarray(wide).save(tmp_path / "photo.png")
    forms = {
        "path": tmp_path / "photo.png",
        "picture": Image.fromarray(wide),
        "tensor": torch.from_numpy(wide).permute(2, 0, 1),
    }

    result = pipeline(forms[kind], points=(30, 20))

    expected = pipeline(wide, points=(30, 20)).low_res_logits
    np.testing.assert_array_equal(result.low_res_logits, expected)


def test_an_image_is_encoded_once_and_prompted_many_times(pipeline, wide, monkeypatch):
    encoded = pipeline.encode(wide)
    monkeypatch.setattr(PhotoEncoder, "embeddings", None)

    first, second = pipeline(encoded, points=(30, 20)), pipeline(encoded, box=BOX)

    assert not np.array_equal(first.low_res_logits, second.low_res_logits)


def test_a_mask_refines_the_next_answer(pipeline, wide):
    first = pipeline(wide, points=(30, 20))

    second = pipeline(wide, points=(30, 20), mask=first.best_logits, multimask=False)

    assert not np.allclose(first.best_logits, second.best_logits, atol=0.1)


def test_a_mask_may_be_drawn_at_the_photos_size(pipeline, wide):
    drawn = np.zeros((60, 120), bool)
    drawn[10:50, 20:80] = True
    forms = [drawn, drawn.astype(np.uint8) * 255, drawn.astype(np.float32), Image.fromarray(drawn)]

    answers = [pipeline(wide, points=(30, 20), mask=form, multimask=False) for form in forms]

    plain = pipeline(wide, points=(30, 20), multimask=False)
    assert not np.allclose(answers[0].best_logits, plain.best_logits, atol=0.1)
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer.best_logits, answers[0].best_logits)


def test_several_objects_of_any_kind_do_not_influence_each_other(exact_pipeline, wide):
    previous = exact_pipeline(wide, points=(100, 40)).best_logits
    objects = {
        "one click": ObjectPrompt(clicks=[Click((30, 20))]),
        "three clicks": {"points": [(30, 20), (40, 30), (5, 5)], "labels": [1, 1, 0]},
        "box": {"box": BOX},
        "box and click": ObjectPrompt(clicks=[Click((60, 30), positive=False)], box=BOX),
        "mask and click": {"points": (100, 40), "mask": previous},
        "mask": {"mask": previous},
    }
    encoded = exact_pipeline.encode(wide)

    together = exact_pipeline(encoded, objects)

    assert list(together) == list(objects)
    for name, prompt in objects.items():
        alone = exact_pipeline(encoded, prompt)
        difference = np.abs(together[name].low_res_logits - alone.low_res_logits).max()
        assert difference < ROUNDING, name
        np.testing.assert_allclose(together[name].scores, alone.scores, atol=ROUNDING)


def test_more_objects_than_are_decoded_at_once_come_in_order(exact_pipeline, wide, monkeypatch):
    monkeypatch.setattr("sam2_hf.pipelines.image_segmentation.OBJECTS_PER_BATCH", 2)
    objects = [{"points": (x, 30)} for x in (10, 40, 70, 100, 115)]

    results = exact_pipeline(wide, objects)

    alone = [exact_pipeline(wide, prompt) for prompt in objects]
    for ours, theirs in zip(results, alone, strict=True):
        np.testing.assert_allclose(ours.low_res_logits, theirs.low_res_logits, atol=ROUNDING)


def test_a_ragged_batch_of_photos_gives_each_its_own(exact_pipeline, wide, tall):
    objects = [[{"points": (30, 20)}, {"box": BOX}, {"points": (9, 9)}], {"points": (10, 90)}]

    first, second = exact_pipeline([wide, tall], objects)

    assert [result.masks.shape for result in first] == [(3, 60, 120)] * 3
    assert second.masks.shape == (3, 100, 70)
    alone = exact_pipeline(tall, points=(10, 90))
    np.testing.assert_allclose(second.low_res_logits, alone.low_res_logits, atol=ROUNDING)


def test_photos_and_encodings_may_be_mixed(pipeline, wide, tall):
    results = pipeline([pipeline.encode(tall), wide], [{"points": (1, 1)}, {"points": (1, 1)}])

    assert [result.masks.shape[1:] for result in results] == [(100, 70), (60, 120)]


def test_many_photos_are_encoded_a_few_at_a_time(pipeline, wide, tall):
    encoded = pipeline.encode([wide, tall] * 3)

    assert [one.original_size for one in encoded] == [(60, 120), (100, 70)] * 3
    assert all(level.shape[0] == 1 for one in encoded for level in one.embeddings)


def test_a_negative_click_is_not_a_positive_one(pipeline, wide):
    on = pipeline(wide, points=[(30, 20), (90, 40)], labels=[1, 1])
    off = pipeline(wide, points=[(30, 20), (90, 40)], labels=[1, 0])

    assert not np.allclose(on.low_res_logits, off.low_res_logits, atol=0.01)


def test_holes_and_speckles_are_removed_on_request(micro_model, wide):
    plain = ImageSegmentationPipeline(micro_model)(wide, points=(30, 20))
    clean = ImageSegmentationPipeline(micro_model, max_hole_area=20, max_sprinkle_area=20)(
        wide, points=(30, 20)
    )

    assert outline_length(clean.masks) < outline_length(plain.masks)
    np.testing.assert_array_equal(clean.low_res_logits, plain.low_res_logits)


def test_the_callers_arrays_stay_as_they_are(pipeline, wide):
    points, labels, box = np.array([[30.0, 20.0]]), np.array([1]), np.array([20.0, 10, 90, 50])
    before = copy.deepcopy((wide, points, labels, box))

    pipeline(wide, points=points, labels=labels, box=box)

    for left, right in zip((wide, points, labels, box), before, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "there is no prompt"),
        ({"points": (130, 20)}, r"point \(130, 20\) of the object lies outside"),
        ({"box": (50, 10, 20, 50)}, "ends before it begins"),
        ({"box": (20, 10, float("nan"), 50)}, "nan"),
        ({"points": [(1, 1)], "labels": [1, 0]}, r"1 point\(s\) and labels has 2 label"),
        (
            {"mask": np.zeros((20, 20), np.float32)},
            r"20 x 20, the picture is 60 x 120 .* or at 64 x 64",
        ),
        ({"objects": {"cup": {"points": (1, 99)}}}, "object 'cup'"),
    ],
)
def test_a_bad_prompt_is_refused_before_the_photo_is_encoded(
    pipeline, wide, monkeypatch, arguments, message
):
    monkeypatch.setattr(PhotoEncoder, "embeddings", None)

    with pytest.raises(PromptError, match=message):
        pipeline(wide, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"points": (1, 1)}, {"objects": [{"points": (1, 1)}]}, {"objects": {"points": (1, 1)}}, {}],
)
def test_photos_and_prompts_must_be_as_many(pipeline, wide, tall, arguments):
    with pytest.raises(PromptError, match="there are 2 photos"):
        pipeline([wide, tall], **arguments)


def test_what_is_no_photo_is_an_error_of_ours(pipeline, tmp_path):
    (tmp_path / "text.jpg").write_text("not a picture")

    for photo in (tmp_path / "text.jpg", tmp_path / "none.jpg", np.zeros((5, 6, 7), np.uint8)):
        with pytest.raises(ImageError):
            pipeline(photo, points=(1, 1))


def test_a_deep_photo_is_answered_as_its_stretched_one(micro_model, wide):
    deep = np.asarray(wide)[..., 0].astype(np.int32) * 16 - 1000
    options = {"value_range": (-1000, 3080)}
    plain = ImageSegmentationPipeline(micro_model)((deep + 1000) // 16, points=(30, 20))
    from_processor = Sam2ImageProcessor(**options)

    for pipeline in (
        ImageSegmentationPipeline(micro_model, **options),
        ImageSegmentationPipeline(micro_model, from_processor),
    ):
        for given in (deep, pipeline.encode(deep)):
            found = pipeline(given, points=(30, 20))
            np.testing.assert_allclose(found.scores, plain.scores, atol=1e-4)
    with pytest.raises(ImageError, match="value_range"):
        ImageSegmentationPipeline(micro_model)(deep, points=(30, 20))
