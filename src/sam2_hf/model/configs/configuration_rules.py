"""Rules for the fields of configs: type and range of each, and which parts fit together."""

from collections.abc import Callable, Mapping

from transformers.activations import ACT2FN

LARGEST_SIDE = 16_384  # model pixels
LARGEST_WIDTH = 65_536  # channels of a layer
LARGEST_DEPTH = 1_024  # layers of a kind
LARGEST_KERNEL = 64
LARGEST_COUNT = 1_000_000
PAIR = 2
STAGES = 4  # of a backbone
ALL_STAGES = ([0, 1, 2, 3], (0, 1, 2, 3))
COLORS = 3  # channels of a picture

Rule = Callable[[object], str | None]


def whole(least: int, most: int, multiple_of: int = 1) -> Rule:
    """Demand a whole number in a range."""
    times = f", a multiple of {multiple_of}" if multiple_of > 1 else ""

    def check(value: object) -> str | None:
        fits = type(value) is int and least <= value <= most and value % multiple_of == 0
        return None if fits else f"must be a whole number from {least} to {most}{times}"

    return check


def number(least: float, most: float) -> Rule:
    """Demand a finite number in a range."""

    def check(value: object) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # not `float(value)`: an int may be larger than any float
        fits = is_number and least <= value <= most  # type: ignore[operator]  # NaN fits nowhere
        return None if fits else f"must be a number from {least:g} to {most:g}"

    return check


def each(rule: Rule, length: int | None = None) -> Rule:
    """Demand a list, of a given length if any, whose every entry fits a rule."""

    def check(value: object) -> str | None:
        if not isinstance(value, list | tuple) or len(value) not in (length or len(value), -1):
            return f"must be a list{f' of {length}' if length else ''}"
        return next((f"must hold entries that each {why}" for v in value if (why := rule(v))), None)

    return check


def one_or_pair(rule: Rule) -> Rule:
    """Demand a value for both sides, or a list of two."""
    pair = each(rule, PAIR)
    return lambda value: rule(value) if not isinstance(value, list | tuple) else pair(value)


def square(rule: Rule) -> Rule:
    """Demand a value for both sides, or a list of two equal ones."""
    sides = one_or_pair(rule)

    def check(value: object) -> str | None:
        is_oblong = isinstance(value, list | tuple) and len(set(map(str, value))) > 1
        return "must be square: SAM 2 reads square input" if is_oblong else sides(value)

    return check


def activation(value: object) -> str | None:
    """Demand the name of an activation."""
    is_known = isinstance(value, str) and value in ACT2FN
    return None if is_known else "must name an activation, such as gelu or relu"


def flag(value: object) -> str | None:
    """Demand true or false."""
    return None if isinstance(value, bool) else "must be true or false"


def prompted_limit(value: object) -> str | None:
    """Demand a number of conditioning frames: at least one before and one after, or all."""
    return None if value == -1 else whole(2, LARGEST_COUNT)(value)


def pooling(value: object) -> str | None:
    """Demand a kind of pooled memory attention."""
    return None if value in ("none", "scores", "keys") else "must be none, scores or keys"


def rotary(value: object) -> str | None:
    """Demand axial rotary positions, or None, which means the same."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("rope_type", "axial") != "axial":
        return 'must be a mapping of rope_type "axial"'
    theta = number(1e-3, 1e12)(value.get("rope_theta", 10_000.0))
    return f"has a rope_theta that {theta}" if theta else None


def repvit(value: object) -> str | None:
    """Demand the name of a RepViT of EdgeTAM's, with or without the tag of its weights."""
    is_known = isinstance(value, str) and value.split(".")[0] == "repvit_m1"
    return None if is_known else "must be repvit_m1, the RepViT of EdgeTAM"


def repvit_arguments(value: object) -> str | None:
    """Demand arguments of timm's RepViT that keep its four stages."""
    if not isinstance(value, dict):
        return "must be a mapping of arguments"
    rules = {
        "in_chans": lambda channels: None if channels == COLORS else f"must be {COLORS}",
        "features_only": lambda only: None if only is True else "must be true",
        "out_indices": lambda found: None if found in ALL_STAGES else "must be 0 to 3",
        "embed_dim": each(whole(8, LARGEST_WIDTH, multiple_of=8), STAGES),
        "depth": each(DEPTH, STAGES),
    }
    for name, given in value.items():
        if name not in rules:
            return f"must be of {', '.join(rules)}, not {name}"
        if why := rules[name](given):
            return f"has {name}, which {why}"
    return None


SIDE = square(whole(32, LARGEST_SIDE, multiple_of=32))
ANY_SIDE = square(whole(8, LARGEST_SIDE))  # of a transformer without stages
WIDTH = whole(1, LARGEST_WIDTH)
DEPTH = whole(1, LARGEST_DEPTH)
KERNEL = whole(1, LARGEST_KERNEL)
PADDING = whole(0, LARGEST_KERNEL)
EPSILON = number(1e-12, 1)  # 0 divides by zero where all channels are equal
SHARE = number(0, 1)

HIERA, REPVIT = "sam2_hiera_det_model", "timm_wrapper"

PROMPT_RULES: Mapping[str, Rule] = {
    "hidden_size": whole(4, LARGEST_WIDTH, multiple_of=4),
    "image_size": SIDE,
    "patch_size": square(KERNEL),
    "mask_input_channels": whole(4, LARGEST_WIDTH, multiple_of=4),
    "num_point_embeddings": whole(4, LARGEST_WIDTH),  # negative, positive, corners of a box
    "hidden_act": activation,
    "layer_norm_eps": EPSILON,
    "scale": number(0, LARGEST_COUNT),
}
MEMORY_RULES: Mapping[str, Rule] = {
    "initializer_range": number(0, 1e3),
    "num_maskmem": DEPTH,
    "image_size": SIDE,
    "sigmoid_scale_for_mem_enc": number(-1e6, 1e6),
    "sigmoid_bias_for_mem_enc": number(-1e6, 1e6),
    "multimask_min_pt_num": whole(0, LARGEST_COUNT),
    "multimask_max_pt_num": whole(0, LARGEST_COUNT),
    "max_object_pointers_in_encoder": whole(1, LARGEST_COUNT),
    "max_cond_frame_num": prompted_limit,
    "multimask_output_in_sam": flag,
    "multimask_output_for_tracking": flag,
    "enable_occlusion_spatial_embedding": flag,
    "enable_temporal_pos_encoding_for_object_pointers": flag,
    "memory_attention_hidden_size": WIDTH,
    "memory_attention_num_layers": DEPTH,
    "memory_attention_num_attention_heads": WIDTH,
    "memory_attention_downsample_rate": WIDTH,
    "memory_attention_feed_forward_hidden_size": WIDTH,
    "memory_attention_feed_forward_hidden_act": activation,
    "memory_attention_dropout": SHARE,
    "memory_attention_rope_feat_sizes": each(whole(1, LARGEST_SIDE), PAIR),
    "memory_attention_rope_dropout": SHARE,
    "memory_encoder_hidden_size": WIDTH,
    "memory_encoder_output_channels": whole(4, LARGEST_WIDTH, multiple_of=4),
    "rope_parameters": rotary,
    "mask_downsampler_embed_dim": WIDTH,
    "mask_downsampler_kernel_size": KERNEL,
    "mask_downsampler_stride": whole(2, LARGEST_KERNEL),
    "mask_downsampler_padding": PADDING,
    "mask_downsampler_total_stride": whole(2, LARGEST_SIDE),
    "mask_downsampler_hidden_act": activation,
    "memory_fuser_num_layers": DEPTH,
    "memory_fuser_embed_dim": WIDTH,
    "memory_fuser_intermediate_dim": WIDTH,
    "memory_fuser_kernel_size": KERNEL,
    "memory_fuser_padding": PADDING,
    "memory_fuser_layer_scale_init_value": number(0, 1e3),
    "memory_fuser_hidden_act": activation,
}
RULES: Mapping[str, Mapping[str, Rule]] = {
    HIERA: {
        "hidden_size": WIDTH,
        "num_channels": WIDTH,
        "image_size": SIDE,
        "patch_kernel_size": one_or_pair(KERNEL),
        "patch_stride": one_or_pair(KERNEL),
        "patch_padding": one_or_pair(PADDING),
        "query_stride": one_or_pair(KERNEL),
        "window_positional_embedding_background_size": each(whole(1, LARGEST_SIDE), PAIR),
        "num_query_pool_stages": whole(0, LARGEST_DEPTH),
        "blocks_per_stage": each(DEPTH),
        "embed_dim_per_stage": each(WIDTH),
        "num_attention_heads_per_stage": each(WIDTH),
        "window_size_per_stage": each(whole(1, LARGEST_SIDE)),
        "global_attention_blocks": each(whole(0, LARGEST_COUNT)),
        "mlp_ratio": number(0.01, 64),
        "hidden_act": activation,
        "layer_norm_eps": EPSILON,
        "initializer_range": number(0, 1e3),
    },
    "sam2_vision_model": {
        "backbone_channel_list": each(WIDTH),
        "backbone_feature_sizes": each(each(whole(1, LARGEST_SIDE), PAIR)),
        "fpn_hidden_size": whole(4, LARGEST_WIDTH, multiple_of=4),
        "fpn_kernel_size": KERNEL,
        "fpn_stride": KERNEL,
        "fpn_padding": PADDING,
        "fpn_top_down_levels": each(whole(0, LARGEST_DEPTH)),
        "num_feature_levels": DEPTH,
        "initializer_range": number(0, 1e3),
    },
    "sam2_prompt_encoder": PROMPT_RULES,
    "sam2_mask_decoder": {
        "hidden_size": whole(8, LARGEST_WIDTH, multiple_of=8),
        "mlp_dim": WIDTH,
        "num_hidden_layers": whole(2, LARGEST_DEPTH),
        "num_attention_heads": WIDTH,
        "attention_downsample_rate": WIDTH,
        "num_multimask_outputs": whole(1, LARGEST_DEPTH),
        "iou_head_depth": whole(2, LARGEST_DEPTH),
        "iou_head_hidden_dim": WIDTH,
        "dynamic_multimask_via_stability": flag,
        "dynamic_multimask_stability_delta": number(0, 1e3),
        "dynamic_multimask_stability_thresh": SHARE,
    },
    "sam2": {"initializer_range": number(0, 1e3)},
    "sam2_video": MEMORY_RULES,
    "efficienttam_video": {**MEMORY_RULES, "memory_attention_pooling": pooling},
    "efficienttam_vit_model": {
        "hidden_size": WIDTH,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": WIDTH,
        "num_channels": WIDTH,
        "image_size": SIDE,
        "patch_size": KERNEL,
        "pretrain_image_size": whole(1, LARGEST_SIDE),
        "window_size": whole(1, LARGEST_SIDE),
        "global_attention_blocks": each(whole(0, LARGEST_COUNT)),
        "mlp_ratio": number(0.01, 64),
        "hidden_act": activation,
        "layer_norm_eps": EPSILON,
        "initializer_range": number(0, 1e3),
    },
    "sam3_tracker_video": {**MEMORY_RULES, "image_size": ANY_SIDE},
    "sam3_tracker_prompt_encoder": {**PROMPT_RULES, "image_size": ANY_SIDE},
    "sam3_vision_model": {
        "fpn_hidden_size": whole(4, LARGEST_WIDTH, multiple_of=4),
        "scale_factors": each(number(0.5, 4)),
        "initializer_range": number(0, 1e3),
    },
    "sam3_vit_model": {
        "hidden_size": WIDTH,
        "intermediate_size": WIDTH,
        "num_hidden_layers": DEPTH,
        "num_attention_heads": WIDTH,
        "image_size": ANY_SIDE,
        "patch_size": KERNEL,
        "pretrain_image_size": ANY_SIDE,
        "window_size": whole(1, LARGEST_SIDE),
        "global_attn_indexes": each(whole(0, LARGEST_COUNT)),
        "hidden_act": activation,
        "layer_norm_eps": EPSILON,
    },
    "edgetam_video": {
        **MEMORY_RULES,
        "memory_attention_rope_k_sizes": each(whole(1, LARGEST_SIDE), PAIR),
        "perceiver_resampler_num_latents": whole(0, LARGEST_WIDTH),
        "perceiver_resampler_num_latents_2d": whole(0, LARGEST_WIDTH),
        "perceiver_resampler_hidden_size": whole(4, LARGEST_WIDTH, multiple_of=4),
        "perceiver_resampler_mlp_intermediate_size": WIDTH,
        "perceiver_resampler_num_attention_heads": WIDTH,
        "perceiver_resampler_attention_head_dim": WIDTH,
        "perceiver_resampler_num_layers": DEPTH,
        "perceiver_resampler_hidden_dropout": SHARE,
        "perceiver_resampler_attention_dropout": SHARE,
    },
    REPVIT: {
        "architecture": repvit,
        "model_args": repvit_arguments,
        "initializer_range": number(0, 1e3),
    },
}
RULES_OF_ALL = {"output_attentions": flag, "output_hidden_states": flag, "return_dict": flag}
RULES_AS_OF = {  # field for field those of another model
    "sam2_video_prompt_encoder": "sam2_prompt_encoder",
    "sam2_video_mask_decoder": "sam2_mask_decoder",
    "edgetam_vision_model": "sam2_vision_model",
    "edgetam": "sam2",
    "sam3_tracker": "sam2",
    "efficienttam": "sam2",
    "efficienttam_vision_model": "sam2_vision_model",
}
# Kind of the image encoder of each model for images or videos, which tells the family of a model.
ENCODERS = {
    "sam2": "sam2_vision_model",
    "sam2_video": "sam2_vision_model",
    "efficienttam": "efficienttam_vision_model",
    "efficienttam_video": "efficienttam_vision_model",
    "sam3_tracker": "sam3_vision_model",
    "sam3_tracker_video": "sam3_vision_model",
    "edgetam": "edgetam_vision_model",
    "edgetam_video": "edgetam_vision_model",
}
BACKBONES = {  # of each image encoder
    "sam2_vision_model": HIERA,
    "edgetam_vision_model": REPVIT,
    "sam3_vision_model": "sam3_vit_model",
    "efficienttam_vision_model": "efficienttam_vit_model",
}
MODEL_TYPES = (*RULES, *RULES_AS_OF)
PARTS: dict[str, tuple[str, ...]] = {  # allowed kinds of each part
    "vision_config": tuple(dict.fromkeys(ENCODERS.values())),
    "backbone_config": tuple(BACKBONES.values()),
    "prompt_encoder_config": ("sam2_prompt_encoder", "sam3_tracker_prompt_encoder"),
    "mask_decoder_config": ("sam2_mask_decoder",),
}
