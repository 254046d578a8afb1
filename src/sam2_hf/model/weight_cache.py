"""Keep what follows from weights alone, for as long as the weights stay what they are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .fast_paths import is_traced


class _Kept(NamedTuple):
    """A tensor, and what it was computed from."""

    key: tuple[Any, ...]
    weights: tuple[Tensor, ...]
    value: Tensor


class WeightCache:
    """Hold one tensor that is computed from weights and a key (a size, a dtype).

    The tensor is computed again as soon as a value of a weight is another one, however it was
    written: values are compared with those of before, which takes microseconds for the few thousand
    that these weights have. Versions would not do: writes through `parameter.data` do not count.

    Nothing is kept while gradients are recorded, so training never sees a kept tensor, or on other
    devices than the CPU, where a comparison would wait for the device. Copies and pickles of a
    model start with an empty cache.
    """

    def __init__(self) -> None:
        # replaced as a whole, so that threads that share a model read what belongs together
        self._kept: _Kept | None = None

    def get(
        self, weights: tuple[Tensor, ...], key: tuple[Any, ...], compute: Callable[[], Tensor]
    ) -> Tensor:
        """Return `compute()`, or its earlier result if neither `weights` nor `key` changed since.

        Args:
            weights: Every tensor that `compute` reads.
            key: Everything else it depends on.
            compute: Makes the tensor; called without recording gradients when its result is kept.
        """
        if is_traced() or not all(_can_be_compared(weight) for weight in weights):
            return compute()
        kept = self._kept
        if kept is None or kept.key != key or not _are_equal(kept.weights, weights):
            # A tensor made in inference mode could not take part in training later on.
            with torch.inference_mode(mode=False), torch.no_grad():
                # copied first: a write in between is then noticed on the next call
                copies = tuple(weight.detach().clone() for weight in weights)
                kept = _Kept(key, copies, compute())
            self._kept = kept
        return kept.value

    def __deepcopy__(self, memo: dict[int, Any]) -> "WeightCache":
        return WeightCache()

    def __reduce__(self) -> tuple[type["WeightCache"], tuple[()]]:
        return WeightCache, ()


def _can_be_compared(weight: Tensor) -> bool:
    """Whether a weight is a tensor of the CPU, none that stands for others, and does not learn."""
    is_ordinary = type(weight) in (Tensor, nn.Parameter) and weight.is_cpu
    return is_ordinary and not (torch.is_grad_enabled() and weight.requires_grad)


def _are_equal(before: tuple[Tensor, ...], now: tuple[Tensor, ...]) -> bool:
    return all(
        one.dtype == other.dtype and torch.equal(one, other)
        for one, other in zip(before, now, strict=True)
    )
