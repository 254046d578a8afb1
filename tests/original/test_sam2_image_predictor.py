"""The original's image predictor: photos, prompts, and what others read and write of it."""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import ImageSegmentationPipeline, Sam2VideoModel
from sam2_hf.errors import ImageError, OptionError, PromptError, SessionError
from sam2_hf.original import sam2_image_predictor
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor

MICRO = "sam2-hiera-micro"
CLICK = {"point_coords": np.array([[100, 75]]), "point_labels": np.array([1])}
BOXES = np.array([[20, 10, 120, 140], [50, 50, 190, 120], [0, 0, 60, 60]])
PROMPTS = ["point_coords", "point_labels", "box", "mask_input"]
FLAGS = ["multimask_output", "return_logits", "normalize_coords"]


@pytest.fixture(scope="module")
def encoded(micro_image_model, photo):
    """A predictor whose photo is set; not to be changed."""
    predictor = SAM2ImagePredictor(micro_image_model)
    predictor.set_image(photo)
    return predictor


@pytest.fixture
def predictor(micro_image_model):
    return SAM2ImagePredictor(micro_image_model)


def test_signatures_are_the_originals():
    def names(method):
        return [name for name in inspect.signature(method).parameters if name != "self"]

    options = ["mask_threshold", "max_hole_area", "max_sprinkle_area"]
    assert names(SAM2ImagePredictor) == ["sam_model", *options, "kwargs"]
    assert names(SAM2ImagePredictor.from_pretrained) == ["model_id", "kwargs"]
    assert names(SAM2ImagePredictor.set_image) == ["image"]
    assert names(SAM2ImagePredictor.set_image_batch) == ["image_list"]
    assert names(SAM2ImagePredictor.predict) == [*PROMPTS, *FLAGS]
    assert names(SAM2ImagePredictor.predict_batch) == [f"{name}_batch" for name in PROMPTS] + FLAGS


def test_an_answer_equals_the_pipelines(encoded, micro_image_model, photo):
    masks, scores, logits = encoded.predict(**CLICK)

    expected = ImageSegmentationPipeline(micro_image_model)(photo, points=(100, 75))
    assert masks.dtype == scores.dtype == logits.dtype == np.float32
    np.testing.assert_array_equal(masks, expected.masks.astype(np.float32))
    np.testing.assert_array_equal(scores, expected.scores)
    np.testing.assert_array_equal(logits, expected.low_res_logits)


@pytest.mark.parametrize(("multimask", "num"), [(True, 3), (False, 1)])
@pytest.mark.parametrize(
    ("prompt", "objects"),
    [
        (CLICK, ()),
        ({"box": BOXES[0]}, ()),
        ({"box": BOXES[:1]}, ()),
        ({"box": BOXES}, (3,)),
        ({"box": BOXES[:0]}, (0,)),
        ({"point_coords": [[[9, 9]], [[80, 60]]], "point_labels": [[1], [1]]}, (2,)),
        ({"mask_input": np.ones((1, 64, 64), np.float32)}, ()),
    ],
)
def test_several_objects_have_an_axis_and_one_has_none(encoded, prompt, objects, multimask, num):
    masks, scores, logits = encoded.predict(**prompt, multimask_output=multimask)

    assert masks.shape == (*objects, num, 150, 200)
    assert scores.shape == (*objects, num)
    assert logits.shape == (*objects, num, 64, 64)


def test_objects_do_not_see_each_other(encoded):
    together = encoded.predict(box=BOXES, multimask_output=False)

    for place, box in enumerate(BOXES):
        for whole, alone in zip(
            together, encoded.predict(box=box, multimask_output=False), strict=True
        ):
            np.testing.assert_allclose(whole[place], alone, atol=1e-4)


@pytest.mark.parametrize("with_mask", [True, False])
def test_more_objects_than_are_decoded_at_once_keep_their_order(encoded, monkeypatch, with_mask):
    mask = {"mask_input": np.random.default_rng(0).normal(size=(3, 1, 64, 64))} if with_mask else {}
    expected = encoded.predict(box=BOXES, **mask)

    monkeypatch.setattr(sam2_image_predictor, "OBJECTS_PER_BATCH", 2)

    for ours, all_at_once in zip(encoded.predict(box=BOXES, **mask), expected, strict=True):
        np.testing.assert_allclose(ours, all_at_once, atol=1e-4)


def test_logits_are_asked_for_and_masks_are_where_they_exceed_the_threshold(predictor, photo):
    predictor.set_image(photo)
    predictor.mask_threshold = 0.5

    masks, _, _ = predictor.predict(**CLICK)
    logits, _, low = predictor.predict(**CLICK, return_logits=True)

    np.testing.assert_array_equal(masks, logits > 0.5)
    assert np.abs(low).max() <= 32
    assert not set(np.unique(logits)) <= {0.0, 1.0}


def test_holes_and_speckles_are_cleaned_on_any_device(micro_image_model, photo):
    plain = SAM2ImagePredictor(micro_image_model)
    clean = SAM2ImagePredictor(micro_image_model, max_hole_area=4096, max_sprinkle_area=4096)
    for predictor in (plain, clean):
        predictor.set_image(photo)

    before, after = (one.predict(**CLICK) for one in (plain, clean))

    np.testing.assert_array_equal(before[2], after[2])  # low-resolution logits stay
    assert len(np.unique(after[0])) == 2 or before[0].min() == before[0].max()
    assert (before[0] != after[0]).any()


def test_places_may_be_shares_of_the_photo(encoded):
    shares = {"point_coords": [[0.5, 0.5]], "point_labels": [1], "normalize_coords": False}

    for ours, expected in zip(encoded.predict(**shares), encoded.predict(**CLICK), strict=True):
        np.testing.assert_allclose(ours, expected, atol=1e-4)


def test_an_earlier_answer_can_be_corrected(encoded):
    _, scores, logits = encoded.predict(**CLICK)

    refined = encoded.predict(
        point_coords=[[100, 75], [20, 20]],
        point_labels=[1, 0],
        mask_input=logits[scores.argmax()][None],
        multimask_output=False,
    )

    assert refined[0].shape == (1, 150, 200)


def test_features_are_what_the_original_calls_them(encoded):
    features = encoded._features

    assert features["image_embed"].shape == (1, 128, 16, 16)
    assert [one.shape for one in features["high_res_feats"]] == [
        (1, 16, 64, 64),
        (1, 32, 32, 32),
    ]
    assert (encoded._orig_hw, encoded._is_image_set, encoded._is_batch) == (
        [(150, 200)],
        True,
        False,
    )
    assert encoded.get_image_embedding() is features["image_embed"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_features_can_be_kept_and_set_again(encoded, predictor, dtype):
    kept = {
        "image_embed": encoded._features["image_embed"].to(dtype),
        "high_res_feats": [one.to(dtype) for one in encoded._features["high_res_feats"]],
    }

    predictor._features, predictor._orig_hw, predictor._is_image_set = kept, [(150, 200)], True

    tolerance = 0 if dtype == torch.float32 else 0.1
    found, expected = (one.predict(**CLICK)[2] for one in (predictor, encoded))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance)
    assert "_encoder" not in vars(predictor)  # nothing was looked for on disk


@pytest.mark.parametrize(
    ("features", "sizes", "error", "message"),
    [
        (None, None, SessionError, "no photo is set"),
        ({}, [(150, 200)], SessionError, "as set_image leaves them"),
        ("encoded", [(150, 200, 3)], SessionError, "as set_image leaves them"),
        ("encoded", [(150, 200)] * 2, SessionError, r"of \[1, 2\] photos"),
        ("wide", [(150, 200)], ImageError, "maps of the shapes"),
    ],
)
def test_what_is_set_by_hand_must_be_whole(encoded, predictor, features, sizes, error, message):
    wide = {name: encoded._features[name] for name in encoded._features}
    wide["image_embed"] = torch.zeros(1, 128, 32, 32)
    given = (
        {"encoded": encoded._features, "wide": wide}.get(features, features)
        if isinstance(features, str)
        else features
    )
    predictor._features, predictor._orig_hw, predictor._is_image_set = given, sizes, True

    with pytest.raises(error, match=message):
        predictor.predict(**CLICK)


def test_a_photo_must_be_set_and_can_be_forgotten(predictor, photo):
    with pytest.raises(SessionError, match="Call set_image"):
        predictor.predict(**CLICK)
    predictor.set_image(photo)
    predictor.reset_predictor()

    assert (predictor._features, predictor._orig_hw, predictor._is_image_set) == (None, None, False)
    with pytest.raises(SessionError, match="Call set_image"):
        predictor.get_image_embedding()


def test_a_photo_comes_in_many_kinds(predictor, encoded, photo, tmp_path):
    Image.fromarray(photo).save(tmp_path / "photo.png")
    kinds = [Image.fromarray(photo), tmp_path / "photo.png", photo.astype(np.float32) / 255]

    for kind in kinds:
        predictor.set_image(kind)
        found, expected = (one.predict(**CLICK)[2] for one in (predictor, encoded))
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("image", [None, 7, [], np.zeros((7, 7, 7)), "nowhere.png"])
def test_what_is_no_photo_is_an_error_that_leaves_none_set(predictor, photo, image):
    predictor.set_image(photo)

    with pytest.raises(ImageError):
        predictor.set_image(image)

    assert not predictor._is_image_set


def test_a_batch_answers_like_each_of_its_photos(predictor, encoded, photo):
    predictor.set_image_batch([photo, photo[:90, :70].copy()])
    assert predictor._is_batch
    assert predictor._features["image_embed"].shape[0] == 2

    masks, scores, logits = predictor.predict_batch(
        point_coords_batch=[CLICK["point_coords"], np.array([[[30, 40]], [[9, 9]]])],
        point_labels_batch=[CLICK["point_labels"], np.array([[1], [1]])],
    )

    assert [one.shape for one in masks] == [(3, 150, 200), (2, 3, 90, 70)]
    assert [one.shape for one in scores] == [(3,), (2, 3)]
    np.testing.assert_array_equal(logits[0], encoded.predict(**CLICK)[2])


def test_more_photos_than_are_encoded_at_once_keep_their_order(predictor, photo):
    photos = [photo[: 100 + 10 * number] for number in range(5)]
    predictor.set_image_batch(photos)

    masks, _, _ = predictor.predict_batch(box_batch=[BOXES[2]] * 5, multimask_output=False)

    assert [one.shape[1] for one in masks] == [len(one) for one in photos]


def test_predict_does_not_choose_among_photos(predictor, photo):
    """There it answers for the last one: sam2_image_predictor.py:317."""
    predictor.set_image_batch([photo, photo])
    with pytest.raises(SessionError, match="2 photos are set"):
        predictor.predict(**CLICK)

    predictor.set_image_batch([photo])
    assert predictor.predict(**CLICK)[0].shape == (3, 150, 200)


@pytest.mark.parametrize("images", [[], None, np.zeros((2, 4, 4, 3))])
def test_a_batch_is_a_list_of_photos(predictor, images):
    with pytest.raises(ImageError, match="image_list"):
        predictor.set_image_batch(images)


def test_a_video_model_or_predictor_serves_as_well(encoded, photo):
    from sam2_hf.original.build_sam import build_sam2_video_predictor

    whole = build_sam2_video_predictor(MICRO, MICRO, device="cpu")
    for model in (whole, whole.model):
        predictor = SAM2ImagePredictor(model)
        predictor.set_image(photo)

        assert predictor.model is model
        assert predictor.device == model.model.device if model is whole else model.device
        np.testing.assert_array_equal(predictor.predict(**CLICK)[2], encoded.predict(**CLICK)[2])
    assert predictor.image_model.vision_encoder is whole.model.vision_encoder


@pytest.mark.parametrize("model", [None, torch.nn.Linear(1, 1), MICRO])
def test_what_is_no_model_is_an_error(model):
    with pytest.raises(PromptError, match="build_sam2"):
        SAM2ImagePredictor(model)


def test_it_loads_itself_with_options_of_both_kinds(encoded, photo):
    predictor = SAM2ImagePredictor.from_pretrained(
        MICRO, device="cpu", apply_postprocessing=False, mask_threshold=0.25
    )
    predictor.set_image(photo)

    assert predictor.mask_threshold == 0.25
    assert not predictor.model.config.mask_decoder_config.dynamic_multimask_via_stability
    np.testing.assert_array_equal(predictor.predict(**CLICK)[2], encoded.predict(**CLICK)[2])


@pytest.mark.parametrize("wrong", ["mask_treshold", "apply_postprocessing"])
def test_a_misspelled_option_is_an_error(micro_image_model, wrong):
    """There it is swallowed: sam2_image_predictor.py:27."""
    with pytest.raises(OptionError, match=wrong):
        SAM2ImagePredictor(micro_image_model, **{wrong: 1.0})
    with pytest.raises(OptionError, match="devcie"):
        SAM2ImagePredictor.from_pretrained(MICRO, devcie="cpu")


def test_an_impossible_value_is_an_error(micro_image_model):
    with pytest.raises(PromptError, match="max_hole_area"):
        SAM2ImagePredictor(micro_image_model, max_hole_area="big")


def test_it_works_under_autocast_and_in_inference_mode(micro_image_model, photo):
    """Programs switch autocast on for good."""
    predictor = SAM2ImagePredictor(micro_image_model)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        predictor.set_image(photo)
        answers = predictor.predict(**CLICK)

    assert all(one.dtype == np.float32 for one in answers)


def test_a_model_in_half_precision_answers_in_float32(photo):
    video_model = Sam2VideoModel.from_pretrained(MICRO, dtype=torch.bfloat16).eval()
    predictor = SAM2ImagePredictor(video_model)
    predictor.set_image(photo)

    assert predictor._features["image_embed"].dtype == torch.bfloat16
    assert all(one.dtype == np.float32 for one in predictor.predict(**CLICK))


def test_an_error_in_a_batch_names_the_photo(predictor, photo):
    predictor.set_image_batch([photo, photo])

    with pytest.raises(PromptError, match="photo 1 of the batch: box"):
        predictor.predict_batch(box_batch=[BOXES[0], "here"])


def test_features_may_have_been_kept_as_arrays(encoded, predictor):
    kept = encoded._features
    predictor._features = {
        "image_embed": kept["image_embed"].numpy(),
        "high_res_feats": [level.numpy() for level in kept["high_res_feats"]],
    }
    predictor._orig_hw, predictor._is_image_set = encoded._orig_hw, True

    for own, expected in zip(predictor.predict(**CLICK), encoded.predict(**CLICK), strict=True):
        np.testing.assert_array_equal(own, expected)
