"""Tell models apart by their weights, and notice when the weights of one model change."""

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
    """Notice written, replaced and cast weights in far less time than reading them all takes.

    Torch counts most writes. Those through `parameter.data`, which it does not count, are found by
    comparing samples: at least one value of every row and every column of each weight, and every
    value of vectors. So a write to a whole row, column, channel or bias is always noticed; one to
    parts of rows, or one that leaves the sampled values as they were, may pass. Comparing every
    value would take longer than decoding a click. Of weights made of other tensors (quantized,
    sharded) the parts are watched.

    Args:
        waits: Whether values are compared on other devices than the CPU too, which makes the host
            wait for them. Otherwise only what torch counts is noticed there.
    """

    def __init__(self, *, waits: bool = True) -> None:
        self._waits = waits
        self._stamp: list[tuple[Any, ...]] | None = None
        self._samples: list[Tensor] = []  # views, which hold the weights: no address is used twice
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
                return True  # a class of its own that does not tell what stands behind it
        # one comprehension without calls of ours: a model has hundreds of weights. Tensors made in
        # inference mode do not count writes.
        stamp = [
            (one.device, one.data_ptr(), one.dtype, 0 if one.is_inference() else one._version)
            for one in plain
        ]
        is_known = stamp == self._stamp
        if not is_known:
            watched = [one for one in plain if self._waits or one.is_cpu]
            self._stamp, self._samples = stamp, [_sample(one) for one in watched]
        before, self._values = self._values, _joined(self._samples)
        return not is_known or not all(map(torch.equal, before, self._values))


def _plain(weight: Tensor) -> Iterator[Tensor]:
    """Yield the ordinary tensors that a weight is made of."""
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
    """Return a view of values of a weight that meets every row and every column.

    Steps of a length that shares no divisor with the row length end on each column in turn; steps
    shorter than a row skip none.
    """
    order = sorted(range(weight.dim()), key=weight.stride, reverse=True)
    values = weight.detach().permute(order)  # in the order of memory, whatever the layout
    if values.numel() == 0 or values.dim() == 0 or not values.is_contiguous():
        return values
    rows, columns = values.shape[0], values.numel() // values.shape[0]
    step = min(rows, columns)
    while math.gcd(step, columns) != 1:
        step -= 1
    return values.flatten()[::step]


def _joined(samples: list[Tensor]) -> list[Tensor]:
    """Read samples: their bits, one tensor for each device and dtype."""
    groups: dict[tuple[torch.device, torch.dtype], list[Tensor]] = {}
    for values in samples:
        groups.setdefault((values.device, values.dtype), []).append(values.reshape(-1))
    return [_bits(torch.cat(values)) for values in groups.values()]


def _bits(values: Tensor) -> Tensor:
    """View values as whole numbers, of which each equals itself, unlike NaN."""
    return values.view(WHOLE_NUMBERS.get(values.element_size(), torch.uint8))


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
