"""Encodings in files, and which model they belong to."""

import copy
import dataclasses
import os

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sam2_hf import EncodedImage, ImageError, ImageSegmentationPipeline, OutputError
from sam2_hf.pipelines.encoded_image import LEVELS, Fingerprint, fingerprint


@pytest.fixture
def pipeline(tiny_model):
    return ImageSegmentationPipeline(tiny_model)


@pytest.fixture
def encoded(pipeline, wide):
    return pipeline.encode(wide)


def test_an_encoding_comes_back_bit_by_bit(encoded, tmp_path):
    path = encoded.save(tmp_path / "deep" / "photo.safetensors")

    loaded = EncodedImage.load(path)

    assert loaded.original_size == (60, 120)
    assert loaded.fingerprint == encoded.fingerprint
    for ours, saved in zip(loaded.embeddings, encoded.embeddings, strict=True):
        assert torch.equal(ours, saved)


def test_a_loaded_encoding_gives_the_same_masks(pipeline, encoded, tmp_path):
    loaded = EncodedImage.load(encoded.save(tmp_path / "photo.safetensors"))

    first, second = pipeline(encoded, points=(30, 30)), pipeline(loaded, points=(30, 30))

    assert (first.low_res_logits == second.low_res_logits).all()


def test_bfloat16_stays_bfloat16(tiny_model, wide, tmp_path):
    pipeline = ImageSegmentationPipeline(copy.deepcopy(tiny_model).bfloat16())

    loaded = EncodedImage.load(pipeline.encode(wide).save(tmp_path / "photo.safetensors"))

    assert loaded.embeddings[0].dtype == torch.bfloat16
    assert pipeline(loaded, points=(30, 30)).masks.shape == (3, 60, 120)


def test_an_encoding_of_another_model_is_refused(tiny_model, encoded):
    other = copy.deepcopy(tiny_model)
    torch.nn.init.normal_(other.vision_encoder.neck.convs[0].weight)

    with pytest.raises(ImageError, match="was encoded by another model"):
        ImageSegmentationPipeline(other)(encoded, points=(30, 30))


def test_an_encoding_of_another_dtype_is_refused(tiny_model, encoded):
    other = copy.deepcopy(tiny_model).bfloat16()

    with pytest.raises(ImageError, match="another dtype"):
        ImageSegmentationPipeline(other)(encoded, points=(30, 30))


def test_saving_and_loading_a_model_keeps_its_fingerprint(tiny_model, saved_model):
    loaded = type(tiny_model).from_pretrained(saved_model)

    assert fingerprint(loaded) == fingerprint(tiny_model)


def test_tuning_the_mask_decoder_alone_keeps_the_fingerprint(tiny_model):
    other = copy.deepcopy(tiny_model)
    torch.nn.init.normal_(other.mask_decoder.iou_token.weight)

    assert fingerprint(other) == fingerprint(tiny_model)


def test_the_kept_fingerprint_follows_a_change_of_weights(tiny_model):
    other = copy.deepcopy(tiny_model)
    kept = Fingerprint(other)
    before = kept.current()

    with torch.no_grad():
        other.no_memory_embedding.add_(1)

    assert kept.current() != before
    assert kept.current() == fingerprint(other)


def test_an_encoding_is_refused_after_a_write_that_torch_does_not_count(tiny_model, wide):
    own = copy.deepcopy(tiny_model)
    pipeline = ImageSegmentationPipeline(own)
    encoded = pipeline.encode(wide)

    own.vision_encoder.backbone.blocks[0].mlp.proj_in.weight.data.mul_(1.01)

    with pytest.raises(ImageError, match="was encoded by another model"):
        pipeline(encoded, points=(30, 30))


def test_an_encoding_is_refused_after_such_a_write_to_a_single_channel(tiny_model, wide):
    own = copy.deepcopy(tiny_model)
    pipeline = ImageSegmentationPipeline(own)
    encoded = pipeline.encode(wide)

    own.vision_encoder.neck.convs[0].weight.data[3] += 5

    with pytest.raises(ImageError, match="was encoded by another model"):
        pipeline(encoded, points=(30, 30))


def test_an_encoding_with_the_fingerprint_of_an_earlier_version_is_taken(pipeline, encoded):
    before = dataclasses.replace(encoded, fingerprint=encoded.fingerprint[:64])

    answer = pipeline(before, points=(30, 30))

    assert (answer.masks == pipeline(encoded, points=(30, 30)).masks).all()


def test_a_file_cut_short_is_refused(encoded, tmp_path):
    path = encoded.save(tmp_path / "photo.safetensors")
    path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(ImageError, match="cannot read the encoded image"):
        EncodedImage.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ImageError, match="cannot read the encoded image"):
        EncodedImage.load(tmp_path / "none.safetensors")


def test_a_safetensors_file_of_something_else_is_refused(tmp_path):
    save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")

    with pytest.raises(ImageError, match="without an encoded image"):
        EncodedImage.load(tmp_path / "model.safetensors")


def _nan(level, maps):
    level.view(-1)[7] = float("nan")
    return maps


WRONG = {
    "no height": ({"height": None}, None, "high"),
    "a word for the height": ({"height": "abc"}, None, "'abc' high"),
    "a negative width": ({"width": "-3"}, None, "'-3' wide"),
    "no pixels": ({"width": "0"}, None, "'0' wide"),
    "digits of another script": ({"width": "\u0663"}, None, "wide"),
    "ten digits": ({"height": "9" * 10, "width": "1"}, None, "high"),
    "a picture of 120 GB": ({"height": "100000", "width": "100000"}, None, "too many to be true"),
    "no fingerprint": ({"fingerprint": None}, None, "'not given' is not the mark of a model"),
    "half a fingerprint": ({"fingerprint": "ab" * 16}, None, "not the mark of a model"),
    "NaN": ({}, lambda m: _nan(m["stride_4"], m), "NaN"),
    "integers": ({}, lambda m: {k: v.long() for k, v in m.items()}, "I64, not floats"),
    "two dtypes": ({}, lambda m: m | {"stride_8": m["stride_8"].half()}, "not floats of one kind"),
    "another rank": ({}, lambda m: m | {"stride_16": m["stride_16"][0]}, "have the shapes"),
    "nothing in a map": ({}, lambda m: m | {"stride_16": m["stride_16"][..., :0]}, "shapes"),
    "two photos": ({}, lambda m: {k: torch.cat((v, v)) for k, v in m.items()}, "shapes"),
    "a map too few": ({}, lambda m: {"stride_4": m["stride_4"]}, "it holds"),
    "a map too many": ({}, lambda m: m | {"stride_2": m["stride_4"]}, "it holds"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_file_is_checked_whole_before_it_is_used(encoded, tmp_path, case):
    change, rebuild, message = case
    path = encoded.save(tmp_path / "photo.safetensors")
    with safe_open(path, framework="pt") as file:
        about, maps = (
            file.metadata() | change,
            {name: file.get_tensor(name) for name in LEVELS},
        )
    maps = rebuild(maps) if rebuild else maps
    maps = {name: level.contiguous().clone() for name, level in maps.items()}
    save_file(maps, path, metadata={name: text for name, text in about.items() if text is not None})

    with pytest.raises(ImageError, match=message):
        EncodedImage.load(path)


def test_maps_of_another_shape_than_the_models_are_refused(pipeline, encoded):
    narrow = [level[..., :3] for level in encoded.embeddings]

    with pytest.raises(ImageError, match="this model makes"):
        pipeline(dataclasses.replace(encoded, embeddings=tuple(narrow)), points=(30, 30))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_maps_of_another_dtype_than_the_models_are_refused(pipeline, encoded, dtype):
    cast = tuple(level.to(dtype) for level in encoded.embeddings)

    with pytest.raises(ImageError, match="this model makes"):
        pipeline(dataclasses.replace(encoded, embeddings=cast), points=(30, 30))


def test_an_encoding_of_an_earlier_version_loads(encoded, tmp_path):
    before = dataclasses.replace(encoded, fingerprint=encoded.fingerprint[:64])

    loaded = EncodedImage.load(before.save(tmp_path / "photo.safetensors"))

    assert loaded.fingerprint == encoded.fingerprint[:64]


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ImageError, match="may never end"):
        EncodedImage.load(tmp_path / "pipe")


def test_a_folder_that_cannot_be_written_to_is_an_error_of_ours(encoded, tmp_path):
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(OutputError, match="cannot write"):
        encoded.save(tmp_path / "taken" / "photo.safetensors")
