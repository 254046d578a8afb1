"""Products of half-precision tensors on CPUs that have no instructions for them.

Such a CPU multiplies bfloat16 and float16 ten times, and convolves them hundreds of times slower
than float32. [`Float32Products`] converts the operands, multiplies in float32 and rounds the
result, which is what the instructions do in one step. All else stays in half precision. Weights are
converted again in every pass: that takes a hundredth of it, and copies would need three times the
memory. `model.fast` does not change this, since the results are those of the instructions.
"""

import threading
from functools import lru_cache
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

INSTRUCTIONS = {
    torch.bfloat16: ("avx512_bf16", "amx_bf16"),
    torch.float16: ("avx512_fp16", "amx_fp16"),
}
_NAMES = {
    "aten": (
        *("addmm", "baddbmm", "bmm", "einsum", "linear", "matmul", "mm"),
        *("conv2d", "conv_transpose2d", "convolution"),
        *("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu"),
    ),
    "mkldnn": ("_linear_pointwise",),  # only in builds with oneDNN
}
PRODUCTS = {
    getattr(getattr(torch.ops, space), name)
    for space, names in _NAMES.items()
    for name in names
    if hasattr(getattr(torch.ops, space), name)
}


class _State(threading.local):
    """Of one thread."""

    in_float32 = False


# Its `in_float32`: whether this thread computes products of half-precision tensors in float32.
STATE = _State()


class Float32Products(TorchDispatchMode):
    """Context in which this thread's products of half-precision tensors are computed in float32.

    Only the forward pass: a backward pass runs later, outside the context.
    """

    def __enter__(self) -> Self:
        """Switch this thread over."""
        self._before, STATE.in_float32 = STATE.in_float32, True
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        """Switch this thread back."""
        super().__exit__(*error)
        STATE.in_float32 = self._before

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - an operator of torch
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - what the operator returns
        """Call an operator; a product with float32 operands."""
        options = kwargs or {}
        half = None if "out" in options else _common_half(func, (*args, *options.values()))
        if half is None:
            return func(*args, **options)
        upcast = {name: _upcast(value) for name, value in options.items()}
        found = func(*map(_upcast, args), **upcast)
        if isinstance(found, tuple):  # attention and the logarithm of its sums, always float32
            return (found[0].to(half), *found[1:])
        return found.to(half)


def _common_half(func: Any, values: tuple[Any, ...]) -> torch.dtype | None:  # noqa: ANN401
    """Return the half-precision type of all operands of a product on the CPU; None for others."""
    if func.overloadpacket not in PRODUCTS:
        return None
    lists = [value if isinstance(value, (list, tuple)) else (value,) for value in values]
    tensors = [value for one in lists for value in one if isinstance(value, Tensor)]
    dtypes = {tensor.dtype for tensor in tensors}
    if len(dtypes) != 1 or not all(tensor.is_cpu for tensor in tensors):
        return None  # of several types: torch says what is wrong
    dtype = dtypes.pop()
    return dtype if dtype in INSTRUCTIONS else None


def _upcast(value: Any) -> Any:  # noqa: ANN401 - an argument of an operator
    if isinstance(value, (list, tuple)):
        return [_upcast(item) for item in value]
    return value.float() if isinstance(value, Tensor) else value


@lru_cache(maxsize=len(INSTRUCTIONS))
def is_upcast(dtype: torch.dtype) -> bool:
    """Whether this CPU's products of a type are computed in float32.

    It depends on the CPU alone and is not measured, so that each process gets the same bits. CPUs
    of other makers than Intel and AMD are left to torch.
    """
    read = getattr(torch.cpu, "get_capabilities", None)  # not in our oldest torch
    capabilities = {} if read is None else read()
    if dtype not in INSTRUCTIONS or capabilities.get("architecture") != "x86_64":
        return False
    return not any(capabilities.get(name) for name in INSTRUCTIONS[dtype])
