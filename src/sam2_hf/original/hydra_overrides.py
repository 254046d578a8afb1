"""Overrides of the original's configs, `++model.NAME=VALUE`, and what each means for a model here.

Hydra itself is not needed: an override is understood if it names something that a config or a
session of this package has, and refused otherwise.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.model.configs.configuration_checks import checked_config
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.number_reading import shown

ARGUMENT = "hydra_overrides_extra"
IMAGE_SIZE = "image_size"
Overrides = Mapping[str, Any]  # by the original's names, without `model.`

_TRUNK = "image_encoder.trunk"
_TRUNK_FIELD = "vision_config.backbone_config"
_DECODER = "sam_mask_decoder_extra_args"
_DECODER_FIELD = "mask_decoder_config"

# the original's name -> field of `Sam2VideoConfig`
CONFIG_FIELDS = {
    f"{_TRUNK}.embed_dim": f"{_TRUNK_FIELD}.hidden_size",
    f"{_TRUNK}.num_heads": f"{_TRUNK_FIELD}.num_attention_heads",
    f"{_TRUNK}.stages": f"{_TRUNK_FIELD}.blocks_per_stage",
    f"{_TRUNK}.global_att_blocks": f"{_TRUNK_FIELD}.global_attention_blocks",
    f"{_TRUNK}.window_spec": f"{_TRUNK_FIELD}.window_size_per_stage",
    f"{_TRUNK}.window_pos_embed_bkg_spatial_size": (
        f"{_TRUNK_FIELD}.window_positional_embedding_background_size"
    ),
    "image_encoder.neck.backbone_channel_list": "vision_config.backbone_channel_list",
    f"{_DECODER}.dynamic_multimask_via_stability": (
        f"{_DECODER_FIELD}.dynamic_multimask_via_stability"
    ),
    f"{_DECODER}.dynamic_multimask_stability_delta": (
        f"{_DECODER_FIELD}.dynamic_multimask_stability_delta"
    ),
    f"{_DECODER}.dynamic_multimask_stability_thresh": (
        f"{_DECODER_FIELD}.dynamic_multimask_stability_thresh"
    ),
    "memory_attention.num_layers": "memory_attention_num_layers",
    "memory_attention.layer.self_attention.feat_sizes": "memory_attention_rope_feat_sizes",
    "memory_attention.layer.cross_attention.feat_sizes": "memory_attention_rope_feat_sizes",
    "num_maskmem": "num_maskmem",
    "sigmoid_scale_for_mem_enc": "sigmoid_scale_for_mem_enc",
    "sigmoid_bias_for_mem_enc": "sigmoid_bias_for_mem_enc",
    "multimask_output_in_sam": "multimask_output_in_sam",
    "multimask_min_pt_num": "multimask_min_pt_num",
    "multimask_max_pt_num": "multimask_max_pt_num",
    "multimask_output_for_tracking": "multimask_output_for_tracking",
    "max_cond_frames_in_attn": "max_cond_frame_num",
    "max_obj_ptrs_in_encoder": "max_object_pointers_in_encoder",
    "no_obj_embed_spatial": "enable_occlusion_spatial_embedding",
    "add_tpos_enc_to_obj_ptrs": "enable_temporal_pos_encoding_for_object_pointers",
}
# what follows from a field: one value for each stage, doubled from stage to stage
_PER_STAGE = {
    f"{_TRUNK}.embed_dim": "embed_dim_per_stage",
    f"{_TRUNK}.num_heads": "num_attention_heads_per_stage",
}
# the original's name -> field of `SessionOptions`
SESSION_FIELDS = {
    "fill_hole_area": "fill_hole_area",
    "non_overlap_masks": "non_overlap_masks",
    "clear_non_cond_mem_around_input": "clear_non_cond_mem_around_input",
    "add_all_frames_to_correct_as_cond": "add_all_frames_to_correct_as_cond",
    "binarize_mask_from_pts_for_mem_enc": "binarize_mask_from_pts_for_mem_enc",
    "non_overlap_masks_for_mem_enc": "non_overlap_masks_for_mem_enc",
    "memory_temporal_stride_for_eval": "memory_temporal_stride_for_eval",
    "compile_image_encoder": "compile",
}
# of these the model of a photo has none, not even without effect
OF_PREDICTORS = (
    "fill_hole_area",
    "non_overlap_masks",
    "clear_non_cond_mem_around_input",
    "add_all_frames_to_correct_as_cond",
)
# every released checkpoint has this value, and models here have no other
FIXED = {
    "use_mask_input_as_output_without_sam": True,
    "directly_add_no_mem_embed": True,
    "use_high_res_features_in_sam": True,
    "iou_prediction_use_sigmoid": True,
    "use_obj_ptrs_in_encoder": True,
    "only_obj_ptrs_in_the_past_for_eval": True,
    "pred_obj_scores": True,
    "pred_obj_scores_mlp": True,
    "fixed_no_obj_ptr": True,
    "soft_no_obj_ptr": False,
    "use_multimask_token_for_obj_ptr": True,
    "use_mlp_for_obj_ptr_proj": True,
}
KNOWN = {IMAGE_SIZE, *CONFIG_FIELDS, *SESSION_FIELDS, *FIXED}

_STABILITY: Overrides = {
    f"{_DECODER}.dynamic_multimask_via_stability": True,
    f"{_DECODER}.dynamic_multimask_stability_delta": 0.05,
    f"{_DECODER}.dynamic_multimask_stability_thresh": 0.98,
}
_PREDICTOR_POSTPROCESSING: Overrides = {
    "binarize_mask_from_pts_for_mem_enc": True,
    "fill_hole_area": 8,
}


def model_overrides(
    given: Sequence[str], *, apply_postprocessing: bool, of_video: bool
) -> dict[str, Any]:
    """Collect what a builder changes in a config of the original.

    Args:
        given: The caller's overrides.
        apply_postprocessing: Whether the builder's own come before them.
        of_video: Whether a video predictor is built.

    Returns:
        Values by the original's names, without `model.`; without postprocessing the stability
        fallback is off unless the caller turns it on.

    Raises:
        OptionError: An override names nothing that there is here.
        PromptError: An override is malformed, is for videos only, or wants what is fixed here.

    Source: sam2/build_sam.py:70-160 @ 2b90b9f.
    Differs: in the original the builder's own come last, so that a caller's `fill_hole_area` is
        ignored without a word.
    """
    values: dict[str, Any] = {f"{_DECODER}.dynamic_multimask_via_stability": False}
    if apply_postprocessing:
        values |= _STABILITY
        values |= _PREDICTOR_POSTPROCESSING if of_video else {}
    read = read_overrides(given)
    misplaced = [name for name in OF_PREDICTORS if name in read and not of_video]
    if misplaced:
        raise PromptError(
            f"{ARGUMENT} sets model.{misplaced[0]}, which is an option of videos. Give it to "
            "build_sam2_video_predictor, or leave it out."
        )
    return values | read


def read_overrides(given: Iterable[object]) -> dict[str, Any]:
    """Read overrides such as `++model.image_size=512`.

    Raises:
        OptionError: One names nothing that there is here.
        PromptError: One is malformed, or wants what is fixed here.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise PromptError(
            f'{ARGUMENT} is {shown(given)}. Give a list, such as ["++model.image_size=512"].'
        )
    values: dict[str, Any] = {}
    for override in given:
        name, value = _read_one(override)
        if name in FIXED and value is not FIXED[name]:
            raise PromptError(
                f"{ARGUMENT} sets model.{name} to {shown(value)}, which is always "
                f"{str(FIXED[name]).lower()} here, as in every released checkpoint. Leave it out."
            )
        values[name] = value
    return values


def changed_config(config: Sam2VideoConfig, values: Overrides) -> Sam2VideoConfig:
    """Return a copy of a config with the values that belong into one.

    Raises:
        PromptError: No model can be built of it.
    """

    def change() -> Sam2VideoConfig:
        sized = with_image_size(config, values[IMAGE_SIZE]) if IMAGE_SIZE in values else config
        fields = sized.to_dict()
        _fill_stages(fields["vision_config"], values)
        for name, field in CONFIG_FIELDS.items():
            if name in values:
                _set(fields, field, values[name])
        return Sam2VideoConfig.from_dict(fields)

    try:
        changed = checked_config(change, ARGUMENT)
    except CheckpointError as error:
        reason = " ".join(str(error.__cause__ or error).split())
        named = ", ".join(f"model.{name}={value}" for name, value in values.items())
        raise PromptError(f"no model can have {named} ({ARGUMENT}): {reason}") from error
    changed._commit_hash = getattr(config, "_commit_hash", None)  # no field
    return changed


def session_changes(values: Overrides) -> dict[str, Any]:
    """List the values that are options of a session, by their names in `SessionOptions`."""
    return {field: values[name] for name, field in SESSION_FIELDS.items() if name in values}


def _read_one(override: object) -> tuple[str, Any]:
    """Take a name without `model.` and a value out of an override."""
    key, equals, text = str(override).lstrip("+").partition("=")
    if not isinstance(override, str) or not equals:
        raise PromptError(f"{ARGUMENT} holds {shown(override)}. An override is ++model.NAME=VALUE.")
    name = key.strip().removeprefix("model.")
    if name not in KNOWN or not key.strip().startswith("model."):
        known = {f"model.{name}" for name in KNOWN}
        raise OptionError(f"the config that {ARGUMENT} changes", key.strip(), known)
    text = text.strip()
    try:
        return name, json.loads(text.lower())  # hydra also takes True and TRUE
    except json.JSONDecodeError:
        return name, text


def _fill_stages(vision: dict[str, Any], values: Overrides) -> None:
    """Set what follows from the first stage of the trunk: every stage doubles it."""
    trunk = vision["backbone_config"]
    for name, field in _PER_STAGE.items():
        if name in values:
            trunk[field] = [values[name] << stage for stage in range(len(trunk[field]))]
    if f"{_TRUNK}.embed_dim" in values:
        vision["backbone_channel_list"] = trunk["embed_dim_per_stage"][::-1]


def _set(fields: dict[str, Any], path: str, value: object) -> None:
    """Set a field of nested dictionaries by its dotted path."""
    *parents, last = path.split(".")
    for parent in parents:
        fields = fields[parent]
    fields[last] = value
