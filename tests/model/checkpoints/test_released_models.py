"""The table of released models."""

import pytest

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config


def test_there_are_four_sizes_in_two_versions():
    assert len(RELEASED) == 8
    assert sum(model.is_2_1 for model in RELEASED.values()) == 4
    assert RELEASED["sam2.1_hiera_base_plus"].hub_id == "facebook/sam2.1-hiera-base-plus"


def test_the_default_config_is_the_newest_tiny():
    trunk = released_config("sam2.1_hiera_tiny").vision_config.backbone_config

    assert trunk.blocks_per_stage == [1, 2, 7, 2]
    assert trunk.window_size_per_stage == [8, 4, 14, 7]
    assert trunk.global_attention_blocks == [5, 7, 9]


def test_large_is_described_as_in_its_yaml():
    vision = released_config("sam2_hiera_large").vision_config
    trunk = vision.backbone_config

    assert (trunk.hidden_size, trunk.num_attention_heads) == (144, 2)
    assert trunk.blocks_per_stage == [2, 6, 36, 4]
    assert trunk.num_attention_heads_per_stage == [2, 4, 8, 16]
    assert trunk.window_size_per_stage == [8, 4, 16, 8]
    assert trunk.global_attention_blocks == [23, 33, 43]
    assert vision.backbone_channel_list == [1152, 576, 288, 144]


def test_base_plus_has_the_larger_position_table():
    trunk = released_config("sam2.1_hiera_base_plus").vision_config.backbone_config

    assert trunk.window_positional_embedding_background_size == [14, 14]
    assert trunk.embed_dim_per_stage == [112, 224, 448, 896]


@pytest.mark.parametrize("name", ["sam2_hiera_tiny", "sam2.1_hiera_tiny"])
def test_versions_differ_in_two_switches(name):
    config = released_config(name)

    is_new = name.startswith("sam2.1")
    assert config.enable_occlusion_spatial_embedding is is_new
    assert config.enable_temporal_pos_encoding_for_object_pointers is is_new


def test_hub_ids_are_understood_and_unknown_names_are_not():
    hub = released_config("facebook/sam2.1-hiera-small")

    assert hub.to_dict() == released_config("sam2.1_hiera_small").to_dict()
    with pytest.raises(CheckpointError, match="no released model is called 'sam3'"):
        released_config("sam3")
