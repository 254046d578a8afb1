"""Tell models apart by a few values of every weight: quick, and any training shows."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from transformers.configuration_utils import PreTrainedConfig

PROBES = 4  # values of each weight that are looked at


def weight_fingerprint(config: PreTrainedConfig, weights: Iterable[Tensor], more: str = "") -> str:
    """Make a mark of a config and weights that copies share and other models do not.

    Args:
        config: Where saving, loading and moving a model leave traces, these are left out.
        weights: In an order that is always the same.
        more: Whatever else the mark depends on.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    fields = _without_origin(config.to_diff_dict())
    digest.update(json.dumps(fields, sort_keys=True, default=str).encode())
    flat = [weight.detach().flatten() for weight in weights]
    digest.update(f"{flat[0].dtype} {more}".encode())
    samples = [values[:: max(1, values.numel() // PROBES)][:PROBES].float() for values in flat]
    digest.update(torch.cat(samples).cpu().numpy().tobytes())
    return digest.hexdigest()


def _without_origin(config: dict[str, Any]) -> dict[str, Any]:
    """Drop what saving, loading and moving a model changes although it stays the same model."""
    passing = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
    return {
        key: _without_origin(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in passing and not str(key).startswith("_")
    }
