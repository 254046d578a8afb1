"""A linear layer and its activation in one pass over memory, where oneDNN is at hand.

On many CPUs oneDNN's product is quicker than the one that torch takes for float32, and it applies
the activation while the products are still in registers. Torch keeps this operator to itself, so it
is looked for, and tried once, before it is used.

Suffixes: c = channels; other dimensions are whatever the tokens have.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import GELUActivation

PLAIN, RELU, GELU = ("none", ""), ("relu", ""), ("gelu", "none")  # as the operator calls them
MIN_ROWS = 512  # below this, what it takes to call the operator is more than it saves
SAME_SUMS = 1e-3  # of values of order 1 in the trial; bfloat16 is off by more and checked against
ROUNDING = 2.0**-6  # four roundings of bfloat16 at values of order 1


def linear(
    layer: nn.Linear, tokens: Tensor, activation: nn.Module | None = None, *, fused: bool
) -> Tensor:
    """Apply a linear layer, then an activation.

    Args:
        layer: The layer.
        tokens: `(..., c in)`.
        activation: The activation.
        fused: Whether oneDNN may do both, as nothing is attached to either (`may_be_fast`); the
            modules are called otherwise.

    Returns:
        `(..., c out)`.
    """
    if not fused or not _can_fuse(layer, tokens):
        mapped = layer(tokens)
    elif activation is None or (kind := _name(activation)) is None:
        mapped = product(tokens, layer.weight, layer.bias)
    else:
        return product(tokens, layer.weight, layer.bias, kind)
    return mapped if activation is None else activation(mapped)


def product(
    tokens: Tensor, weight: Tensor, bias: Tensor | None = None, kind: tuple[str, str] = PLAIN
) -> Tensor:
    """Multiply by a matrix with oneDNN, where `has_fused_product`.

    Args:
        tokens: `(..., c in)`.
        weight: `(c out, c in)`.
        bias: Added, `(c out,)`.
        kind: What is applied to the sums: `PLAIN`, `RELU` or `GELU`.

    Returns:
        `(..., c out)`.
    """
    name, variant = kind
    fused: Tensor = torch.ops.mkldnn._linear_pointwise(tokens, weight, bias, name, [], variant)
    return fused


def _name(activation: nn.Module) -> tuple[str, str] | None:
    """What oneDNN calls an activation; None if it does not know it."""
    if type(activation) is nn.ReLU:
        return RELU
    is_exact = type(activation) is GELUActivation and activation.act is functional.gelu
    return GELU if is_exact else None


def _can_fuse(layer: nn.Linear, tokens: Tensor) -> bool:
    """Whether the product is large enough, and one that oneDNN can be asked for."""
    return (
        type(layer) is nn.Linear
        and layer.weight.dtype == tokens.dtype
        and tokens.numel() >= MIN_ROWS * tokens.shape[-1]
        and has_fused_product(tokens)
    )


def has_fused_product(tokens: Tensor) -> bool:
    """Whether oneDNN's product can be used for these tokens: on the CPU, in the right dtype."""
    return tokens.is_cpu and bool(torch.backends.mkldnn.enabled) and _works(tokens.dtype)


@lru_cache(maxsize=4)
def _works(dtype: torch.dtype) -> bool:
    """Try the operator once on a small product."""
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
        (one.float() - other.float()).abs().max().item() <= tolerance
        for one, other in zip(found, wanted, strict=True)
    )
