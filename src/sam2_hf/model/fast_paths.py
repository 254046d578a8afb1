"""When a faster way to the same numbers may be taken, and the one switch for all of them.

Each fast path stands beside a plain module that can be read, trained and compiled, and equals it up
to the order of summation.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils import output_capturing


class FastPath:
    """Mixed into a module that has a faster way to its numbers; `fast` switches it off.

    Attributes:
        fast: Whether the faster way may be taken; `model.fast = False` sets it for every part.
    """

    fast = True
    training: bool

    def may_be_fast(self, tokens: Tensor) -> bool:
        """Whether the faster way may be taken: inference that nobody records, casts or compiles.

        Args:
            tokens: What the module is called with.
        """
        if not self.fast or self.training or torch.is_grad_enabled():
            return False
        is_seen = (
            torch.compiler.is_compiling()
            or torch.onnx.is_in_onnx_export()
            or torch.jit.is_tracing()  # type: ignore[attr-defined]
        )
        return not is_seen and not is_cast(tokens)


def is_cast(tokens: Tensor) -> bool:
    """Whether autocast chooses the dtype of products on the device of some tokens."""
    kind = tokens.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def set_fast(model: nn.Module, *, fast: bool) -> None:
    """Switch the fast paths of every part of a model."""
    for module in model.modules():
        if isinstance(module, FastPath):
            module.fast = fast


def is_fast(model: nn.Module) -> bool:
    """Whether the fast paths of every part of a model are switched on."""
    return all(module.fast for module in model.modules() if isinstance(module, FastPath))


def is_watched(module: nn.Module) -> bool:
    """Whether somebody wants to see what parts of a module get and give, whole."""
    return any(_has_hooks(part) for part in module.modules())


def is_plain(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether calling a layer does no more than its class says, so that its weights may be read.

    An adapter, a quantised weight, a hook and a weight that is fetched when it is needed do more.

    Args:
        layer: The layer.
        kind: Class that it has to be of, not of a subclass.
    """
    has_own_weight = type(getattr(layer, "weight", None)) is nn.Parameter
    return type(layer) is kind and has_own_weight and not is_replaced(layer)


def is_replaced(module: nn.Module) -> bool:
    """Whether a call does more than the class says: hooks, or weights that come late."""
    return _has_hooks(module) or "forward" in vars(module)


def _has_hooks(module: nn.Module) -> bool:
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return any(not _sleeps(hook) for hook in hooks)


def _sleeps(hook: Callable[..., Any]) -> bool:
    """Whether a hook is transformers' own, which stay after a recording, and is at rest."""
    if getattr(hook, "__module__", "") != output_capturing.__name__:
        return False
    collector = getattr(output_capturing, "_active_collector", None)
    return collector is not None and not collector.get()  # what is to be recorded, if anything
