"""Rates by layer; the numbers are those of the original's rule, worked out by hand."""

from dataclasses import replace

import pytest
import torch

from sam2_hf.errors import TrainingError
from sam2_hf.model.checkpoints.released_models import released_config
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.training.config import OptimizerConfig
from sam2_hf.training.optimizer import freeze, learning_rate_multipliers, make_optimizer, set_rates
from tests.drawn_video import own_video_model
from tests.small_families import CONFIGS

BASE, VISION = 5e-6, 3e-6
MOSE = OptimizerConfig(learning_rate=BASE, vision_learning_rate=VISION, layer_decay=0.9)
TRUNK = "vision_encoder.backbone."


@pytest.fixture(scope="module")
def base_plus():
    with torch.device("meta"):
        return Sam2VideoModel(released_config("sam2.1_hiera_base_plus"))


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        # 24 blocks make 25 layers; block i is layer i + 1, the patch embedding layer 0
        (f"{TRUNK}patch_embed.projection.weight", VISION * 0.9**25),
        (f"{TRUNK}blocks.0.attn.qkv.weight", VISION * 0.9**24),
        (f"{TRUNK}blocks.10.mlp.proj_in.weight", VISION * 0.9**14),
        (f"{TRUNK}blocks.23.attn.qkv.weight", VISION * 0.9**1),
        (f"{TRUNK}pos_embed", VISION),
        (f"{TRUNK}pos_embed_window", VISION),
        ("vision_encoder.neck.convs.0.weight", VISION),
        ("mask_decoder.mask_tokens.weight", BASE),
        ("memory_attention.layers.0.linear1.weight", BASE),
        ("no_memory_embedding", BASE),
    ],
)
def test_base_plus_learns_at_the_original_rates(base_plus, name, rate):
    assert learning_rate_multipliers(base_plus, MOSE)[name].rate == pytest.approx(rate, rel=1e-12)


def test_biases_and_norms_do_not_decay(base_plus):
    decays = {
        name: options.decay for name, options in learning_rate_multipliers(base_plus, MOSE).items()
    }

    kept = {name for name, decay in decays.items() if decay == 0}
    assert f"{TRUNK}blocks.0.layer_norm1.weight" in kept
    assert "mask_decoder.upscale_layer_norm.weight" in kept
    assert {name for name in decays if name.endswith("bias")} <= kept
    assert all("norm" in name or "bias" in name for name in kept)
    assert decays[f"{TRUNK}pos_embed"] == decays["mask_decoder.mask_tokens.weight"] == 0.1


def test_every_parameter_is_in_one_group_at_its_rate():
    model = own_video_model()
    options = learning_rate_multipliers(model, MOSE)

    optimizer = make_optimizer(dict(model.named_parameters()), options, MOSE)

    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {id(p): options[name].rate for name, p in model.named_parameters()}
    assert len(optimizer.param_groups) < 20  # one per rate and decay, not one per parameter


def test_the_schedule_scales_all_rates_alike():
    model = own_video_model()
    optimizer = make_optimizer(
        dict(model.named_parameters()), learning_rate_multipliers(model, MOSE), MOSE
    )
    tops = [group["lr"] for group in optimizer.param_groups]

    set_rates(optimizer, MOSE, step=10, steps=10)
    set_rates(optimizer, MOSE, step=10, steps=10)

    assert [g["lr"] for g in optimizer.param_groups] == pytest.approx([0.1 * t for t in tops])


def test_the_vision_encoder_waits_and_warms_up_while_the_others_learn():
    late, model = replace(MOSE, vision_begins=5, warmup_steps=2), own_video_model()
    options = learning_rate_multipliers(model, late)
    optimizer = make_optimizer(dict(model.named_parameters()), options, late)
    owners = {id(parameter): name for name, parameter in model.named_parameters()}

    for step, factor in ((0, 0.0), (4, 0.0), (5, 0.5), (6, 1.0)):
        of_others = set_rates(optimizer, late, step, steps=1000)

        assert of_others == pytest.approx(0.5 if step == 0 else 1.0, rel=1e-3)
        for group in optimizer.param_groups:
            name = owners[id(group["params"][0])]
            expected = factor if name.startswith("vision_encoder.") else of_others
            assert group["lr"] == pytest.approx(options[name].rate * expected, rel=1e-12)


def test_frozen_parameters_are_left_out():
    model = own_video_model()

    freeze(model, ["vision_encoder.*", "prompt_encoder.*"])

    assert not any(
        name.startswith("vision_encoder") for name in learning_rate_multipliers(model, MOSE)
    )
    assert "mask_decoder.mask_tokens.weight" in learning_rate_multipliers(model, MOSE)


def test_a_pattern_that_matches_nothing_is_refused():
    with pytest.raises(TrainingError, match=r"frozen has 'image_encoder\.\*'.*vision_encoder"):
        freeze(own_video_model(), ["image_encoder.*"])


def test_something_has_to_learn():
    with pytest.raises(TrainingError, match="nothing to train"):
        freeze(own_video_model(), ["*"])


@pytest.mark.parametrize(
    ("family", "name", "above"),
    [
        ("edgetam", "timm_model.stem.conv1.c.weight", 9),
        ("edgetam", "timm_model.stages_0.blocks.0.se.fc1.weight", 8),
        ("edgetam", "timm_model.stages_1.downsample.pre_block.token_mixer.conv.c.weight", 7),
        ("edgetam", "timm_model.stages_1.downsample.spatial_downsample.c.weight", 7),
        ("edgetam", "timm_model.stages_3.blocks.0.channel_mixer.conv2.c.weight", 1),
        ("sam3_tracker", "embeddings.patch_embeddings.projection.weight", 3),
        ("sam3_tracker", "embeddings.position_embeddings", 0),
        ("sam3_tracker", "layers.0.mlp.fc1.weight", 2),
        ("sam3_tracker", "layers.1.mlp.fc1.weight", 1),
        ("efficienttam", "patch_embed.projection.weight", 3),
        ("efficienttam", "pos_embed", 0),
        ("efficienttam", "blocks.1.attn.qkv.weight", 1),
    ],
)
def test_layers_of_every_family_learn_the_slower_the_deeper(family, name, above):
    with torch.device("meta"):
        model = Sam2VideoModel(CONFIGS[family]())

    rate = learning_rate_multipliers(model, MOSE)[TRUNK + name].rate

    assert rate == pytest.approx(VISION * 0.9**above, rel=1e-12)
