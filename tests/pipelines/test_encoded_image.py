"""Encodings in files, and which model they belong to."""

import copy
import dataclasses

import pytest
import torch
from safetensors.torch import save_file

from sam2_hf import EncodedImage, ImageError, ImageSegmentationPipeline, OutputError
from sam2_hf.pipelines.encoded_image import Fingerprint, fingerprint


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


def test_a_folder_that_cannot_be_written_to_is_an_error_of_ours(encoded, tmp_path):
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(OutputError, match="cannot write"):
        encoded.save(tmp_path / "taken" / "photo.safetensors")
