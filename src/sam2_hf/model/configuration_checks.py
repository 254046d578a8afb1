"""Validation of configs: every field of the right type, in range, and consistent with the others.

A config comes from a file and may hold any value. Checked is what would otherwise fail deep inside
a module, allocate absurd amounts of memory, or load silently.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers.activations import ACT2FN
from transformers.configuration_utils import PreTrainedConfig

from .checkpoint_errors import CheckpointError, first_line

LARGEST_FILE = 8 * 2**20  # bytes of a JSON file beside weights
LARGEST_SIDE = 16_384  # model pixels
LARGEST_WIDTH = 65_536  # channels of a layer
LARGEST_DEPTH = 1_024  # layers of a kind
LARGEST_KERNEL = 64
LARGEST_COUNT = 1_000_000
ABSENT = object()
LONGEST_VALUE = 60  # characters of a value in a message
PAIR = 2
LEVELS = 3  # feature maps that the mask decoder reads

Made = TypeVar("Made")
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


def rotary(value: object) -> str | None:
    """Demand axial rotary positions, or None, which means the same."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("rope_type", "axial") != "axial":
        return 'must be a mapping of rope_type "axial"'
    theta = number(1e-3, 1e12)(value.get("rope_theta", 10_000.0))
    return f"has a rope_theta that {theta}" if theta else None


SIDE = square(whole(32, LARGEST_SIDE, multiple_of=32))
WIDTH = whole(1, LARGEST_WIDTH)
DEPTH = whole(1, LARGEST_DEPTH)
KERNEL = whole(1, LARGEST_KERNEL)
PADDING = whole(0, LARGEST_KERNEL)
EPSILON = number(1e-12, 1)  # 0 divides by zero where all channels are equal
SHARE = number(0, 1)

RULES: Mapping[str, Mapping[str, Rule]] = {
    "sam2_hiera_det_model": {
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
    "sam2_prompt_encoder": {
        "hidden_size": whole(4, LARGEST_WIDTH, multiple_of=4),
        "image_size": SIDE,
        "patch_size": square(KERNEL),
        "mask_input_channels": whole(4, LARGEST_WIDTH, multiple_of=4),
        "num_point_embeddings": whole(4, LARGEST_WIDTH),  # negative, positive, corners of a box
        "hidden_act": activation,
        "layer_norm_eps": EPSILON,
        "scale": number(0, LARGEST_COUNT),
    },
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
    "sam2_video": {
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
    },
}
RULES_OF_ALL = {"output_attentions": flag, "output_hidden_states": flag, "return_dict": flag}
RULES_OF_VIDEO = {  # field for field the image model's
    "sam2_video_prompt_encoder": "sam2_prompt_encoder",
    "sam2_video_mask_decoder": "sam2_mask_decoder",
}
MODEL_TYPES = (*RULES, *RULES_OF_VIDEO)
HIERA = "sam2_hiera_det_model"
PARTS: dict[str, tuple[str, ...]] = {  # allowed kinds of each part
    "vision_config": ("sam2_vision_model",),
    "backbone_config": (HIERA,),
    "prompt_encoder_config": ("sam2_prompt_encoder",),
    "mask_decoder_config": ("sam2_mask_decoder",),
}


def checked_config(make: Callable[[], Made], source: str) -> Made:
    """Build a config from a file and refuse an invalid one.

    Args:
        make: Returns the config, or a tuple that starts with it.
        source: Its name in messages, usually its path.

    Returns:
        What `make` returned.

    Raises:
        CheckpointError: A field has the wrong type or an impossible value.
        OSError: There is no such config, as transformers raises it.
    """
    try:
        made = make()
    except CheckpointError:
        raise
    except OSError as error:
        if "valid JSON" not in str(error):  # transformers raises the same for a missing file
            raise
        raise CheckpointError(f"{first_line(error)}. Download it again.") from error
    except Exception as error:  # wrong types raise almost anything in transformers
        raise CheckpointError(
            f"{source} is not the config of a SAM 2: {first_line(error)}. "
            "Correct it, or download it again."
        ) from error
    require_buildable(made[0] if isinstance(made, tuple) else made, source)
    return made


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a small JSON file that holds one object.

    Raises:
        CheckpointError: It is too large, or not a JSON object.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise CheckpointError(
            f"{path} has {path.stat().st_size:,} bytes, too many for a settings file. "
            "Download it again."
        )
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not valid JSON: {first_line(error)}. Repair or remove it."
        ) from error
    if not isinstance(fields, dict):
        raise CheckpointError(
            f"{path} holds a {type(fields).__name__} instead of a JSON object. Repair or remove it."
        )
    return fields


def require_buildable(config: PreTrainedConfig, source: str = "the config") -> None:
    """Refuse a config that no model can be built from.

    Args:
        config: Any of this package's configs.
        source: Its name in messages, usually its path.

    Raises:
        CheckpointError: Names the first invalid field, its value, and what it must be.
    """
    kind = RULES_OF_VIDEO.get(type(config).model_type, type(config).model_type)
    _require_dtype(config, source)
    # an image config read from a video config keeps the video fields
    memory = RULES["sam2_video"] if kind == "sam2" else {}
    for name, rule in {**RULES_OF_ALL, **memory, **RULES.get(kind, {})}.items():
        value = getattr(config, name, ABSENT)
        if value is not ABSENT and (why := rule(value)):
            raise _unusable(source, config, f"{name} is {_shown(value)}; it {why}")
    for name, kinds in PARTS.items():
        if hasattr(config, name):
            part = getattr(config, name)
            found = getattr(type(part), "model_type", None)
            if RULES_OF_VIDEO.get(str(found), found) not in kinds:
                known = " or a ".join(kinds)
                why = f"{name} is a {type(part).__name__}; it must describe a {known}"
                raise _unusable(source, config, why)
            require_buildable(part, source)
    for why in _contradictions(kind, config):
        raise _unusable(source, config, why)


def read_float_dtype(given: object) -> torch.dtype | None:
    """Read a torch float dtype or its name, such as "bfloat16"; None for anything else."""
    found = getattr(torch, given, None) if isinstance(given, str) else given
    return found if isinstance(found, torch.dtype) and found.is_floating_point else None


def _require_dtype(config: PreTrainedConfig, source: str) -> None:
    """Demand a float dtype."""
    if config.dtype not in (None, "auto") and read_float_dtype(config.dtype) is None:
        why = f"dtype is {_shown(config.dtype)}; it must be float32, bfloat16 or float16"
        raise _unusable(source, config, why)


def _contradictions(kind: str, config: PreTrainedConfig) -> Iterator[str]:
    """List contradictions between fields that are each valid."""
    found: Callable[[Any], Iterator[str]] | None = {
        "sam2_hiera_det_model": _of_trunk,
        "sam2_vision_model": _of_vision,
        "sam2_mask_decoder": _of_decoder,
        "sam2": _of_parts,
        "sam2_video": _of_video,
    }.get(kind)
    if found is not None:
        yield from found(config)


def _of_trunk(config: PreTrainedConfig) -> Iterator[str]:
    stages = len(config.blocks_per_stage)
    lists = (
        "embed_dim_per_stage",
        "num_attention_heads_per_stage",
        "window_size_per_stage",
    )
    for name in lists:
        if len(getattr(config, name)) != stages or not stages:
            yield f"{name} has {len(getattr(config, name))} entries for {stages} stages"
            return
    heads = config.num_attention_heads_per_stage
    for width, count in zip(config.embed_dim_per_stage, heads, strict=True):
        if width % count:
            yield f"{count} attention heads cannot share {width} channels evenly"
    for side in range(PAIR):
        names = ("patch_kernel_size", "patch_stride", "patch_padding")
        kernel, stride, padding = (_side(getattr(config, name), side) for name in names)
        yield from _resized("the patch embedding", kernel, stride, padding)
    if config.hidden_size != config.embed_dim_per_stage[0]:
        yield (
            f"hidden_size is {config.hidden_size}; the first of embed_dim_per_stage is "
            f"{config.embed_dim_per_stage[0]}"
        )


def _of_vision(config: PreTrainedConfig) -> Iterator[str]:
    channels = list(config.backbone_channel_list)
    if type(config.backbone_config).model_type == HIERA:
        trunk = list(reversed(config.backbone_config.embed_dim_per_stage))
        if channels != trunk:
            yield f"backbone_channel_list is {channels}; the trunk has {trunk}"
    if config.num_feature_levels > len(channels):
        yield f"num_feature_levels is {config.num_feature_levels} of {len(channels)} stages"
    kernel, stride = config.fpn_kernel_size, config.fpn_stride
    yield from _resized("the neck", kernel, stride, config.fpn_padding)
    if stride != 1:
        yield f"fpn_stride is {stride}; it must be 1"


def _of_decoder(config: PreTrainedConfig) -> Iterator[str]:
    yield from _shared_heads(
        config.hidden_size, config.attention_downsample_rate, config.num_attention_heads
    )


def _resized(what: str, kernel: int, stride: int, padding: int) -> Iterator[str]:
    """Demand a convolution that shrinks any grid by exactly its stride."""
    if not kernel - stride <= 2 * padding < kernel:
        yield f"{what} has kernel {kernel}, stride {stride} and padding {padding}, which do not fit"


def _shared_heads(width: int, rate: int, heads: int) -> Iterator[str]:
    """Demand an even split of narrowed attention channels over heads."""
    if width % rate or (width // rate) % heads:
        yield f"{heads} attention heads cannot share {width} / {rate} channels evenly"


def _of_parts(config: PreTrainedConfig) -> Iterator[str]:
    vision, prompts = config.vision_config, config.prompt_encoder_config
    width = vision.fpn_hidden_size
    for part in ("prompt_encoder_config", "mask_decoder_config"):
        if (found := getattr(config, part).hidden_size) != width:
            yield f"{part}.hidden_size is {found}; vision_config.fpn_hidden_size is {width}"
    if vision.num_feature_levels != LEVELS:
        yield f"num_feature_levels is {vision.num_feature_levels}; the mask decoder reads {LEVELS}"
    if type(vision.backbone_config).model_type == HIERA:
        yield from _of_trunk_in_model(vision.backbone_config, prompts)


def _of_trunk_in_model(trunk: PreTrainedConfig, prompts: PreTrainedConfig) -> Iterator[str]:
    """Check the pooling that a whole model needs; a Hiera alone may differ."""
    if trunk.num_query_pool_stages < len(trunk.blocks_per_stage) - 1:
        yield f"num_query_pool_stages is {trunk.num_query_pool_stages}; every later stage must pool"
    if {_side(trunk.query_stride, 0), _side(trunk.query_stride, 1)} != {2}:
        yield f"query_stride is {trunk.query_stride}; it must be 2"
    cell = 4 * _side(trunk.patch_stride)
    if _side(prompts.patch_size) != cell:
        yield f"patch_size is {prompts.patch_size}; the trunk makes cells of {cell} pixels"


def _of_video(config: PreTrainedConfig) -> Iterator[str]:
    yield from _of_parts(config)
    width = config.vision_config.fpn_hidden_size
    alike = (
        "memory_attention_hidden_size",
        "memory_encoder_hidden_size",
        "mask_downsampler_embed_dim",
        "memory_fuser_embed_dim",
    )
    for name in alike:
        if (found := getattr(config, name)) != width:
            yield f"{name} is {found}; vision_config.fpn_hidden_size is {width}"
    narrow = config.memory_encoder_output_channels
    if narrow < width and width % narrow:
        yield (
            f"memory_encoder_output_channels is {narrow}; it must divide the {width} channels of "
            "an object pointer"
        )
    yield from _shared_heads(
        config.memory_attention_hidden_size,
        config.memory_attention_downsample_rate,
        config.memory_attention_num_attention_heads,
    )
    yield from _of_memory_encoder(config)


def _of_memory_encoder(config: PreTrainedConfig) -> Iterator[str]:
    stride, total = config.mask_downsampler_stride, config.mask_downsampler_total_stride
    kernel, padding = config.mask_downsampler_kernel_size, config.mask_downsampler_padding
    yield from _resized("the mask downsampler", kernel, stride, padding)
    if stride ** round(math.log(total, stride)) != total:
        yield f"mask_downsampler_total_stride is {total}, not a power of the stride {stride}"
    if total != (cell := _side(config.prompt_encoder_config.patch_size)):
        yield f"mask_downsampler_total_stride is {total}; a cell has {cell} pixels"
    kernel, padding = config.memory_fuser_kernel_size, config.memory_fuser_padding
    yield from _resized("the memory fuser", kernel, 1, padding)


def _side(value: int | list[int] | tuple[int, ...], side: int = 0) -> int:
    """Read one side of a value that may be given once for both."""
    return value if isinstance(value, int) else value[side]


def _shown(value: object) -> str:
    """Format a value, shortened."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."


def _unusable(source: str, config: PreTrainedConfig, why: str) -> CheckpointError:
    return CheckpointError(
        f"{source} describes no model that can be built: {config.model_type}: {why}. "
        "Correct it, or download it again."
    )
