"""LoRA adapters through the package peft: added, merged, and saved separately."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sam2_hf.errors import MissingPackageError, TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .config import LoraConfig
from .optimizer import matching_names

ADAPTER = "default"  # peft's name for the only one
DOWN, UP = f".lora_A.{ADAPTER}.weight", f".lora_B.{ADAPTER}.weight"
BASE = ".base_layer."
PREFIX = "base_model.model."  # of names in peft's files
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


class _Adapted(Protocol):
    """Interface of peft's layers."""

    scaling: Mapping[str, float]


def add_adapters(model: Sam2VideoModel, config: LoraConfig, seed: int) -> None:
    """Add adapters to a model and freeze its other weights.

    An adapter is initialized to no change.

    Args:
        model: Changed in place.
        config: Target layers and rank.
        seed: Seed of the initial weights.

    Raises:
        MissingPackageError: peft is not installed.
        TrainingError: No layer matches, or a layer's type cannot be adapted.
    """
    peft = _import_peft()
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    for target in config.targets:
        if not any(f".{name}".endswith(f".{target}") for name in linear):
            known = sorted({".".join(name.split(".")[-2:]) for name in linear})
            raise TrainingError(
                f"lora.targets has {target!r}, but no linear layer's name ends with it. "
                f"Existing suffixes: "
                f"{', '.join(known)}."
            )
    kept = [name for pattern in config.also for name in matching_names(model, pattern, "lora.also")]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        peft.inject_adapter_in_model(_settings(config), model, ADAPTER)
    for name in kept:
        model.get_parameter(name).requires_grad = True


def merge_adapters(model: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Merge adapters into their weights, under the names of a plain model.

    Args:
        model: A model with adapters; without any, its weights are returned unchanged.
        weights: All its tensors.
    """
    merged = {}
    for name, tensor in weights.items():
        if name.endswith((DOWN, UP)):
            continue
        layer = name.partition(BASE)[0]
        if name == f"{layer}{BASE}weight":
            scale = cast("_Adapted", model.get_submodule(layer)).scaling[ADAPTER]
            tensor = tensor + scale * (weights[layer + UP] @ weights[layer + DOWN])
        merged[name.replace(BASE, ".")] = tensor
    return merged


def write_adapters(
    weights: Mapping[str, Tensor], folder: Path, config: LoraConfig, base: str
) -> None:
    """Save adapters for `peft` and `model.load_adapter`.

    Args:
        weights: All tensors of a model with adapters.
        folder: Created if missing.
        config: Their settings.
        base: The base model.

    Raises:
        OSError: The disk is full, or the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    adapters = {
        PREFIX + name.replace(f".{ADAPTER}.weight", ".weight"): tensor.contiguous()
        for name, tensor in weights.items()
        if name.endswith((DOWN, UP))
    }
    save_file(adapters, folder / WEIGHTS, metadata={"format": "pt"})
    settings = _settings(config)
    settings.base_model_name_or_path = base
    settings.inference_mode = True
    settings.save_pretrained(str(folder))


def _settings(config: LoraConfig) -> Any:  # noqa: ANN401 - peft is not typed
    return _import_peft().LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
    )


def _import_peft() -> ModuleType:
    try:
        import peft
    except ImportError as error:
        raise MissingPackageError(
            "peft", purpose="lora", install="Install it with: pip install 'sam2-hf[train]'."
        ) from error
    return peft
