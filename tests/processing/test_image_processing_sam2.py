import json

import numpy as np
import pytest
import torch
from PIL import Image
from seeded_inputs import photo
from torch.nn import functional
from transformers import pipeline
from transformers.image_utils import PILImageResampling

from sam2_hf.errors import ImageError
from sam2_hf.processing import image_processing_sam2 as module
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor, Sam2ImageProcessorKwargs

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
EMBEDDING_TOLERANCE = 1e-5  # of the golden features' spread; see golden/README.md
LOOSE = {
    "points_per_crop": 8,
    "pred_iou_thresh": 0.3,
    "stability_score_thresh": 0.1,
    "stability_score_offset": 0.3,
    "crops_nms_thresh": 0.999,
    "output_bboxes_mask": True,
    "output_rle_mask": True,
}


@pytest.fixture(scope="module")
def image():
    return photo(120, 180, 1)


@pytest.fixture
def processor():
    return Sam2ImageProcessor(size=64, mask_size=16)


def test_defaults_are_transformers():
    processor = Sam2ImageProcessor()

    assert dict(processor.size) == {"height": 1024, "width": 1024}
    assert dict(processor.mask_size) == {"height": 256, "width": 256}
    assert processor.resample == PILImageResampling.BILINEAR
    assert processor.image_mean == (0.485, 0.456, 0.406)
    assert processor.image_std == (0.229, 0.224, 0.225)
    assert processor.compat == "official"


def test_pixels_equal_the_originals(processor, image):
    floats = torch.from_numpy(image).permute(2, 0, 1).float().div(255)[None]
    resized = functional.interpolate(
        floats, (64, 64), mode="bilinear", antialias=True, align_corners=False
    )

    prepared = processor(image, return_tensors="pt")

    assert torch.equal(prepared["pixel_values"], (resized - MEAN) / STD)
    assert prepared["original_sizes"].tolist() == [[120, 180]]


def test_a_golden_picture_gives_the_golden_embedding(golden, micro_model):
    stored = golden("micro")
    pixels = Sam2ImageProcessor(size=256)(photo(1200, 1800, 1), return_tensors="pt")["pixel_values"]

    with torch.inference_mode():
        embedding = micro_model.get_image_embeddings(pixels)[-1].flatten()

    places = np.arange(1024) * (embedding.numel() - 1) // 1023
    difference = np.abs(embedding.numpy()[places] - stored["image/embedding/val"]).max()
    assert difference <= EMBEDDING_TOLERANCE * stored["image/embedding/std"]


def test_pictures_of_different_sizes_and_kinds_make_one_batch(processor, image, tmp_path):
    Image.fromarray(image).save(tmp_path / "photo.png")
    smaller = image[:50, :60]

    prepared = processor([tmp_path / "photo.png", Image.fromarray(smaller)], return_tensors="pt")

    expected = processor([image, smaller], return_tensors="pt")
    assert torch.equal(prepared["pixel_values"], expected["pixel_values"])
    assert prepared["original_sizes"].tolist() == [[120, 180], [50, 60]]


def test_floats_from_zero_to_one_are_not_scaled_twice(processor, image):
    as_floats = processor((image / 255).astype(np.float32), return_tensors="pt")

    torch.testing.assert_close(
        as_floats["pixel_values"], processor(image, return_tensors="pt")["pixel_values"]
    )


def test_without_return_tensors_there_are_lists_and_np_gives_arrays(processor, image):
    plain, arrays = processor(image), processor(image, return_tensors="np")

    assert plain["pixel_values"][0].shape == (3, 64, 64)
    assert plain["original_sizes"] == [(120, 180)]
    assert isinstance(arrays["pixel_values"], np.ndarray)


def test_four_channels_are_taken_and_can_be_kept(processor, image):
    four = np.concatenate([image, np.full_like(image[..., :1], 255)], axis=-1)
    bare = {"image_mean": 0.0, "image_std": 1.0, "return_tensors": "pt"}

    kept = processor(four, do_convert_rgb=False, input_data_format="channels_last", **bare)

    assert kept["pixel_values"].shape == (1, 4, 64, 64)
    assert torch.equal(
        processor(four, return_tensors="pt")["pixel_values"],
        processor(image, return_tensors="pt")["pixel_values"],
    )


def test_labels_are_whole_numbers_at_mask_size(processor, image):
    labels = np.arange(120 * 180).reshape(120, 180) % 256

    prepared = processor([image, image], [labels, labels], return_tensors="pt")

    assert prepared["labels"].dtype == torch.int64
    assert prepared["labels"].shape == (2, 16, 16)
    assert prepared["labels"].max() <= 255


def test_transformers_way_is_chosen_once_or_for_one_call(processor, image):
    official = processor(image, return_tensors="pt")["pixel_values"]
    once = processor(image, compat="transformers", return_tensors="pt")["pixel_values"]
    always = Sam2ImageProcessor(size=64, compat="transformers")(image, return_tensors="pt")

    assert torch.equal(once, always["pixel_values"])
    assert 0 < (once - official).abs().max() < 0.0175  # one gray level over the deviation
    with pytest.raises(ImageError, match="compat='old'"):
        Sam2ImageProcessor(compat="old")


def test_a_misspelled_option_is_not_swallowed(processor, image):
    with pytest.raises(TypeError, match="do_resizee"):
        processor(image, do_resizee=False)


def test_the_type_of_the_options_is_found_where_transformers_looks():
    assert Sam2ImageProcessor.valid_kwargs is Sam2ImageProcessorKwargs
    assert module.Sam2ImageProcessorKwargs is Sam2ImageProcessorKwargs


def test_everything_survives_save_and_load(tmp_path):
    first = Sam2ImageProcessor(
        size=42, mask_size=7, compat="transformers", image_std=[1.0, 2.0, 3.0]
    )

    first.save_pretrained(tmp_path)
    second = Sam2ImageProcessor.from_pretrained(tmp_path)

    assert second.to_dict() == first.to_dict()
    assert (second.size.height, second.compat) == (42, "transformers")
    assert Sam2ImageProcessor.from_dict(first.to_dict(), size=13).size.height == 13


def test_an_explicit_none_survives_save_and_load(tmp_path):
    first = Sam2ImageProcessor()
    first.do_normalize = first.image_mean = None

    first.save_pretrained(tmp_path)
    second = Sam2ImageProcessor.from_pretrained(tmp_path)

    assert second.do_normalize is None
    assert second.image_mean is None


@pytest.mark.parametrize("kind", ["Sam2ImageProcessorFast", "Sam2ImageProcessor"])
def test_a_file_of_transformers_loads(tmp_path, image, kind):
    stored = {
        "image_processor_type": kind,
        "processor_class": "Sam2VideoProcessor",
        "size": {"height": 32, "width": 32},
        "mask_size": {"height": 8, "width": 8},
        "data_format": "channels_first",
        "resample": 2,
        "device": None,
        "rescale_factor": 1 / 255,
        "image_mean": [0.485, 0.456, 0.406],
    }
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stored))

    processor = Sam2ImageProcessor.from_pretrained(tmp_path)

    assert processor(image, return_tensors="pt")["pixel_values"].shape == (1, 3, 32, 32)


def test_transformers_pipeline_finds_the_masks_of_the_original(golden, micro_model):
    """On a picture that is not square, where transformers' own processor misses a third."""
    expected = json.loads(golden("amg")["small/strict"].tobytes())
    options = {**LOOSE, "pred_iou_thresh": 0.45, "crops_nms_thresh": 0.7}
    processor = Sam2ImageProcessor(size=256)
    everything = pipeline(
        "mask-generation", model=micro_model, image_processor=processor, device="cpu"
    )

    found = everything(Image.fromarray(photo(534, 800, 2)), **options)

    assert len(found["masks"]) == len(expected["masks"])
    for mask, score, record in zip(found["masks"], found["scores"], expected["masks"], strict=True):
        assert score.item() == pytest.approx(record["predicted_iou"], abs=1e-4)
        assert mask.sum().item() == pytest.approx(record["area"], rel=1e-3)


def test_transformers_pipeline_cleans_masks_and_takes_crops(tiny_model, image):
    processor = Sam2ImageProcessor(size=64)
    everything = pipeline(
        "mask-generation", model=tiny_model, image_processor=processor, device="cpu"
    )
    options = {
        **LOOSE,
        "pred_iou_thresh": 0.0,
        "stability_score_thresh": 0.0,
        "crops_nms_thresh": 0.7,
    }

    found = everything(
        Image.fromarray(image),
        **options,
        crops_n_layers=1,
        max_hole_area=3,
        max_sprinkle_area=3,
        crop_n_points_downscale_factor=2,
    )

    assert {tuple(mask.shape) for mask in found["masks"]} <= {(120, 180)}
    assert len(found["masks"]) == len(found["rle_mask"]) == len(found["bounding_boxes"])


def test_the_pictures_of_a_call_have_one_scale(processor):
    bright, dark = np.full((8, 8, 3), 100, np.float32), np.zeros((8, 8, 3), np.float32)
    dark[0, 0] = 1

    together = processor([bright, dark], return_tensors="pt")["pixel_values"]

    as_bytes = processor([bright.astype(np.uint8), dark.astype(np.uint8)], return_tensors="pt")
    torch.testing.assert_close(together, as_bytes["pixel_values"])


def test_a_range_is_said_once_or_for_a_call_and_saved(tmp_path):
    deep = np.linspace(-1024, 3071, 64).reshape(8, 8).astype(np.int32)
    window = ((deep + 1024) / 4095).astype(np.float32)
    once = Sam2ImageProcessor(size=64, value_range=(-1024, 3071))
    once.save_pretrained(tmp_path)

    expected = Sam2ImageProcessor(size=64)(window, return_tensors="pt")["pixel_values"]

    for processor, options in (
        (once, {}),
        (Sam2ImageProcessor.from_pretrained(tmp_path), {}),
        (Sam2ImageProcessor(size=64), {"value_range": [-1024, 3071]}),
    ):
        found = processor(deep, return_tensors="pt", **options)["pixel_values"]
        torch.testing.assert_close(found, expected)


def test_floats_that_are_not_to_be_rescaled_are_taken_as_they_are():
    """As transformers does: whoever says do_rescale=False has scaled them."""
    values = np.linspace(-2, 300, 192).reshape(8, 8, 3).astype(np.float32)
    processor = Sam2ImageProcessor(do_resize=False, do_rescale=False, do_normalize=False)

    found = processor(values, return_tensors="pt")["pixel_values"]

    assert torch.equal(found[0], torch.from_numpy(values).permute(2, 0, 1))


def test_crops_of_a_deep_picture_come_back_with_their_numbers():
    deep = np.linspace(0, 4095, 64 * 64).reshape(64, 64).astype(np.uint16)
    processor = Sam2ImageProcessor(size=64, value_range=(0, 4095))

    _, _, crops, _ = processor.generate_crop_boxes(deep, 64)

    whole = processor(deep, return_tensors="pt")["pixel_values"]
    assert torch.equal(processor(crops, return_tensors="pt")["pixel_values"], whole)
