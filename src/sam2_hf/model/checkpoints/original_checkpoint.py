"""Original `.pt` checkpoints: loading, and inferring the architecture from weights."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import reduce
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from safetensors import SafetensorError
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel

from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

from .bundled_models import bundled_folder
from .checkpoint_errors import CheckpointError, CheckpointNotFoundError, first_line
from .checkpoint_names import (
    NO_OBJECT_ROW,
    POINTER_TIME_ROW,
    check_names,
    is_original_name,
    is_our_name,
    to_original,
    to_ours,
)
from .checkpoint_search import (
    HubOptions,
    config_beside,
    damaged_file,
    find_hub_original,
    find_local_original,
    require_sound_indexes,
    require_weights,
)
from .family_names import family_config, family_of, family_weights
from .fitting_weights import LoadRequest, load_request, names_in_model, read_named, requested
from .released_models import RELEASED, layout_config

_TRUNK = "vision_config.backbone_config"
_DECODER = "sam_mask_decoder"


class _Size(NamedTuple):
    """A config field, and the tensor (original name) and axis that have its size."""

    field: str
    tensor: str
    axis: int


_SIZES = (
    _Size("vision_config.fpn_hidden_size", "image_encoder.neck.convs.0.conv.weight", 0),
    _Size("vision_config.fpn_kernel_size", "image_encoder.neck.convs.0.conv.weight", 2),
    _Size("prompt_encoder_config.hidden_size", "sam_prompt_encoder.no_mask_embed.weight", 1),
    _Size(
        "prompt_encoder_config.mask_input_channels",
        "sam_prompt_encoder.mask_downscaling.3.weight",
        0,
    ),
    _Size("mask_decoder_config.hidden_size", f"{_DECODER}.iou_token.weight", 1),
    _Size("mask_decoder_config.mlp_dim", f"{_DECODER}.transformer.layers.0.mlp.layers.0.weight", 0),
    _Size(
        "mask_decoder_config.iou_head_hidden_dim",
        f"{_DECODER}.iou_prediction_head.layers.0.weight",
        0,
    ),
    _Size("num_maskmem", "maskmem_tpos_enc", 0),
    _Size("memory_encoder_output_channels", "maskmem_tpos_enc", 3),
    _Size("memory_attention_hidden_size", "memory_attention.norm.weight", 0),
    _Size(
        "memory_attention_feed_forward_hidden_size", "memory_attention.layers.0.linear1.weight", 0
    ),
    _Size("memory_encoder_hidden_size", "memory_encoder.pix_feat_proj.weight", 0),
    _Size("mask_downsampler_embed_dim", "memory_encoder.mask_downsampler.encoder.12.weight", 0),
    _Size("memory_fuser_embed_dim", "memory_encoder.fuser.layers.0.dwconv.weight", 0),
    _Size("memory_fuser_kernel_size", "memory_encoder.fuser.layers.0.dwconv.weight", 2),
    _Size("memory_fuser_intermediate_dim", "memory_encoder.fuser.layers.0.pwconv1.weight", 0),
)

_COUNTS = (
    ("prompt_encoder_config.num_point_embeddings", r"sam_prompt_encoder\.point_embeddings\.(\d+)"),
    ("mask_decoder_config.num_hidden_layers", r"sam_mask_decoder\.transformer\.layers\.(\d+)\."),
    ("memory_attention_num_layers", r"memory_attention\.layers\.(\d+)\."),
    ("memory_fuser_num_layers", r"memory_encoder\.fuser\.layers\.(\d+)\."),
)


def config_from_weights(
    original: Mapping[str, Tensor], config: PreTrainedConfig | None = None, *, source: str
) -> Sam2VideoConfig:
    """Infer the architecture from the weights of an original checkpoint.

    Sizes come from shapes. Attention heads, windows and global blocks do not show in shapes: they
    come from the table of released models, or from the caller.

    Args:
        original: Tensors by their original names.
        config: The caller's `Sam2Config` or `Sam2VideoConfig`; needed for any trunk that was not
            released. Its input size and all its switches are kept.
        source: What to call the checkpoint in a message, usually its path.

    Raises:
        CheckpointError: If the trunk is not in the table and no config is given, or if the
            caller's config contradicts the weights; the message names the fields.
    """
    sizes = _read_sizes(original)
    channels = _channels_per_block(original, source)
    if config is None:
        described = _released_layout(original, channels, source)
    else:
        described = _video_config(config)
        is_image_config = not hasattr(config, "num_maskmem")
        _require_agreement(described, sizes, channels, source=source, image_only=is_image_config)
        if is_image_config:
            _set_version(described, original)
    for field, value in sizes.items():
        _set_field(described, field, value)
    return described


def _read_sizes(original: Mapping[str, Tensor]) -> dict[str, Any]:
    """List the config fields that shapes and names of present tensors determine."""
    sizes: dict[str, Any] = {
        field: original[tensor].shape[axis]
        for field, tensor, axis in _SIZES
        if tensor in original and original[tensor].dim() > axis
    }
    for field, pattern in _COUNTS:
        if numbers := _numbers(pattern, original):
            sizes[field] = max(numbers) + 1
    if (tokens := original.get(f"{_DECODER}.mask_tokens.weight")) is not None:
        sizes["mask_decoder_config.num_multimask_outputs"] = len(tokens) - 1  # one is the single
    if (table := original.get("image_encoder.trunk.pos_embed")) is not None:
        sizes[f"{_TRUNK}.window_positional_embedding_background_size"] = list(table.shape[2:])
    return sizes


def _channels_per_block(original: Mapping[str, Tensor], source: str) -> list[int | None]:
    """List the output channels of every block of the trunk, None where the tensor is missing."""
    blocks = _numbers(r"image_encoder\.trunk\.blocks\.(\d+)\.", original)
    if not blocks:
        raise CheckpointError(
            f"{source} has no image encoder: none of its {len(original)} tensors is called "
            "image_encoder.trunk.blocks... Check that it is an original SAM 2 checkpoint."
        )
    projections = [
        original.get(f"image_encoder.trunk.blocks.{block}.attn.proj.weight")
        for block in range(max(blocks) + 1)
    ]
    return [None if weight is None else len(weight) for weight in projections]


def _released_layout(
    original: Mapping[str, Tensor], channels: list[int | None], source: str
) -> Sam2VideoConfig:
    """Find the released model with these weights."""
    window = original.get("image_encoder.trunk.pos_embed_window")
    for model in RELEASED.values():
        fits = _agree(channels, _stack(model.blocks_per_stage, model.embed_dims))
        if fits and (window is None or window.shape[-1] == model.window_sizes[0]):
            config = layout_config(model)
            _set_version(config, original)
            return config
    stages = [(width, len(list(run))) for width, run in groupby(channels)]
    raise CheckpointError(
        f"{source} is none of the released models: its trunk has stages of "
        f"{'-'.join(str(count) for _, count in stages)} blocks with "
        f"{'-'.join(str(width) for width, _ in stages)} channels. Attention heads, window sizes "
        "and global-attention blocks cannot be read from weights: put a config.json with them "
        "beside the file, or in Python pass config=Sam2VideoConfig(...)."
    )


def _require_agreement(
    config: Sam2VideoConfig,
    sizes: Mapping[str, Any],
    channels: list[int | None],
    *,
    source: str,
    image_only: bool,
) -> None:
    """Refuse a caller's config that contradicts the weights."""
    trunk = config.to_dict()["vision_config"]["backbone_config"]
    expected = _stack(trunk["blocks_per_stage"], trunk["embed_dim_per_stage"])
    clashes = []
    if not _agree(channels, expected):
        clashes.append(f"channels of the trunk's blocks: {expected}, but the weights: {channels}")
    for field, value in sizes.items():
        configured = _get_field(config, field)
        is_memory_field = "." not in field
        if configured != value and not (image_only and is_memory_field):
            clashes.append(f"{field}: {configured}, but the weights: {value}")
    if clashes:
        raise CheckpointError(
            f"the config does not describe {source}. The config says {'; '.join(clashes)}. "
            "Correct the config, or leave it out for a released model."
        )


def _video_config(config: PreTrainedConfig) -> Sam2VideoConfig:
    """Copy a config; one for images gets the default memory fields."""
    fields = config.to_dict()
    parts: dict[str, Any] = {
        name: fields.get(name)
        for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    }
    if not all(isinstance(part, dict) for part in parts.values()):
        raise CheckpointError(
            f"config is a {type(config).__name__}, which does not describe a whole SAM 2. "
            "Pass a Sam2Config or a Sam2VideoConfig."
        )
    if hasattr(config, "num_maskmem"):
        return Sam2VideoConfig.from_dict(fields)
    for part in parts.values():
        part.pop("model_type", None)
    image_size = parts["prompt_encoder_config"]["image_size"]
    return with_image_size(Sam2VideoConfig(**parts), image_size)


def _set_version(config: Sam2VideoConfig, names: Iterable[str]) -> None:
    """Set the two switches by which SAM 2.1 differs from 2.0."""
    pointer_time = POINTER_TIME_ROW.original.removesuffix("*")
    is_2_1 = any(name == NO_OBJECT_ROW.original or name.startswith(pointer_time) for name in names)
    config.enable_occlusion_spatial_embedding = is_2_1
    config.enable_temporal_pos_encoding_for_object_pointers = is_2_1


def _numbers(pattern: str, names: Iterable[str]) -> set[int]:
    """Collect the numbers that a pattern matches at the start of names."""
    return {int(found[1]) for name in names if (found := re.match(pattern, name))}


def _stack(blocks_per_stage: Iterable[int], channels: Iterable[int]) -> list[int]:
    """List the channels of every block."""
    stages = zip(blocks_per_stage, channels, strict=True)
    return [width for count, width in stages for _ in range(count)]


def _agree(channels: list[int | None], expected: list[int]) -> bool:
    """Compare channels block by block; None, a missing tensor, agrees with any."""
    if len(channels) != len(expected):
        return False
    pairs = zip(channels, expected, strict=True)
    return all(found is None or found == width for found, width in pairs)


def _get_field(config: PreTrainedConfig, path: str) -> object:
    """Read a field by its dotted path, a tuple as a list."""
    value: object = reduce(getattr, path.split("."), config)
    return list(value) if isinstance(value, tuple) else value


def _set_field(config: PreTrainedConfig, path: str, value: object) -> None:
    """Set a field by its dotted path."""
    *parents, name = path.split(".")
    setattr(reduce(getattr, parents, config), name, value)


Model = TypeVar("Model", bound=PreTrainedModel)

_PART_OF_MODEL = {  # models inside the model: their prefix and config
    "sam2_vision_model": ("vision_encoder.", ("vision_config",)),
    "sam2_hiera_det_model": ("vision_encoder.backbone.", ("vision_config", "backbone_config")),
}


def read_original(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights of an original checkpoint without running any code in it.

    Args:
        path: A `.pt` file as `read_named` takes it. Names may be the original ones or ours, with
            prefixes of wrappers.

    Returns:
        Tensors by their original names, on the CPU.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, holds something else, or tries to run code.
    """
    if not Path(path).is_file():
        raise CheckpointNotFoundError(f"there is no file {path}. Check the path.")
    weights = read_named(path)
    return weights if family_of(weights) else _original_names(weights, str(path))


def _original_names(weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Convert weights in either naming to the original names."""
    names = names_in_model(
        weights, lambda name: is_original_name(name) or is_our_name(name), source=source
    )
    renamed = {names[name]: tensor for name, tensor in weights.items() if name != "n_averaged"}
    ours = [name for name in renamed if is_our_name(name) and not is_original_name(name)]
    return to_original(renamed) if 2 * len(ours) > len(renamed) else renamed


def load_original(
    path: str | os.PathLike[str], config: PreTrainedConfig | None = None, *, memory: bool = True
) -> tuple[Sam2VideoConfig, dict[str, Tensor]]:
    """Read an original checkpoint as a config and weights by our names.

    Args:
        path: A `.pt` file.
        config: Fields that weights do not determine (heads, windows, global blocks, input size), as
            a `Sam2Config` or `Sam2VideoConfig`. Defaults to a `config.json` beside the file, or
            else the table of released models.
        memory: Whether the weights that only videos need must be there.

    Returns:
        The config, and every tensor of the file by our names.

    Raises:
        CheckpointError: If the file is unusable (`read_original`), is no released model and no
            config is given, contradicts the config, or has missing or foreign weights.
    """
    original = read_original(path)
    stated = config if config is not None else config_beside(path)
    if (family := family_of(original)) is not None:
        weights = family_weights(family, original, str(path))
        found = stated or family_config(family, weights, Path(path))
        return Sam2VideoConfig.from_dict(found.to_dict()), weights
    described = config_from_weights(original, stated, source=str(path))
    check_names(original, described, source=str(path), memory=memory)
    return described, to_ours(original)


def from_original(
    cls: type[Model], path: str | os.PathLike[str], *model_args: Any, **kwargs: Any
) -> Model:
    """Build a model from an original checkpoint.

    Args:
        cls: The model's class.
        path: A `.pt` file.
        *model_args: Passed to the model's constructor.
        **kwargs: As in `from_pretrained`. Config field names override these fields, unless `config`
            is given.

    Returns:
        The model, or with `output_loading_info` a pair, as `from_pretrained`.

    Raises:
        CheckpointError: See `load_original`.
    """
    stated = kwargs.pop("config", None)
    if isinstance(stated, str | os.PathLike):
        stated = Sam2VideoConfig.from_pretrained(stated)
    wants_memory = issubclass(_config_class(cls), Sam2VideoConfig)
    described, everything = load_original(path, stated, memory=wants_memory)
    config, weights = _for_class(cls, described, everything)
    if stated is None:
        for name in [name for name in kwargs if name in config.to_dict() and name != "dtype"]:
            setattr(config, name, kwargs.pop(name))
    with requested(LoadRequest(str(path))):
        loaded = cls.from_pretrained(None, *model_args, config=config, state_dict=weights, **kwargs)
    return _with_name(loaded, str(path))


def load_pretrained(
    ordinary: Callable[..., Model],
    source: str | os.PathLike[str] | None,
    *model_args: Any,
    **kwargs: Any,
) -> Model:
    """Load a model from any of the three formats, or a bundled one.

    A repo with safetensors costs only transformers' own requests: the Hub is searched for a `.pt`
    only after transformers has found no weights.

    Args:
        ordinary: transformers' `from_pretrained`, bound to the model's class.
        source: Name of a bundled checkpoint, Hub id, folder, or path to a `.pt`.
        *model_args: Passed to the model's constructor.
        **kwargs: As in `from_pretrained`.

    Returns:
        The result of `ordinary`.

    Raises:
        CheckpointNotFoundError: If there are no weights: no such file, folder, repo or revision,
            a folder or repo without weights, or no network and nothing in the cache.
        CheckpointError: If the weights are damaged or not those of a SAM 2.
    """
    request = replace(
        load_request.get() if source is None else LoadRequest(str(source)),
        missing_allowed=bool(kwargs.get("output_loading_info")),
        renamed=bool(kwargs.get("key_mapping")),
    )
    if source is None or kwargs.get("gguf_file"):
        with requested(request):
            return ordinary(source, *model_args, **kwargs)
    if (bundled := bundled_folder(source)) is not None:
        return _with_name(load_pretrained(ordinary, bundled, *model_args, **kwargs), str(source))
    cls = cast(type[Model], getattr(ordinary, "__self__", None))
    options = HubOptions.from_kwargs(kwargs)
    if (local := find_local_original(source, options.subfolder)) is not None:
        return from_original(cls, local, *model_args, **kwargs)
    require_sound_indexes(source, options.subfolder)
    try:
        with requested(request):
            return ordinary(source, *model_args, **kwargs)
    except SafetensorError as error:
        raise CheckpointError(
            f"{damaged_file(source, options)} is damaged: {first_line(error)}. Download or copy "
            "it again (from the Hub: force_download=True)."
        ) from error
    except OSError as error:
        require_weights(source, options.subfolder)
        if os.path.exists(source) or kwargs.get("use_safetensors"):
            raise
        found = find_hub_original(str(source), options, failure=error)
    return from_original(cls, found, *model_args, **kwargs)


def _with_name(loaded: Model, name: str) -> Model:
    """Set the name of a model, or of the first of a pair."""
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    model.config.name_or_path = model.name_or_path = name
    return loaded


def _for_class(
    cls: type[PreTrainedModel], config: Sam2VideoConfig, weights: dict[str, Tensor]
) -> tuple[PreTrainedConfig, dict[str, Tensor]]:
    """Select the config and weights that one model class needs."""
    config_class = _config_class(cls)
    model_type = config_class.model_type
    if model_type in _PART_OF_MODEL:
        prefix, fields = _PART_OF_MODEL[model_type]
        part = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
        weights = {name.removeprefix(prefix): tensor for name, tensor in part.items()}
        return reduce(getattr, fields, config), weights
    if isinstance(config, config_class):
        return config, weights
    return config_class.from_dict(config.to_dict()), weights


def _config_class(cls: type[PreTrainedModel]) -> type[PreTrainedConfig]:
    """Return the config class of a model class."""
    return cast(type[PreTrainedConfig], cls.config_class)
