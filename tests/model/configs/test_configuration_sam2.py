import copy

import pytest
import transformers
from peers import transformers_warnings

import sam2_hf
from sam2_hf import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2MaskDecoderConfig,
    Sam2PromptEncoderConfig,
    Sam2VisionConfig,
)
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config
from sam2_hf.model.configs.configuration_sam2 import with_image_size

CONFIG_CLASSES = (
    "Sam2Config",
    "Sam2HieraDetConfig",
    "Sam2MaskDecoderConfig",
    "Sam2PromptEncoderConfig",
    "Sam2VisionConfig",
)


def backends(config):
    """Which attention backend each part of an image model's config names."""
    vision = config.vision_config
    parts = (config, vision, vision.backbone_config)
    rest = (config.prompt_encoder_config, config.mask_decoder_config)
    return [part._attn_implementation for part in (*parts, *rest)]


@pytest.mark.parametrize("name", CONFIG_CLASSES)
def test_fields_and_defaults_are_those_of_transformers(name):
    ours = getattr(sam2_hf, name)().to_dict()

    assert ours == getattr(transformers, name)().to_dict()


@pytest.mark.parametrize("name", ["Sam2HieraDetConfig", "Sam2VisionConfig"])
def test_two_configs_share_no_list(name):
    config, other = getattr(sam2_hf, name)(), getattr(sam2_hf, name)()
    untouched = config.to_dict()

    for value in vars(other).values():
        if isinstance(value, list):
            value.append("changed")

    assert config.to_dict() == untouched
    assert other.to_dict() != untouched


def test_a_part_stays_the_same_object_in_the_whole():
    trunk, prompts, decoder = (
        Sam2HieraDetConfig(hidden_size=8),
        Sam2PromptEncoderConfig(),
        Sam2MaskDecoderConfig(),
    )

    vision = Sam2VisionConfig(backbone_config=trunk)
    whole = Sam2Config(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )

    assert vision.backbone_config is trunk
    assert whole.vision_config is vision
    assert whole.prompt_encoder_config is prompts
    assert whole.mask_decoder_config is decoder


def test_parts_given_as_dicts_become_our_configs(tiny_config):
    rebuilt = Sam2Config(**tiny_config.to_dict())

    assert type(rebuilt.vision_config) is Sam2VisionConfig
    assert type(rebuilt.vision_config.backbone_config) is Sam2HieraDetConfig
    assert type(rebuilt.prompt_encoder_config) is Sam2PromptEncoderConfig
    assert type(rebuilt.mask_decoder_config) is Sam2MaskDecoderConfig
    assert rebuilt.to_dict() == tiny_config.to_dict()


@pytest.mark.parametrize("name", CONFIG_CLASSES)
def test_keys_nobody_knows_are_kept(name, tmp_path):
    config_class = getattr(sam2_hf, name)

    config_class(added_by_somebody=[1, 2]).save_pretrained(tmp_path)

    assert config_class.from_pretrained(tmp_path).added_by_somebody == [1, 2]


def test_one_attention_backend_reaches_every_part():
    config = Sam2Config(attn_implementation="eager")
    assert backends(config) == ["eager"] * 5

    config._attn_implementation = "sdpa"

    assert backends(config) == ["sdpa"] * 5


def test_attention_backends_by_part_reach_the_parts_they_name():
    named = {"": "sdpa", "vision_config": "eager", "mask_decoder_config": "eager"}
    named["prompt_encoder_config"] = "sdpa"
    config = Sam2Config()

    config._attn_implementation = named

    assert backends(config) == ["sdpa", "eager", "eager", "sdpa", "eager"]


def test_attention_backends_by_part_can_be_given_when_a_config_is_made():
    config = Sam2Config(
        attn_implementation={"": "sdpa", "vision_config": {"": "sdpa", "backbone_config": "eager"}}
    )

    assert backends(config)[:3] == ["sdpa", "sdpa", "eager"]


def test_a_saved_config_comes_back(tiny_config, tmp_path):
    tiny_config.save_pretrained(tmp_path)

    assert Sam2Config.from_pretrained(tmp_path).to_dict() == tiny_config.to_dict()


@pytest.mark.parametrize("name", RELEASED)
def test_a_saved_video_config_is_an_image_config_too(name, tmp_path):
    video = released_config(name)
    video.save_pretrained(tmp_path)

    with transformers_warnings() as messages:
        image = Sam2Config.from_pretrained(tmp_path)

    assert type(image) is Sam2Config
    assert image.model_type == "sam2"
    assert image.vision_config.to_dict() == video.vision_config.to_dict()
    assert image.mask_decoder_config.mlp_dim == video.mask_decoder_config.mlp_dim
    assert messages == []


def test_transformers_video_config_is_an_image_config_too(tmp_path):
    transformers.Sam2VideoConfig(prompt_encoder_config={"image_size": 512}).save_pretrained(
        tmp_path
    )

    with transformers_warnings() as messages:
        image = Sam2Config.from_pretrained(tmp_path)

    assert image.prompt_encoder_config.image_size == 512
    assert messages == []


@pytest.mark.parametrize("size", [32, 96, 256, 512, 1024])
def test_another_input_size_is_set_in_every_place_that_repeats_it(size):
    config = with_image_size(Sam2Config(), size)

    grids = config.vision_config.backbone_feature_sizes
    assert config.prompt_encoder_config.image_size == size
    assert config.vision_config.backbone_config.image_size == [size, size]
    assert grids == [[size // 4] * 2, [size // 8] * 2, [size // 16] * 2]


def test_another_input_size_leaves_the_given_config_alone(tiny_config):
    before = copy.deepcopy(tiny_config.to_dict())

    resized = with_image_size(tiny_config, 96)

    assert tiny_config.to_dict() == before
    assert type(resized) is Sam2Config
    assert resized.mask_decoder_config.to_dict() == tiny_config.mask_decoder_config.to_dict()


def test_another_input_size_of_a_video_config_changes_its_memory_grid():
    resized = with_image_size(released_config("sam2_hiera_tiny"), 512)

    assert resized.image_size == 512
    assert resized.memory_attention_rope_feat_sizes == [32, 32]
    assert resized.enable_occlusion_spatial_embedding is False


@pytest.mark.parametrize("size", [0, -32, 16, 100, 1000])
def test_a_size_the_trunk_cannot_halve_is_refused(size):
    with pytest.raises(ValueError, match=rf"image_size is {size}, .* multiple of 32"):
        with_image_size(Sam2Config(), size)
