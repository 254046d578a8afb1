"""Validation of configs: every field of the right type, in range, and consistent with the others.

A config comes from a file and may hold any value. Checked is what would otherwise fail deep inside
a module, allocate absurd amounts of memory, or load silently.
"""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers.configuration_utils import PreTrainedConfig

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError, first_line

from .configuration_rules import (
    BACKBONES,
    ENCODERS,
    HIERA,
    PAIR,
    PARTS,
    RULES,
    RULES_AS_OF,
    RULES_OF_ALL,
)

LARGEST_FILE = 8 * 2**20  # bytes of a JSON file beside weights
LONGEST_VALUE = 60  # characters of a value in a message
ABSENT = object()
CELL = 16  # model pixels of a cell of the image embedding, where the backbone fixes it
SAM3, VITDET = "sam3_vision_model", "efficienttam_vision_model"
SCALES = [4.0, 2.0, 1.0]  # of the maps that the mask decoder reads, relative to the embedding
LEVELS = 3  # feature maps that the mask decoder reads

Made = TypeVar("Made")


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
    kind = RULES_AS_OF.get(type(config).model_type, type(config).model_type)
    _require_dtype(config, source)
    # an image config read from a video config keeps the video fields
    memory = RULES[f"{config.model_type}_video"] if kind == "sam2" else {}
    for name, rule in {**RULES_OF_ALL, **memory, **RULES.get(kind, {})}.items():
        value = getattr(config, name, ABSENT)
        if value is not ABSENT and (why := rule(value)):
            raise _unusable(source, config, f"{name} is {_shown(value)}; it {why}")
    for name in PARTS:
        if hasattr(config, name):
            part = getattr(config, name)
            found = getattr(type(part), "model_type", None)
            kinds = _kinds_of_part(name, config)
            if RULES_AS_OF.get(str(found), found) not in kinds and found not in kinds:
                known = " or a ".join(kinds)
                why = f"{name} is a {type(part).__name__}; it must describe a {known}"
                raise _unusable(source, config, why)
            require_buildable(part, source)
    for why in _contradictions(kind, config):
        raise _unusable(source, config, why)


def _kinds_of_part(name: str, config: PreTrainedConfig) -> tuple[str, ...]:
    """List the kinds that a part may have; the families differ in their image encoders."""
    if name == "vision_config" and (kind := ENCODERS.get(config.model_type)):
        return (kind,)
    known = PARTS[name]
    if name == "backbone_config" and (kind := BACKBONES.get(config.model_type)):
        return (kind, *(other for other in known if other not in BACKBONES.values()))
    return known


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
        "edgetam_video": _of_edgetam,
        "sam3_tracker_video": _of_video,
        "efficienttam_video": _of_video,
        "efficienttam_vit_model": _of_vit,
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


def _of_vit(config: PreTrainedConfig) -> Iterator[str]:
    if config.hidden_size % config.num_attention_heads:
        heads, width = config.num_attention_heads, config.hidden_size
        yield f"{heads} attention heads cannot share {width} channels evenly"
    last = config.num_hidden_layers - 1
    if last not in config.global_attention_blocks:
        yield f"global_attention_blocks is {config.global_attention_blocks}; the last is {last}"
    if config.pretrain_image_size < config.patch_size:
        yield f"pretrain_image_size is {config.pretrain_image_size}, less than a patch"


def _of_vision(config: PreTrainedConfig) -> Iterator[str]:
    channels = list(config.backbone_channel_list)
    if type(config.backbone_config).model_type in BACKBONES.values():
        trunk = list(reversed(config.backbone_config.embed_dim_per_stage))
        if channels != trunk:
            yield f"backbone_channel_list is {channels}; the trunk has {trunk}"
    if type(config).model_type == VITDET:
        return
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
    if type(vision).model_type == SAM3:
        yield from _of_sam3(vision, prompts)
        return
    if vision.num_feature_levels != LEVELS:
        yield f"num_feature_levels is {vision.num_feature_levels}; the mask decoder reads {LEVELS}"
    if type(vision.backbone_config).model_type == HIERA:
        yield from _of_trunk_in_model(vision.backbone_config, prompts)
    elif type(vision.backbone_config).model_type in BACKBONES.values():
        cell = getattr(vision.backbone_config, "patch_size", CELL)
        if _side(prompts.patch_size) != cell:
            yield f"patch_size is {prompts.patch_size}; the backbone makes cells of {cell} pixels"


def _of_sam3(vision: PreTrainedConfig, prompts: PreTrainedConfig) -> Iterator[str]:
    """Check the parts of a SAM 3 that describe one input."""
    if list(vision.scale_factors)[:LEVELS] != SCALES:
        yield f"scale_factors is {vision.scale_factors}; the mask decoder reads {SCALES}"
    vit = vision.backbone_config
    for name in ("image_size", "patch_size"):
        found, wanted = _side(getattr(prompts, name)), _side(getattr(vit, name))
        if found != wanted:
            yield f"{name} of prompt_encoder_config is {found}; that of the backbone is {wanted}"
    if _side(vit.image_size) % _side(vit.patch_size):
        yield f"image_size is {vit.image_size}, not a multiple of patch_size, {vit.patch_size}"
    if vit.hidden_size % vit.num_attention_heads:
        yield f"{vit.num_attention_heads} attention heads cannot share {vit.hidden_size} channels"


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


def _of_edgetam(config: PreTrainedConfig) -> Iterator[str]:
    yield from _of_video(config)
    free, placed = config.memory_latents
    side = math.isqrt(placed)
    if side**2 != placed or not free + placed:
        yield f"perceiver_resampler_num_latents_2d is {placed}; it must be a square number"
        return
    if placed and list(config.memory_attention_rope_k_sizes) != [side, side]:
        found = config.memory_attention_rope_k_sizes
        yield f"memory_attention_rope_k_sizes is {found}; {placed} latents are {side} x {side}"
    prompts = config.prompt_encoder_config
    cells = _side(prompts.image_size) // _side(prompts.patch_size)
    if placed and cells % side:
        yield f"{side} latents of a row cannot share {cells} cells evenly"
    width, memory = config.perceiver_resampler_hidden_size, config.memory_encoder_output_channels
    inner = config.perceiver_resampler_attention_head_dim
    inner *= config.perceiver_resampler_num_attention_heads
    if not width == inner == memory:
        yield (
            f"perceiver_resampler_hidden_size is {width}, its heads have {inner} channels, and "
            f"memory_encoder_output_channels is {memory}; they must be equal"
        )


def _of_memory_encoder(config: PreTrainedConfig) -> Iterator[str]:
    stride, total = config.mask_downsampler_stride, config.mask_downsampler_total_stride
    kernel, padding = config.mask_downsampler_kernel_size, config.mask_downsampler_padding
    yield from _resized("the mask downsampler", kernel, stride, padding)
    if stride ** round(math.log(total, stride)) != total:
        yield f"mask_downsampler_total_stride is {total}, not a power of the stride {stride}"
    cell = _side(config.prompt_encoder_config.patch_size)
    if type(config.vision_config).model_type == SAM3:
        cell = CELL  # masks are enlarged to it
    if total != cell:
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
