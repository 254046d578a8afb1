"""Products of half-precision tensors on CPUs that have no instructions for them.

Such a CPU multiplies bfloat16 about ten times, and convolves it hundreds of times slower than
float32. [`Float32Products`] converts the operands, multiplies in float32 and rounds the result,
which is what the instructions do in one step. All else stays in half precision.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import lru_cache
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

HALVES = (torch.bfloat16, torch.float16)
SIDE, ROWS = 512, 256  # of the timed products; milliseconds each
TRIALS = 4  # the first is a warm-up
CLEARLY = 1.2  # a conversion takes a little time, too

aten = torch.ops.aten
PRODUCTS = {
    aten.addmm,
    aten.baddbmm,
    aten.bmm,
    aten.conv2d,
    aten.conv_transpose2d,
    aten.convolution,
    aten.einsum,
    aten.linear,
    aten.matmul,
    aten.mm,
    aten.scaled_dot_product_attention,
    aten._scaled_dot_product_flash_attention_for_cpu,
    torch.ops.mkldnn._linear_pointwise,
}

# Whether products of half-precision tensors are computed in float32; per thread.
products_in_float32: ContextVar[bool] = ContextVar("products_in_float32", default=False)


class Float32Products(TorchDispatchMode):
    """Context in which this thread's products of half-precision tensors are computed in float32."""

    def __enter__(self) -> Self:
        """Begin."""
        self._token = products_in_float32.set(True)
        return super().__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End."""
        super().__exit__(kind, error, trace)
        products_in_float32.reset(self._token)

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the operator returns
        """Run an operator."""
        options = kwargs or {}
        if func.overloadpacket not in PRODUCTS:
            return func(*args, **options)
        halves: list[torch.dtype] = []

        def widened(value: Any) -> Any:  # noqa: ANN401 - an argument of any kind
            if isinstance(value, (list, tuple)):
                return [widened(item) for item in value]
            if not isinstance(value, Tensor) or value.dtype not in HALVES:
                return value
            halves.append(value.dtype)
            return value.float()

        wide = [widened(value) for value in args]
        wide_options = {name: widened(value) for name, value in options.items()}
        found = func(*wide, **wide_options)
        if not halves:
            return found
        if isinstance(found, tuple):  # attention and the logarithm of its sums, always float32
            return (found[0].to(halves[0]), *found[1:])
        return found.to(halves[0])


def needs_float32_products(weight: Tensor) -> bool:
    """Whether this thread should change to [`Float32Products`] for a half-precision weight."""
    return weight.is_cpu and not products_in_float32.get() and is_widened(weight.dtype)


def is_widened(dtype: torch.dtype) -> bool:
    """Whether this CPU's products of a type are computed in float32."""
    return dtype in HALVES and is_slow(dtype)


@lru_cache(maxsize=len(HALVES))
def is_slow(dtype: torch.dtype) -> bool:
    """Whether this CPU multiplies a type clearly slower than float32; measured once."""
    return product_speed(dtype, torch.device("cpu")) * CLEARLY < 1


def product_speed(dtype: torch.dtype, device: torch.device) -> float:
    """Measure the speedup of a matrix product over one in float32.

    On a CPU with instructions for bfloat16 it is about 2, without them below 0.2.

    Args:
        dtype: Type of the factors.
        device: The device; only useful for a CPU.
    """
    return _seconds(torch.float32, device) / _seconds(dtype, device)


def _seconds(dtype: torch.dtype, device: torch.device) -> float:
    left = torch.ones(ROWS, SIDE, dtype=dtype, device=device)
    right = torch.ones(SIDE, SIDE, dtype=dtype, device=device)
    return min([_timed(lambda: left @ right) for _ in range(TRIALS)][1:])


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
