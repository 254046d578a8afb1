"""Load models from the original `.pt` checkpoints, beside everything transformers loads itself."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar, cast

from safetensors import SafetensorError
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig
from transformers.modeling_utils import PreTrainedModel

from .bundled_models import bundled_folder
from .checkpoint_errors import (
    CheckpointError as CheckpointError,
    CheckpointNotFoundError,
    first_line,
)
from .checkpoint_names import check_names, is_original_name, is_our_name, to_original, to_ours
from .checkpoint_search import (
    config_beside,
    find_local_original,
    require_sound_indexes,
    require_weights,
)
from .configuration_sam2_video import Sam2VideoConfig
from .fitting_weights import LoadRequest, load_request, names_in_model, read_named, requested
from .hub_search import HubOptions, damaged_file, find_hub_original
from .weight_sizes import config_from_weights

Model = TypeVar("Model", bound=PreTrainedModel)

_PART_OF_MODEL = {  # the models inside the model: where their weights are, and their config
    "sam2_vision_model": ("vision_encoder.", ("vision_config",)),
    "sam2_hiera_det_model": ("vision_encoder.backbone.", ("vision_config", "backbone_config")),
}


def read_original(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the weights of an original checkpoint; nothing in the file is run.

    Args:
        path: A `.pt` file as `read_named` takes it. Names may be the original ones or ours, with
            what wrappers put before them.

    Returns:
        Tensors by their original names, on the CPU.

    Raises:
        CheckpointNotFoundError: If there is no such file.
        CheckpointError: If the file is damaged, holds something else, or tries to run code.
    """
    if not Path(path).is_file():
        raise CheckpointNotFoundError(f"there is no file {path}. Check the path.")
    return _original_names(read_named(path), str(path))


def _original_names(weights: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Give weights the original names, whichever of the two namings they come in."""
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
        config: What the weights cannot tell (heads, windows, global blocks, input size), as a
            `Sam2Config` or `Sam2VideoConfig`. Left out, a `config.json` beside the file is taken,
            or else the table of released models.
        memory: Whether the weights that only videos need must be there.

    Returns:
        The config, and every tensor of the file by our names.

    Raises:
        CheckpointError: If the file is unusable (`read_original`), is no released model and no
            config is given, contradicts the config, or has missing or foreign weights.
    """
    original = read_original(path)
    stated = config if config is not None else config_beside(path)
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
        *model_args: Handed to the model's constructor.
        **kwargs: As in `from_pretrained`. Names of config fields change these fields, unless
            `config` is given.

    Returns:
        What `from_pretrained` returns: the model, or with `output_loading_info` a pair.

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
    return _named(loaded, str(path))


def load_pretrained(
    ordinary: Callable[..., Model],
    source: str | os.PathLike[str] | None,
    *model_args: Any,
    **kwargs: Any,
) -> Model:
    """Load a model from any of the three formats, or one that comes with this package.

    A repo with safetensors costs the requests transformers makes and none more: the Hub is asked
    for a `.pt` only after transformers has found nothing it knows.

    Args:
        ordinary: transformers' `from_pretrained`, bound to the model's class.
        source: Name of a bundled checkpoint, Hub id, folder, or path to a `.pt`.
        *model_args: Handed to the model's constructor.
        **kwargs: As in `from_pretrained`.

    Returns:
        What `ordinary` returns.

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
        return _named(load_pretrained(ordinary, bundled, *model_args, **kwargs), str(source))
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


def _named(loaded: Model, name: str) -> Model:
    """Let a model, or the first of a pair, say where it comes from."""
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    model.config.name_or_path = model.name_or_path = name
    return loaded


def _for_class(
    cls: type[PreTrainedModel], config: Sam2VideoConfig, weights: dict[str, Tensor]
) -> tuple[PreTrainedConfig, dict[str, Tensor]]:
    """Take what one class of models needs from the whole."""
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
