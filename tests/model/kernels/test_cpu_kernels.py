"""The parts that faster ways are made of: fused layers, bands, tiles."""

import pytest
import torch
from peers import largest_difference
from torch import nn
from torch.nn import functional
from transformers.activations import ACT2FN

from sam2_hf.model.kernels import cpu_kernels
from sam2_hf.model.kernels.cpu_kernels import (
    GELU,
    PLAIN,
    RELU,
    attend_in_tiles,
    has_fused_product,
    in_bands,
    linear,
    product,
)
from sam2_hf.model.layers import FeedForward

RELATIVE = 1e-5  # of the largest value: float32, summed in another order
ONE_NUMBER = torch.zeros(1)
needs_onednn = pytest.mark.skipif(
    not has_fused_product(ONE_NUMBER), reason="this torch or CPU has no product by oneDNN"
)


def close(fast, plain, relative=RELATIVE):
    """Whether two tensors are equal up to the order of summation."""
    return largest_difference(fast, plain) <= relative * plain.abs().max().item()


@pytest.fixture(params=[True, False], ids=["MKL", "oneDNN"])
def library(request, monkeypatch):
    """The library that multiplies, whichever this CPU prefers."""
    monkeypatch.setattr(cpu_kernels, "PREFERS_MKL", request.param)


@torch.no_grad()
def test_a_layer_whose_forward_pass_was_replaced_is_called(generator, small_steps):
    layers = FeedForward((4, 4, 4), num_layers=2).eval()
    tokens = torch.randn(3, 4, generator=generator)
    layers.proj_out.forward = lambda tokens: torch.ones_like(tokens)

    assert torch.equal(layers(tokens), torch.ones_like(tokens))


@needs_onednn
@torch.no_grad()
@pytest.mark.parametrize("activation", [None, nn.ReLU(), ACT2FN["gelu"], nn.Tanh()], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_a_fused_layer_is_the_layer_and_its_activation(
    activation, bias, generator, small_steps, library
):
    layer = nn.Linear(24, 40, bias=bias)
    tokens = torch.randn(2, 5, 3, 24, generator=generator)

    found = linear(layer, tokens, activation)

    mapped = layer(tokens)
    assert close(found, mapped if activation is None else activation(mapped))


@needs_onednn
@torch.no_grad()
@pytest.mark.parametrize("kind", [PLAIN, RELU, GELU], ids=str)
@pytest.mark.parametrize("bias", [True, False])
def test_any_matrix_is_multiplied(kind, bias, generator, library):
    tokens = torch.randn(2, 5, 24, generator=generator)
    weight = torch.randn(40, 24, generator=generator)
    offset = torch.randn(40, generator=generator) if bias else None

    found = product(tokens, weight, offset, kind)

    activation = {PLAIN: torch.clone, RELU: torch.relu, GELU: functional.gelu}[kind]
    assert close(found, activation(functional.linear(tokens, weight, offset)))


@needs_onednn
@pytest.mark.parametrize("sizes", [(5, 7), (6, 8), (1, 1), (23, 40)])
@pytest.mark.parametrize("strength", [1.0, 30.0], ids=["even", "peaked"])
def test_tiles_are_softmax_attention(sizes, strength, generator, small_steps, library):
    """Peaked scores reach hundreds, and the largest of a query may lie in any tile."""
    queries, keys = sizes
    query = torch.randn(queries, 16, generator=generator) * strength
    key = torch.randn(keys, 16, generator=generator)
    value = torch.randn(keys, 3, generator=generator)

    found = attend_in_tiles(query, key, value)

    expected = functional.scaled_dot_product_attention(
        query[None].double(), key[None].double(), value[None].double(), scale=1.0
    )[0]
    assert largest_difference(found, expected) <= (1e-4 if strength > 1 else RELATIVE)


@needs_onednn
def test_tiles_of_bfloat16_are_as_exact_as_their_values(generator, small_steps):
    query, key, value = (torch.randn(20, 16, generator=generator).bfloat16() for _ in range(3))

    found = attend_in_tiles(query, key, value)

    expected = attend_in_tiles(query.float(), key.float(), value.float())
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())


def test_the_operator_is_tried_on_the_cpu_whatever_the_default_device(own_model, pictures):
    cpu_kernels._works.cache_clear()

    with torch.device("meta"):
        works = has_fused_product(ONE_NUMBER)
    cpu_kernels._works.cache_clear()

    assert works == has_fused_product(ONE_NUMBER)


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_small_grids_are_worked_through_together(batch, generator, small_steps):
    grid = torch.randn(batch, 2, 4, 3, generator=generator)
    batches = []

    joined = in_bands(lambda part: batches.append(len(part)) or part * 2, grid)

    assert torch.equal(joined, grid * 2)
    assert max(batches) <= 2


@pytest.mark.parametrize("rows", [12, 13, 14])
@pytest.mark.parametrize("multiple", [1, 4])
def test_bands_are_joined_in_order_whatever_is_left(rows, multiple, generator, small_steps):
    grid = torch.randn(2, rows, 6, 3, generator=generator)
    heights = []

    def work(band):
        heights.append(band.shape[1])
        return band * 2

    joined = in_bands(work, grid, multiple)

    assert torch.equal(joined, grid * 2)
    assert all(height % multiple == 0 for height in heights[: len(heights) // 2 - 1])
    assert max(heights) < rows
