"""Fingerprints of model weights, and detection of changed weights."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from transformers.configuration_utils import PreTrainedConfig

PROBES = 4  # values of each weight in the first half of a fingerprint
DIGITS = 64  # hexadecimal, of one SHA-256
_ORDINARY = {Tensor, nn.Parameter}
WHOLE_NUMBERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}  # by bytes


def weight_fingerprint(
    config: PreTrainedConfig,
    weights: Iterable[Tensor],
    more: str = "",
    buffers: Iterable[Tensor] = (),
) -> str:
    """Hash a config and weights; copies of a model share it, other models do not.

    Args:
        config: The config; fields that saving, loading and moving change are ignored.
        weights: Weights in a fixed order.
        more: Further text to hash.
        buffers: Further tensors in a fixed order.

    Returns:
        128 hexadecimal digits: 64 of the config and a few values of every weight (all that earlier
        versions wrote), and 64 of every bit of the tensors.
    """
    weights = list(weights)
    return _probed(config, weights, more) + _digest([*weights, *buffers])


def is_same_model(saved: str, current: str) -> bool:
    """Whether a saved fingerprint, possibly of an earlier version, is that of a model.

    Args:
        saved: The saved fingerprint.
        current: The model's `weight_fingerprint`.
    """
    return saved in (current, current[:DIGITS])


class WeightWatch:
    """Detect written, replaced and cast weights without reading all of them.

    Torch counts most writes. Those through `parameter.data`, which it does not count, are found by
    comparing samples: at least one value of every row and column of each weight, and every value of
    vectors. So a write to a whole row, column, channel or bias is always detected; one to parts of
    rows, or one that keeps the sampled values, may be missed. Comparing every value would take
    longer than decoding a click. Weights made of other tensors (quantized, sharded) are watched by
    their parts.

    Args:
        waits: Whether values are also compared on devices other than the CPU, which synchronizes.
            Otherwise only writes that torch counts are detected there.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self._waits = waits
        self._stamp: list[tuple[Any, ...]] | None = None
        self._samples: list[
            Tensor
        ] = []  # views, which keep the weights alive, so that no address is reused
        self._values: list[Tensor] = []

    @property
    def has_seen(self) -> bool:
        """Whether there are weights to compare with."""
        return self._stamp is not None

    def have_changed(self, weights: Iterable[Tensor]) -> bool:
        """Whether any weight changed since the last call; True on the first one."""
        plain = list(weights)
        if not _ORDINARY.issuperset(map(type, plain)):
            plain = [part for weight in plain for part in _plain(weight)]
            if not _ORDINARY.issuperset(map(type, plain)):
                return True  # a tensor subclass that does not expose its parts
        # one comprehension without function calls: a model has hundreds of weights. Inference
        # tensors have no write counter.
        stamp = [
            (
                weight.device,
                weight.data_ptr(),
                weight.dtype,
                0 if weight.is_inference() else weight._version,
            )
            for weight in plain
        ]
        is_known = stamp == self._stamp
        if not is_known:
            watched = [weight for weight in plain if self._waits or weight.is_cpu]
            self._stamp, self._samples = stamp, [_sample(weight) for weight in watched]
        before, self._values = self._values, _joined(self._samples)
        return not is_known or not all(map(torch.equal, before, self._values))


def _plain(weight: Tensor) -> Iterator[Tensor]:
    """Yield the plain tensors that a weight consists of."""
    if type(weight) in _ORDINARY:
        yield weight
    elif is_traceable_wrapper_subclass(weight):
        for name in weight.__tensor_flatten__()[0]:
            yield from _plain(getattr(weight, name))
    elif type(weight).__torch_dispatch__ is Tensor.__torch_dispatch__:
        yield weight.detach().as_subclass(Tensor)
    else:
        yield weight


def _sample(weight: Tensor) -> Tensor:
    """Return a strided view of a weight that covers every row and every column.

    A stride coprime to the row length reaches each column in turn; a stride shorter than a row
    skips none.
    """
    order = sorted(range(weight.dim()), key=weight.stride, reverse=True)
    values = weight.detach().permute(order)  # in memory order
    if values.numel() == 0 or values.dim() == 0 or not values.is_contiguous():
        return values
    rows, columns = values.shape[0], values.numel() // values.shape[0]
    step = min(rows, columns)
    while math.gcd(step, columns) != 1:
        step -= 1
    return values.flatten()[::step]


def _joined(samples: list[Tensor]) -> list[Tensor]:
    """Concatenate the bits of samples, one tensor per device and dtype."""
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for values in samples:
        groups.setdefault((values.device, values.dtype), []).append(values.reshape(-1))
    return [_bits(torch.cat(values)) for values in groups.values()]


def _bits(values: Tensor) -> Tensor:
    """View values as integers, which unlike NaN equal themselves."""
    return values.view(WHOLE_NUMBERS.get(values.element_size(), torch.uint8))


def _digest(tensors: Iterable[Tensor]) -> str:
    """Hash every bit of some tensors."""
    digest = hashlib.sha256()
    for tensor in tensors:
        values = tensor.detach()
        if type(tensor) not in (Tensor, nn.Parameter):
            values = values.float()  # the value of a quantized weight
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
    """Drop fields that saving, loading and moving a model change."""
    passing = ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures")
    return {
        key: _without_origin(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key not in passing and not str(key).startswith("_")
    }
