"""Sizes from weights."""

import json
from pathlib import Path

import pytest
import torch

from sam2_hf import Sam2Config, Sam2HieraDetConfig
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.model.checkpoints.original_checkpoint import config_from_weights
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from tests.small_checkpoint import small_config, small_original

MANIFESTS = Path(__file__).parents[2] / "golden" / "manifests"


def empty_weights(architecture):
    """Weights without content, for code that looks at names and shapes."""
    shapes = json.loads((MANIFESTS / f"{architecture}.json").read_text())
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


@pytest.mark.parametrize("name", RELEASED)
def test_a_released_model_is_recognized(name):
    config = config_from_weights(empty_weights(name), source="x.pt")

    assert config.to_dict() == released_config(name).to_dict()


def test_sizes_come_from_the_weights_and_not_from_the_table():
    weights = empty_weights("sam2.1_hiera_tiny")
    weights["maskmem_tpos_enc"] = torch.empty(5, 1, 1, 64)
    weights["sam_mask_decoder.mask_tokens.weight"] = torch.empty(6, 256)
    weights["image_encoder.trunk.pos_embed"] = torch.empty(1, 96, 9, 9)

    config = config_from_weights(weights, source="x.pt")

    assert config.num_maskmem == 5
    assert config.mask_decoder_config.num_multimask_outputs == 5
    trunk = config.vision_config.backbone_config
    assert trunk.window_positional_embedding_background_size == [9, 9]


def test_what_is_unknown_about_another_trunk_is_said():
    with pytest.raises(CheckpointError, match="window sizes and global-attention blocks") as caught:
        config_from_weights(empty_weights("micro"), source="micro.pt")
    assert "1-2-3-1 blocks with 32-64-128-256 channels" in str(caught.value)


def test_other_first_windows_than_released_are_another_trunk():
    weights = empty_weights("sam2.1_hiera_tiny")
    weights["image_encoder.trunk.pos_embed_window"] = torch.empty(1, 96, 16, 16)

    with pytest.raises(CheckpointError, match=r"none of the released models.* put a config\.json"):
        config_from_weights(weights, source="x.pt")


def test_the_callers_input_size_and_switches_are_kept():
    stated = with_image_size(released_config("sam2.1_hiera_tiny"), 512)
    stated.max_object_pointers_in_encoder = 8

    config = config_from_weights(empty_weights("sam2.1_hiera_tiny"), stated, source="x.pt")

    assert config.image_size == 512
    assert config.max_object_pointers_in_encoder == 8


def test_the_callers_config_stays_as_it_is():
    stated = small_config()
    before = stated.to_dict()

    config_from_weights(small_original(), stated, source="x.pt").num_maskmem = 99

    assert stated.to_dict() == before


def test_a_config_that_contradicts_the_weights_is_refused_field_by_field():
    stated = released_config("sam2.1_hiera_small")
    stated.num_maskmem = 3

    with pytest.raises(CheckpointError) as caught:
        config_from_weights(empty_weights("sam2.1_hiera_tiny"), stated, source="x.pt")

    assert "channels of the trunk's blocks" in str(caught.value)
    assert "num_maskmem: 3, but the weights: 7" in str(caught.value)


def test_an_image_config_says_nothing_about_memory():
    fields = small_config().to_dict()
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    stated = Sam2Config(**{name: fields[name] for name in parts})

    config = config_from_weights(small_original(), stated, source="x.pt")

    assert config.memory_attention_hidden_size == 32
    assert config.image_size == 64
    assert config.enable_occlusion_spatial_embedding


@pytest.mark.parametrize(("architecture", "is_2_1"), [("micro", True), ("micro20", False)])
def test_the_version_is_read_from_the_weights(micro_config, architecture, is_2_1):
    config = config_from_weights(empty_weights(architecture), micro_config, source="x.pt")

    assert config.enable_occlusion_spatial_embedding is is_2_1
    assert config.enable_temporal_pos_encoding_for_object_pointers is is_2_1


def test_the_config_of_a_part_is_refused():
    with pytest.raises(CheckpointError, match="does not describe a whole SAM 2"):
        config_from_weights(small_original(), Sam2HieraDetConfig(), source="x.pt")


def test_weights_without_a_trunk_are_refused():
    with pytest.raises(CheckpointError, match=r"x\.pt has no image encoder"):
        config_from_weights({"conv1.weight": torch.zeros(1)}, source="x.pt")
