"""CPU kernels: fast products, bands of rows, tiled attention.

On many CPUs oneDNN's product is faster than torch's default for float32, and it fuses the
activation. The operator is private to torch, so it is looked up and tried once before use. With
AVX2, torch's default, MKL, is faster by a tenth, and its product and a GELU by a third.
[`linear`] applies the faster one to a layer, [`product`] to any matrix.

[`in_bands`] processes a grid a few rows at a time, so that intermediates stay in the cache.

[`attend_in_tiles`] is attention of one head for values of any width. One product makes a tile of
scores, which becomes weights in place and feeds the next product; the running maximum and sum of a
query correct earlier tiles, which is exactly softmax. Torch's own attention does the same but needs
values as wide as keys; memories are a quarter as wide.

Suffixes: b = images, h, w = rows and columns, q = queries, k = keys, c = channels (of queries and
keys), v = channels of values; other dimensions are those of the tokens.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from itertools import chain
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation

from .fast_paths import FastPath
from .half_products import INSTRUCTIONS, STATE
from .int8_linear import PLAIN, Int8Linear

RELU, GELU = ("relu", ""), ("gelu", "none")  # the operator's names, as PLAIN
IN_PLACE: dict[tuple[str, str], Callable[[Tensor], Tensor]] = {
    RELU: torch.relu_,
    GELU: torch.ops.aten.gelu_,
}
# By CPU (or ATEN_CPU_CAPABILITY), not measured, so that each process gets the same sums.
PREFERS_MKL = torch.backends.mkl.is_available() and (
    torch.backends.cpu.get_cpu_capability() == "AVX2"
)
MIN_ROWS = 512  # below this, the call costs more than it saves
SAME_SUMS = 1e-3  # tolerance for values of order 1 in the trial; bfloat16 is checked against
ROUNDING = 2.0**-6  # four roundings of bfloat16 at values of order 1
CELLS_AT_ONCE = 4096  # at 96 to 384 channels the MLP's hidden layer takes 6 to 25 MB in float32
QUERIES_AT_ONCE = 512
KEYS_AT_ONCE = 512  # a tile is 1 MB in float32, and so are its keys at 256 channels
# Weights of 2 ** -115 = 2e-35 of the largest change no float32 sum. Below 2 ** -126 they would be
# denormals, on which a CPU is many times slower.
LEAST_SCORE = -115.0
LOG2_E = math.log2(math.e)  # exp(x) is 2 ** (x * LOG2_E); torch's `exp2` is 2.6 times faster


def may_fuse(module: FastPath, tokens: Tensor, parts: tuple[nn.Module, ...] = ()) -> bool:
    """Whether `linear` may replace linear layers, and there are enough tokens to gain.

    Args:
        module: The module that owns the layers.
        tokens: Input of the first, `(..., c)`.
        parts: The layers and their activation; all of the module by default.
    """
    # a graph that compares sizes would be specialized to them
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return False
    return (
        tokens.numel() >= MIN_ROWS * tokens.shape[-1]
        and module.may_be_fast(tokens, parts=parts)
        and tokens.is_cpu
        and bool(torch.backends.mkldnn.enabled)
        and _works(tokens.dtype, STATE.in_float32)
    )


def linear(layer: nn.Module, tokens: Tensor, activation: nn.Module | None = None) -> Tensor:
    """Apply a linear layer and an activation the fastest way, where `may_fuse`.

    Args:
        layer: The layer; simply called if it is of another kind or has too few tokens.
        tokens: `(..., c in)`.
        activation: The activation; called if it cannot be fused.

    Returns:
        `(..., c out)`.
    """
    is_large = tokens.numel() >= MIN_ROWS * tokens.shape[-1]
    is_float = type(layer) is nn.Linear and layer.weight.dtype == tokens.dtype
    if not is_large or not (is_float or type(layer) is Int8Linear):
        mapped: Tensor = layer(tokens)
        return mapped if activation is None else activation(mapped)
    kind = PLAIN
    if activation is not None and type(activation) is nn.ReLU:
        kind = RELU
    elif activation is not None and type(activation) is GELUActivation:
        kind = GELU if activation.act is functional.gelu else PLAIN
    if is_float and PREFERS_MKL:  # inlined `product`: saves a call per layer
        weight, bias = cast(nn.Linear, layer).weight, cast(nn.Linear, layer).bias
        mapped = functional.linear(tokens, weight, bias)
        if kind in IN_PLACE:
            IN_PLACE[kind](mapped)
    elif is_float:
        mapped = torch.ops.mkldnn._linear_pointwise(
            tokens, layer.weight, layer.bias, kind[0], [], kind[1]
        )
    else:
        mapped = layer(tokens, kind)
    return mapped if activation is None or kind != PLAIN else activation(mapped)


def product(
    tokens: Tensor, weight: Tensor, bias: Tensor | None = None, kind: tuple[str, str] = PLAIN
) -> Tensor:
    """Multiply by a matrix the fastest way, where `has_fused_product`.

    Args:
        tokens: `(..., c in)`.
        weight: `(c out, c in)`.
        bias: Added, `(c out,)`.
        kind: Fused activation: `PLAIN`, `RELU` or `GELU`.

    Returns:
        `(..., c out)`.
    """
    if PREFERS_MKL:
        mapped = functional.linear(tokens, weight, bias)
        return IN_PLACE[kind](mapped) if kind in IN_PLACE else mapped
    name, variant = kind
    fused: Tensor = torch.ops.mkldnn._linear_pointwise(tokens, weight, bias, name, [], variant)
    return fused


def has_fused_product(tokens: Tensor) -> bool:
    """Whether `product` can be used for these tokens: on the CPU, in the right dtype."""
    return (
        tokens.is_cpu
        and bool(torch.backends.mkldnn.enabled)
        and _works(tokens.dtype, STATE.in_float32)
    )


@lru_cache(maxsize=8)
def _works(dtype: torch.dtype, halves_in_float32: bool) -> bool:  # noqa: FBT001 - read often
    """Try the operator once on a small product."""
    if halves_in_float32 and dtype in INSTRUCTIONS:
        dtype = torch.float32
    if PREFERS_MKL:
        return dtype == torch.float32
    if dtype not in (torch.float32, torch.bfloat16) or not torch.backends.mkldnn.is_available():
        return False
    with torch.inference_mode():
        tokens = torch.linspace(-1, 1, 128, dtype=dtype, device="cpu").reshape(8, 16)
        weight, bias = tokens.flip(0) / 2, torch.zeros(8, dtype=dtype, device="cpu")
        try:
            found = [product(tokens, weight, bias, kind) for kind in (PLAIN, RELU, GELU)]
        except (AttributeError, RuntimeError, TypeError):  # another torch, or a CPU without it
            return False
        mapped = functional.linear(tokens, weight, bias)
        wanted = [mapped, functional.relu(mapped), functional.gelu(mapped)]
    tolerance = SAME_SUMS if dtype == torch.float32 else ROUNDING
    return all(
        (result.float() - other.float()).abs().max().item() <= tolerance
        for result, other in zip(found, wanted, strict=True)
    )


def needs_bands(grid_bhwc: Tensor, multiple: int = 1) -> bool:
    """Whether a grid is too large to process at once; arguments as of `in_bands`."""
    # a graph that compares sizes would be specialized to them
    if torch.compiler.is_compiling() or torch.jit.is_tracing():  # type: ignore[attr-defined]
        return False
    batch, height, width = grid_bhwc.shape[:3]
    rows = max(multiple, CELLS_AT_ONCE // width // multiple * multiple)
    return height > rows or batch > max(1, CELLS_AT_ONCE // (height * width))


def in_bands(work: Callable[[Tensor], Tensor], grid_bhwc: Tensor, multiple: int = 1) -> Tensor:
    """Apply `work` to bands of rows and join the results.

    Args:
        work: Maps a grid to a grid; bands must be independent, and rows stay in order, possibly
            fewer.
        grid_bhwc: The grid, any batch.
        multiple: A band has a multiple of this many rows.

    Returns:
        What `work(grid_bhwc)` returns, up to the order of summation.
    """
    height, width = grid_bhwc.shape[1:3]
    rows = max(multiple, CELLS_AT_ONCE // width // multiple * multiple)
    if height <= rows:  # small grids at once
        together = max(1, CELLS_AT_ONCE // (height * width))
        return torch.cat([work(images_bhwc) for images_bhwc in grid_bhwc.split(together)])
    images = [_one_image(work, image_1hwc, rows) for image_1hwc in grid_bhwc.split(1)]
    return images[0] if len(images) == 1 else torch.cat(images)


def _one_image(work: Callable[[Tensor], Tensor], image_1hwc: Tensor, rows: int) -> Tensor:
    """Write the bands of one image into the result, so that none is kept."""
    first, *others = image_1hwc.split(rows, dim=1)
    done_1hwc = work(first)
    if not others:
        return done_1hwc
    height = image_1hwc.shape[1] * done_1hwc.shape[1] // rows
    joined_1hwc = done_1hwc.new_empty((1, height, *done_1hwc.shape[2:]))
    begin = 0
    for band_1hwc in chain((done_1hwc,), map(work, others)):
        joined_1hwc[:, begin : begin + band_1hwc.shape[1]] = band_1hwc
        begin += band_1hwc.shape[1]
    return joined_1hwc


def attend_in_tiles(query_qc: Tensor, key_kc: Tensor, value_kv: Tensor) -> Tensor:
    """Attend: `softmax(query @ key.T) @ value`, computed in float32.

    Args:
        query_qc: Queries, already scaled.
        key_kc: Keys.
        value_kv: Values, at least one.

    Returns:
        `(q, v)`, in the dtype of the values.
    """
    query_qc, key_kc = query_qc.float() * LOG2_E, key_kc.float()
    keys = key_kc.split(KEYS_AT_ONCE)
    # products take their right side transposed
    values = [tile_kv.float().T.contiguous() for tile_kv in value_kv.split(KEYS_AT_ONCE)]
    found = [_attend_rows(rows_qc, keys, values) for rows_qc in query_qc.split(QUERIES_AT_ONCE)]
    return torch.cat(found).to(value_kv.dtype)


def _attend_rows(query_qc: Tensor, keys: tuple[Tensor, ...], values: list[Tensor]) -> Tensor:
    """Attend from some queries to all keys, `(q, v)`."""
    maximum_q1, total_q1, found_qv = _attend_tile(query_qc, keys[0], values[0], None)
    for key_kc, value_vk in zip(keys[1:], values[1:], strict=True):
        before_q1 = maximum_q1
        maximum_q1, sum_q1, of_tile_qv = _attend_tile(query_qc, key_kc, value_vk, before_q1)
        share_q1 = before_q1.sub_(maximum_q1).exp2_()
        total_q1 = sum_q1.addcmul_(total_q1, share_q1)
        found_qv = of_tile_qv.addcmul_(found_qv, share_q1)
    return found_qv.div_(total_q1)


def _attend_tile(
    query_qc: Tensor, key_kc: Tensor, value_vk: Tensor, before_q1: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Weigh the values of a tile.

    Returns:
        The largest score so far, the sum of the weights, the weighted sums.
    """
    scores_qk = product(query_qc, key_kc)
    maximum_q1 = scores_qk.amax(dim=-1, keepdim=True)
    if before_q1 is not None:
        maximum_q1 = torch.maximum(before_q1, maximum_q1)
    weights_qk = scores_qk.sub_(maximum_q1).clamp_(min=LEAST_SCORE).exp2_()
    # not a channel of ones: a product of 64 channels is a quarter faster than one of 65
    return maximum_q1, weights_qk.sum(dim=-1, keepdim=True), product(weights_qk, value_vk)
