"""Tell models apart by their weights, and notice when the weights of one model change."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig

PROBES = 4  # values of each weight in the first half of a fingerprint
WATCHED = 64  # values of each weight that are compared to notice a write
DIGITS = 64  # hexadecimal, of one SHA-256


def weight_fingerprint(
    config: PreTrainedConfig,
    weights: Iterable[Tensor],
    more: str = "",
    buffers: Iterable[Tensor] = (),
) -> str:
    """Make a mark of a config and weights that copies share and other models do not.

    Args:
        config: Where saving, loading and moving a model leave traces, these are left out.
        weights: In an order that is always the same.
        more: Whatever else the mark depends on.
        buffers: Tensors besides the weights, likewise.

    Returns:
        128 hexadecimal digits: 64 of the config and a few values of every weight, which are all
        that earlier versions wrote, and 64 of every bit of the tensors.
    """
    weights = list(weights)
    return _probed(config, weights, more) + _digest([*weights, *buffers])


def is_same_model(saved: str, current: str) -> bool:
    """Whether a saved fingerprint, possibly of an earlier version, is that of a model.

    Args:
        saved: What was saved.
        current: What `weight_fingerprint` returns for the model.
    """
    return saved in (current, current[:DIGITS])


class WeightWatch:
    """Notice writes to weights, replaced and cast weights, in far less time than reading them all.

    Torch counts most writes. Those through `parameter.data`, which it does not count, are found by
    comparing some values of each weight, so a write to a handful of values may pass unnoticed.
    """

    def __init__(self) -> None:
        self._stamp: tuple[Any, ...] | None = None
        self._samples: list[Tensor] = []  # views, which hold the weights: no address is used twice
        self._values: Tensor | None = None

    def have_changed(self, weights: list[Tensor]) -> bool:
        """Whether any weight changed since the last call; True on the first one."""
        if not all(type(weight) in (Tensor, nn.Parameter) for weight in weights):
            return True  # quantized or sharded: there is no telling what stands behind them
        stamp = tuple((one.data_ptr(), _version(one), one.dtype) for one in weights)
        is_known = stamp == self._stamp
        if not is_known:
            self._stamp, self._samples = stamp, [_sample(weight) for weight in weights]
        before, self._values = self._values, _joined(self._samples)
        return before is None or not is_known or not torch.equal(before, self._values)


def _version(weight: Tensor) -> int:
    return 0 if weight.is_inference() else weight._version  # such tensors do not count writes


def _sample(weight: Tensor) -> Tensor:
    """Return a view of some values of a weight."""
    flat = weight.detach()
    if flat.dim() != 1:
        is_image_like = flat.dim() == 4 and flat.is_contiguous(memory_format=torch.channels_last)
        flat = flat.permute(0, 2, 3, 1).flatten() if is_image_like else flat.flatten()
    return flat[:: -(-flat.numel() // WATCHED) or 1]


def _joined(samples: list[Tensor]) -> Tensor:
    """Read samples, wherever they lie."""
    if len({values.device for values in samples}) > 1:
        samples = [values.cpu() for values in samples]
    return torch.cat(samples)


def _digest(tensors: Iterable[Tensor]) -> str:
    """Hash every bit of some tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        values = tensor.detach()
        if type(tensor) not in (Tensor, nn.Parameter):
            values = values.float()  # what a quantized weight stands for
        bits = values.cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(f"{values.dtype} {tuple(values.shape)}".encode())
        digest.update(bits.numpy().data)
    return digest.hexdigest()


def _probed(config: PreTrainedConfig, weights: list[Tensor], more: str) -> str:
    """Hash a config and a few values of every weight."""
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
