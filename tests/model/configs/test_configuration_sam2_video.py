import pytest
import transformers

import sam2_hf
from sam2_hf import (
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
)
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config

CONFIG_CLASSES = (
    "Sam2VideoConfig",
    "Sam2VideoMaskDecoderConfig",
    "Sam2VideoPromptEncoderConfig",
)


@pytest.mark.parametrize("name", CONFIG_CLASSES)
def test_fields_and_defaults_are_those_of_transformers(name):
    ours = getattr(sam2_hf, name)().to_dict()

    assert ours == getattr(transformers, name)().to_dict()


def test_parts_are_those_of_a_video_model():
    config = Sam2VideoConfig(
        vision_config={}, prompt_encoder_config={"image_size": 512}, mask_decoder_config={}
    )

    assert type(config.vision_config) is Sam2VisionConfig
    assert type(config.prompt_encoder_config) is Sam2VideoPromptEncoderConfig
    assert type(config.mask_decoder_config) is Sam2VideoMaskDecoderConfig
    assert config.prompt_encoder_config.image_size == 512


def test_two_configs_share_no_list():
    first, second = Sam2VideoConfig(), Sam2VideoConfig()

    first.memory_attention_rope_feat_sizes.append(1)

    assert second.memory_attention_rope_feat_sizes == [64, 64]


@pytest.mark.parametrize("name", RELEASED)
def test_a_saved_config_comes_back_here_and_in_transformers(name, tmp_path):
    config = released_config(name)

    config.save_pretrained(tmp_path)

    theirs = transformers.Sam2VideoConfig.from_pretrained(tmp_path)
    assert Sam2VideoConfig.from_pretrained(tmp_path).to_dict() == config.to_dict()
    assert theirs.to_dict() == config.to_dict()


def test_the_two_generations_differ_in_two_fields():
    new = released_config("sam2.1_hiera_tiny").to_dict()
    old = released_config("sam2_hiera_tiny").to_dict()

    assert {name: old[name] for name in new if new[name] != old[name]} == {
        "enable_occlusion_spatial_embedding": False,
        "enable_temporal_pos_encoding_for_object_pointers": False,
    }


def test_an_attention_backend_reaches_every_part():
    config = Sam2VideoConfig(attn_implementation="eager")

    parts = (config.vision_config.backbone_config, config.mask_decoder_config)
    assert [part._attn_implementation for part in parts] == ["eager", "eager"]
