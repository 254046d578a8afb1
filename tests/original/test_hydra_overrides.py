"""What overrides of the original's configs mean here."""

import re

import pytest

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.model.checkpoints.released_models import released_config
from sam2_hf.original.hydra_overrides import (
    CONFIG_FIELDS,
    FIXED,
    SESSION_FIELDS,
    changed_config,
    model_overrides,
    read_overrides,
    session_changes,
)
from sam2_hf.video.session_options import SessionOptions

STABILITY = "sam_mask_decoder_extra_args.dynamic_multimask_via_stability"
TINY = released_config("sam2.1_hiera_tiny")
TRUNK = "++model.image_encoder.trunk"


def overridden(*given):
    return changed_config(TINY, read_overrides(given))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("++model.fill_hole_area=8", 8),
        ("+model.fill_hole_area=8", 8),
        ("model.fill_hole_area = 8", 8),
        ("++model.non_overlap_masks=True", True),
        ("++model.non_overlap_masks=false", False),
        ("++model.sigmoid_bias_for_mem_enc=-9.5", -9.5),
        ("++model.image_encoder.trunk.stages=[1,2,3,1]", [1, 2, 3, 1]),
    ],
)
def test_an_override_is_a_name_and_a_value(text, value):
    (read,) = read_overrides([text]).values()

    assert (read, type(read)) == (value, type(value))


def test_the_input_size_changes_everything_that_follows_from_it():
    config = overridden("++model.image_size=512")

    assert config.image_size == config.prompt_encoder_config.image_size == 512
    assert config.memory_attention_rope_feat_sizes == [32, 32]


def test_a_trunk_of_another_size_can_be_told():
    config = overridden(
        f"{TRUNK}.embed_dim=32",
        f"{TRUNK}.num_heads=2",
        f"{TRUNK}.stages=[1,2,3,1]",
        f"{TRUNK}.global_att_blocks=[4]",
        f"{TRUNK}.window_spec=[8,4,7,4]",
    )

    trunk = config.vision_config.backbone_config
    assert trunk.embed_dim_per_stage == [32, 64, 128, 256]
    assert trunk.num_attention_heads_per_stage == [2, 4, 8, 16]
    assert (trunk.blocks_per_stage, trunk.global_attention_blocks) == ([1, 2, 3, 1], [4])
    assert trunk.window_size_per_stage == [8, 4, 7, 4]
    assert config.vision_config.backbone_channel_list == [256, 128, 64, 32]


def test_switches_of_the_model_reach_its_config():
    config = overridden(
        "++model.max_cond_frames_in_attn=4",
        "++model.max_obj_ptrs_in_encoder=8",
        "++model.no_obj_embed_spatial=false",
        "++model.add_tpos_enc_to_obj_ptrs=false",
        "++model.sam_mask_decoder_extra_args.dynamic_multimask_stability_delta=0.1",
    )

    assert (config.max_cond_frame_num, config.max_object_pointers_in_encoder) == (4, 8)
    assert not config.enable_occlusion_spatial_embedding
    assert not config.enable_temporal_pos_encoding_for_object_pointers
    assert config.mask_decoder_config.dynamic_multimask_stability_delta == 0.1


def test_the_given_config_stays_as_it_is():
    overridden("++model.image_size=512", f"{TRUNK}.embed_dim=32")

    assert TINY.to_dict() == released_config("sam2.1_hiera_tiny").to_dict()


def test_switches_of_predictors_reach_the_options_of_sessions():
    values = read_overrides(["++model.non_overlap_masks=true", "++model.fill_hole_area=0"])

    assert session_changes(values) == {"non_overlap_masks": True, "fill_hole_area": 0}


def test_every_name_leads_to_a_field_that_there_is():
    fields = TINY.to_dict()
    for path in CONFIG_FIELDS.values():
        place = fields
        for name in path.split("."):
            place = place[name]
    assert set(SESSION_FIELDS.values()) <= set(SessionOptions.__dataclass_fields__)


@pytest.mark.parametrize(("name", "value"), FIXED.items())
def test_what_is_fixed_may_be_said_but_not_changed(name, value):
    assert read_overrides([f"++model.{name}={value}"]) == {name: value}
    with pytest.raises(PromptError, match=rf"model\.{name} .* is always {str(value).lower()} here"):
        read_overrides([f"++model.{name}={not value}"])


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("++model.fil_hole_area=8", r"model\.fill_hole_area"),
        ("++model._target_=sam2.Other", r"no option 'model\._target_'"),
        ("++trainer.image_size=512", r"no option 'trainer\.image_size'"),
        ("~model.image_size=512", r"no option '~model\.image_size'"),
    ],
)
def test_an_unknown_override_is_an_error_that_names_it(override, hint):
    with pytest.raises(OptionError, match=hint):
        read_overrides([override])


@pytest.mark.parametrize("given", ["++model.image_size=512", 3, None, ["model.image_size"], [7]])
def test_what_is_no_list_of_overrides_is_an_error(given):
    with pytest.raises(PromptError, match="hydra_overrides_extra"):
        read_overrides(given)


@pytest.mark.parametrize(
    "override",
    [
        "++model.image_size=100",
        "++model.image_size=large",
        f"{TRUNK}.embed_dim=wide",
        f"{TRUNK}.stages=3",
        "++model.num_maskmem=[7]",
    ],
)
def test_an_impossible_value_is_an_error(override):
    with pytest.raises(PromptError, match=re.escape(override.removeprefix("++").lower())):
        overridden(override)


@pytest.mark.parametrize("of_video", [True, False])
def test_the_callers_overrides_win_over_postprocessing(of_video):
    """The original ignores them: it appends its own, build_sam.py:82."""
    given = [f"++model.{STABILITY}=false"]

    values = model_overrides(given, apply_postprocessing=True, of_video=of_video)

    assert values[STABILITY] is False
    assert values.get("fill_hole_area") == (8 if of_video else None)


def test_without_postprocessing_the_caller_decides():
    given = [f"++model.{STABILITY}=true", "++model.fill_hole_area=3"]

    assert model_overrides([], apply_postprocessing=False, of_video=True) == {STABILITY: False}
    values = model_overrides(given, apply_postprocessing=False, of_video=True)
    assert values == {STABILITY: True, "fill_hole_area": 3}


def test_an_option_of_videos_is_refused_for_photos():
    with pytest.raises(PromptError, match="build_sam2_video_predictor"):
        model_overrides(["++model.fill_hole_area=8"], apply_postprocessing=True, of_video=False)
