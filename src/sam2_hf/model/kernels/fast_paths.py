"""Conditions for fast inference paths, and caches of tensors derived from weights.

Each fast path accompanies a plain module that can be read, trained and compiled, and equals it up
to the order of summation. It reads weights instead of calling the layers that own them, so it is
taken only where those layers are unmodified.

The large parts of a model decide once per pass for all modules below them ([`decides_fast_paths`]).
If any of these has a hook, an adapter or an unknown class, code may run between two layers, so
every module decides for itself, as it does when called alone, in training and in a trace.

[`WeightCache`] caches a tensor derived from weights until their values change, [`constant_table`]
one derived from sizes.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from functools import lru_cache, wraps
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook
from transformers.activations import GELUActivation
from transformers.utils import output_capturing

from .half_products import INSTRUCTIONS, STATE, Float32Products, is_upcast

# Layers that fast paths know, with the forward pass of each class, which may be monkeypatched
# later. Our own classes are added as they are defined.
_KNOWN_FORWARDS: dict[type, Any] = {
    kind: kind.forward
    for kind in (
        nn.Linear,
        nn.Conv2d,
        nn.ConvTranspose2d,
        nn.LayerNorm,
        nn.Embedding,
        nn.Dropout,
        nn.ModuleList,
        nn.ModuleDict,
        nn.ReLU,
        nn.GELU,
        nn.SiLU,
        GELUActivation,
    )
}
# this room's parent, or the folder that holds all files when the model comes with its code
OWN_PACKAGE = __name__.rpartition(".")[0].removesuffix(".kernels") + "."
_ORDINARY_WEIGHTS = {nn.Parameter, type(None)}
_ORDINARY_TENSORS = {nn.Parameter, Tensor}
_NOTHING: frozenset[nn.Module] = frozenset()

# Modules below the running part, if each of them may be fast; per thread.
_decided: ContextVar[frozenset[nn.Module]] = ContextVar("_decided", default=_NOTHING)

Kind = TypeVar("Kind", bound=type[nn.Module])
Forward = TypeVar("Forward", bound=Callable[..., Any])


def known_module(kind: Kind) -> Kind:
    """Register the forward pass of one of our modules; a class decorator."""
    _KNOWN_FORWARDS[kind] = kind.forward
    return kind


class FastPath:
    """Mixin for modules with a fast path; `fast` switches it off.

    Attributes:
        fast: Whether the fast path may be taken; `model.fast = False` sets it for every part.
    """

    fast = True
    training: bool

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Register the forward pass of the subclass."""
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith(OWN_PACKAGE):
            _KNOWN_FORWARDS[cls] = vars(cls).get("forward")

    def may_be_fast(self, *tokens: Tensor | None, parts: tuple[nn.Module, ...] = ()) -> bool:
        """Whether the fast path may be taken: `may_read_weights`, and nothing is traced.

        Args:
            *tokens: Inputs of the module, the most important first.
            parts: Modules that the fast path does not call as a whole; all of this one by default.
        """
        read = parts or (cast(nn.Module, self),)
        if not torch.compiler.is_compiling() and _decided.get().issuperset(read):
            return True
        return not is_traced() and self.may_read_weights(*tokens, parts=read)

    def may_read_weights(self, *tokens: Tensor | None, parts: tuple[nn.Module, ...] = ()) -> bool:
        """Whether weights may be read instead of calling layers, also while compiling.

        True in inference without autocast or gradients, with unmodified `parts`.

        Args:
            *tokens: As in `may_be_fast`.
            parts: As in `may_be_fast`.
        """
        read = parts or (cast(nn.Module, self),)
        if not torch.compiler.is_compiling() and _decided.get().issuperset(read):
            return True
        if not self.fast or self.training or is_autocast_enabled(tokens[0]):
            return False
        return not _requires_gradient(tokens, read) and is_unmodified(*read)


def decides_fast_paths(forward: Forward) -> Forward:
    """Decide on fast paths once before a forward pass, for all modules below.

    Only our code runs between these modules then, so the decision holds for the pass. Nothing is
    decided under tracing, autograd or autocast. In `eval()`, products of half-precision weights are
    computed in float32 where the CPU is slow otherwise.

    Args:
        forward: A method of a module, or a function whose first argument is one.
    """

    @wraps(forward)
    def decided_forward(module: nn.Module, /, *args: Any, **kwargs: Any) -> object:
        if is_traced():
            return forward(module, *args, **kwargs)
        weight = next(module.parameters(), None)
        if weight is not None and weight.dtype in INSTRUCTIONS and needs_float32(module, weight):
            with Float32Products():
                return decided_forward(module, *args, **kwargs)
        if torch.is_grad_enabled() or torch._C._is_any_autocast_enabled():
            return forward(module, *args, **kwargs)
        decided = _decided.get()
        if decided and decided.issuperset(module._modules.values()):  # by the caller
            return forward(module, *args, **kwargs)
        is_ready = not module.training and (not isinstance(module, FastPath) or module.fast)
        parts = _walk_unmodified(module._modules.values(), ready=True) if is_ready else None
        token = _decided.set(_NOTHING if parts is None else frozenset(parts))
        try:
            return forward(module, *args, **kwargs)
        finally:
            _decided.reset(token)

    return cast(Forward, decided_forward)


def fast_products(module: nn.Module) -> AbstractContextManager[object]:
    """Compute the products of a module in float32 where half precision is slow.

    For modules whose forward pass is not ours; `decides_fast_paths` does it for ours.

    Args:
        module: The module, whose forward pass runs in the context.
    """
    weight = next(module.parameters(), None)
    if weight is None or is_traced() or not needs_float32(module, weight):
        return nullcontext()
    return Float32Products()


def needs_float32(module: nn.Module, weight: Tensor) -> bool:
    """Whether this thread should change to [`Float32Products`] for a module.

    Compiled parts would not run compiled below a dispatch mode, so a module with one stays as it
    is.

    Args:
        module: The module.
        weight: Its first weight.
    """
    if STATE.in_float32 or module.training or not weight.is_cpu or not is_upcast(weight.dtype):
        return False
    return not any(
        part._compiled_call_impl is not None or "_orig_mod" in part._modules
        for part in module.modules()
    )


def is_decided(module: nn.Module) -> bool:
    """Whether the running pass has decided on fast paths, so only our code sees its tensors."""
    return module in _decided.get()


def is_autocast_enabled(tokens: Tensor | None) -> bool:
    """Whether autocast is on for the device of some tokens."""
    if tokens is None:
        return False
    kind = tokens.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def is_traced() -> bool:
    """Whether operations are traced into a graph or transformed by `torch.func`."""
    return (
        torch.compiler.is_compiling()
        or torch.onnx.is_in_onnx_export()
        or torch.jit.is_tracing()  # type: ignore[attr-defined]
        or torch._C._functorch.peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )


def set_fast(model: nn.Module, *, fast: bool) -> None:
    """Switch the fast paths of every part of a model."""
    for module in model.modules():
        if isinstance(module, FastPath):
            module.fast = fast


def is_fast(model: nn.Module) -> bool:
    """Whether the fast paths of every part of a model are switched on."""
    return all(module.fast for module in model.modules() if isinstance(module, FastPath))


def is_unmodified(*modules: nn.Module) -> bool:
    """Whether modules and all their parts are exactly what their classes define.

    Modules with hooks, adapters, wrappers, a replaced forward pass, in-place compilation, or
    quantized, parametrized or swapped weights are not; they have to be called as a whole.
    """
    return _walk_unmodified(modules) is not None


def _walk_unmodified(
    modules: Iterable[nn.Module | None], *, ready: bool = False
) -> list[nn.Module] | None:
    """List modules and all their parts.

    Args:
        modules: The modules.
        ready: Whether they must also be in `eval()`, with fast paths switched on.

    Returns:
        None if one of them is modified, see `is_unmodified`, or not ready.
    """
    if _has_any_global_hook():
        return None
    # one loop without calls: it visits each module of a model for each frame
    waiting: list[nn.Module | None] = [*modules]
    seen: list[nn.Module] = []
    while waiting:
        part = waiting.pop()
        if part is None:  # not `bool(part)`, which may call `__len__`
            continue
        kind = type(part)
        if (
            _KNOWN_FORWARDS.get(kind) is not kind.forward
            or "forward" in part.__dict__
            or part._compiled_call_impl is not None
            or ((part._forward_hooks or part._forward_pre_hooks) and has_active_hooks(part))
            or not _ORDINARY_WEIGHTS.issuperset(map(type, part._parameters.values()))
        ):
            return None
        if ready and (part.training or (isinstance(part, FastPath) and not part.fast)):
            return None
        seen.append(part)
        waiting.extend(part._modules.values())
    return seen


def is_bare(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether a module itself is unmodified, so that a method of its class may replace a call.

    Its parts may be modified; that method calls them.

    Args:
        module: The module.
        kind: Its exact class, not a subclass.
    """
    if type(module) is not kind:
        return False
    if not torch.compiler.is_compiling() and module in _decided.get():
        return True
    return (
        _KNOWN_FORWARDS.get(kind, kind.forward) is kind.forward
        and "forward" not in module.__dict__
        and module._compiled_call_impl is None
        and not ((module._forward_hooks or module._forward_pre_hooks) and has_active_hooks(module))
        and not _has_any_global_hook()
    )


def are_linear(*layers: nn.Module) -> bool:
    """Whether layers are exactly `nn.Linear`, not a subclass."""
    if {*map(type, layers)} != {nn.Linear}:
        return False
    return type(None) not in map(type, map(attrgetter("bias"), layers))


def _requires_gradient(tokens: Iterable[Tensor | None], parts: Iterable[nn.Module]) -> bool:
    """Whether autograd would record operations on tokens and weights."""
    if not torch.is_grad_enabled():
        return False
    if any(values is not None and values.requires_grad for values in tokens):
        return True
    return any(weight.requires_grad for part in parts for weight in part.parameters())


def has_active_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks other than idle ones of transformers."""
    hooks = (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    return not all(map(is_idle_capture_hook, hooks))


def is_idle_capture_hook(hook: Callable[..., Any]) -> bool:
    """Whether a hook is one that transformers leaves after recording outputs, and is idle."""
    if getattr(hook, "__module__", "") != output_capturing.__name__:
        return False
    collector = getattr(output_capturing, "_active_collector", None)
    return collector is not None and not collector.get()  # outputs to record, if any


class _Kept(NamedTuple):
    """A cached tensor and its inputs."""

    key: tuple[Any, ...]
    weights: tuple[Tensor, ...]
    value: Tensor


class WeightCache:
    """Cache of one tensor that is computed from weights and a key (a size, a dtype).

    It is recomputed as soon as any weight value changes: values are compared, which takes
    microseconds for the few thousand that these weights have. Version counters would miss writes
    through `parameter.data`. Nothing is cached while gradients are recorded, so training never
    reads the cache, or on devices other than the CPU, where a comparison would synchronize. Copies
    and pickles of a model start with an empty cache.
    """

    def __init__(self) -> None:
        # replaced as a whole, so that threads that share a model see a consistent entry
        self._kept: _Kept | None = None

    def get(
        self, weights: tuple[Tensor, ...], key: tuple[Any, ...], compute: Callable[[], Tensor]
    ) -> Tensor:
        """Return `compute()`, or its earlier result if neither `weights` nor `key` changed since.

        Args:
            weights: Every tensor that `compute` reads.
            key: Everything else that it depends on.
            compute: Computes the tensor; called without recording gradients when the result is
                cached.
        """
        if is_traced() or not _can_be_compared(weights):
            return compute()
        kept = self._kept
        key = (*key, *map(attrgetter("dtype"), weights))
        if kept is None or kept.key != key or not all(map(torch.equal, kept.weights, weights)):
            # A tensor made in inference mode could not be used in training later.
            with torch.inference_mode(mode=False), torch.no_grad():
                # copied first: a write in between is then noticed on the next call
                copies = tuple([weight.detach().clone() for weight in weights])
                kept = _Kept(key, copies, compute())
            self._kept = kept
        return kept.value

    def __deepcopy__(self, memo: dict[int, Any]) -> "WeightCache":
        return WeightCache()

    def __reduce__(self) -> tuple[type["WeightCache"], tuple[()]]:
        return WeightCache, ()


def _can_be_compared(weights: tuple[Tensor, ...]) -> bool:
    """Whether weights are plain CPU tensors that record no gradients."""
    return (
        _ORDINARY_TENSORS.issuperset(map(type, weights))
        and all(map(attrgetter("is_cpu"), weights))
        and not (torch.is_grad_enabled() and any(map(attrgetter("requires_grad"), weights)))
    )


Make = TypeVar("Make", bound=Callable[..., object])


def constant_table(kept: int) -> Callable[[Make], Make]:
    """Cache a function's results for its latest arguments, all hashable.

    The table is an ordinary tensor even if the first caller is in inference mode, so that training
    may use it later.

    Args:
        kept: Number of cached results.
    """

    def decorate(make: Make) -> Make:
        @lru_cache(maxsize=kept)
        def kept_table(*args: object) -> object:
            with torch.inference_mode(mode=False), torch.no_grad():
                return make(*args)

        @wraps(make)
        def table(*args: object) -> object:
            # a compiler bypasses the cache and traces the table into its graph
            return make(*args) if torch.compiler.is_compiling() else kept_table(*args)

        # the interface of `lru_cache`, for counting and clearing
        vars(table).update(cache_info=kept_table.cache_info, cache_clear=kept_table.cache_clear)
        return cast(Make, table)

    return decorate
