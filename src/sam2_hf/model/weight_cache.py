"""Keep what follows from weights alone, for as long as the weights stay what they are."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class _Kept(NamedTuple):
    """A tensor, what it was computed from, and the weights themselves."""

    stamp: tuple[Any, ...]
    value: Tensor
    weights: tuple[Tensor, ...]


class WeightCache:
    """Hold one tensor that is computed from weights and a key (a size, a dtype).

    The tensor is computed afresh whenever a weight was written to, replaced, moved or cast, and
    always while gradients are recorded: training never sees a kept tensor. Copies and pickles of a
    model start with an empty cache. A write through `parameter.data`, which torch does not count,
    is not noticed; `torch.no_grad()` is the way to write to weights.
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
        if torch.compiler.is_compiling() or (
            torch.is_grad_enabled() and any(w.requires_grad for w in weights)
        ):
            return compute()
        if any(w.is_inference() for w in weights):  # such tensors carry no version to compare
            return compute()
        stamp = (key, *((w.data_ptr(), w._version, w.dtype, w.device) for w in weights))
        kept = self._kept
        if kept is None or stamp != kept.stamp:
            # A tensor made in inference mode could not take part in training later on.
            with torch.inference_mode(mode=False), torch.no_grad():
                value = compute()
            # weights are held, so that no address is used twice
            kept = _Kept(stamp, value, tuple(w.detach() for w in weights))
            self._kept = kept
        return kept.value

    def __deepcopy__(self, memo: dict[int, Any]) -> "WeightCache":
        return WeightCache()

    def __reduce__(self) -> tuple[type["WeightCache"], tuple[()]]:
        return WeightCache, ()
