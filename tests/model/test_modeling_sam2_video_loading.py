"""The video model in files: its own, original checkpoints, and those of an image model."""

import re

import pytest
import torch
from golden_cases import case
from peers import peer_of, transformers_warnings

from sam2_hf import CheckpointError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from tests.drawn_video import drawn_video_model, pixel_values, recollection, track
from tests.small_checkpoint import save_original, small_config, small_original

VERSIONS = ("2.0", "2.1")
MEMORY_NAMES = re.compile("memory_|maskmem|mask_downsample|obj_ptr|no_obj|no_mem_pos")


@torch.no_grad()
@pytest.mark.parametrize("version", VERSIONS)
def test_a_saved_model_gives_the_same_bits(tmp_path, version):
    model = drawn_video_model(version)
    model.save_pretrained(tmp_path)

    loaded = Sam2VideoModel.from_pretrained(tmp_path)

    assert differences(loaded.config, model.config) <= {"_name_or_path", "architectures", "dtype"}
    mine, other = (
        track(each, each.encode_image(pixel_values()), recollection(2)) for each in (model, loaded)
    )
    assert torch.equal(mine.logits_b1hw, other.logits_b1hw)


def differences(first, second):
    """Names of the fields, also of nested configs, that differ."""
    first, second = first.to_diff_dict(), second.to_diff_dict()
    pairs = [(name, first.get(name), second.get(name)) for name in {*first, *second}]
    return {name for name, mine, other in pairs if without_dtype(mine) != without_dtype(other)}


def without_dtype(value):
    if not isinstance(value, dict):
        return value
    return {name: without_dtype(part) for name, part in value.items() if name != "dtype"}


def test_sam_2_0_lacks_exactly_the_weights_of_2_1s_additions():
    newer, older = (set(drawn_video_model(version).state_dict()) for version in ("2.1", "2.0"))

    assert older < newer
    assert newer - older == {
        "occlusion_spatial_embedding_parameter",
        "temporal_positional_encoding_projection_layer.weight",
        "temporal_positional_encoding_projection_layer.bias",
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_weights_have_the_names_and_shapes_of_transformers(version):
    changes = {"memory_encoder_output_channels": 64}  # which transformers takes for granted
    config = drawn_video_model(version).config
    flags = [name for name in config.to_dict() if name.startswith("enable_")]
    config = small_config(**changes, **{flag: getattr(config, flag) for flag in flags})

    ours = Sam2VideoModel(config)

    theirs = peer_of(ours).state_dict()
    assert {name: tensor.shape for name, tensor in ours.state_dict().items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


def test_a_model_made_without_memory_gets_finite_weights_when_it_is_filled():
    with torch.device("meta"):
        model = Sam2VideoModel(small_config())

    model.to_empty(device="cpu")
    for tensor in (*model.parameters(), *model.buffers()):
        tensor.data.fill_(float("nan"))
    model.init_weights()

    unset = [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]
    assert unset == []
    assert model.memory_temporal_positional_encoding.any()


@torch.no_grad()
@pytest.mark.parametrize("name", ["micro", "micro20"])
def test_an_original_checkpoint_loads(tmp_path, seeded_checkpoint, name):
    weights = seeded_checkpoint(name)
    torch.save({"model": weights}, tmp_path / "original.pt")

    model = Sam2VideoModel.from_pretrained(tmp_path / "original.pt", config=case(name).config)

    assert not model.training
    assert torch.equal(
        model.memory_temporal_positional_encoding.flatten(), weights["maskmem_tpos_enc"].flatten()
    )
    assert (model.occlusion_spatial_embedding_parameter is None) == (name == "micro20")


def test_an_image_model_lends_its_parts_and_the_rest_is_named(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path)

    with transformers_warnings() as warnings:
        model, _ = Sam2VideoModel.from_pretrained(
            tmp_path, config=small_config(**like(tiny_model)), output_loading_info=True
        )

    assert torch.equal(model.no_memory_embedding, tiny_model.no_memory_embedding)
    assert any("memory_encoder" in warning for warning in warnings)


def test_an_image_model_alone_is_refused_as_a_video_model(tmp_path, tiny_model):
    tiny_model.save_pretrained(tmp_path)

    with pytest.raises(CheckpointError, match=r"missing 160: memory_.* load them with Sam2Model"):
        Sam2VideoModel.from_pretrained(tmp_path, config=small_config(**like(tiny_model)))


def like(image_model):
    """The parts of a video config that an image model has."""
    fields = image_model.config.to_dict()
    return {
        part: fields[part]
        for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    }


def test_an_original_checkpoint_of_an_image_model_is_refused_by_name(tmp_path):
    weights = small_original()
    of_the_image = {name: weights[name] for name in weights if not MEMORY_NAMES.match(name)}
    path = save_original(tmp_path / "image.pt", of_the_image)

    with pytest.raises(CheckpointError, match="missing 160: maskmem_tpos_enc"):
        Sam2VideoModel.from_pretrained(path, config=small_config())


def test_an_original_checkpoint_of_any_size_loads_with_its_config(tmp_path):
    config = small_config(memory_encoder_output_channels=64)
    path = save_original(tmp_path / "small.pt", small_original(config))

    model = Sam2VideoModel.from_pretrained(path, config=config)

    first = small_original(config)["memory_attention.layers.0.cross_attn_image.k_proj.weight"]
    assert torch.equal(model.memory_attention.layers[0].cross_attn_image.k_proj.weight, first)
