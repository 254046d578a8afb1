"""Layers in 8 bits: close to the layer they were made of, exact where numbers are whole."""

import copy
import math
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers.activations import GELUActivation

from sam2_hf import CheckpointError
from sam2_hf.model.kernels import int8_linear
from sam2_hf.model.kernels.cpu_kernels import GELU, RELU, linear
from sam2_hf.model.kernels.int8_linear import Int8Linear, require_int8_product

needs_vnni = pytest.mark.skipif(
    not torch.cpu._is_vnni_supported(), reason="without VNNI, 8-bit tokens overflow 16-bit sums"
)


@pytest.fixture
def layer(generator):
    layer = nn.Linear(48, 24)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(24, 48, generator=generator) / 7)
        layer.bias.copy_(torch.randn(24, generator=generator))
    return layer


def off(found, wanted):
    """Root mean square of the difference, as a share of the deviation."""
    return ((found - wanted).square().mean().sqrt() / wanted.std()).item()


@torch.no_grad()
@pytest.mark.parametrize("shift", [0.0, 3.0, -3.0], ids=["centered", "positive", "negative"])
def test_results_are_within_two_percent(layer, generator, shift):
    tokens = torch.randn(2, 5, 3, 48, generator=generator) + shift

    found = Int8Linear(layer)(tokens)

    assert found.shape == (2, 5, 3, 24)
    assert off(found, layer(tokens)) < 0.02


@torch.no_grad()
@pytest.mark.parametrize(
    ("kind", "activate"), [(RELU, functional.relu), (GELU, functional.gelu)], ids=["relu", "gelu"]
)
def test_activations_are_fused(layer, generator, kind, activate):
    tokens = torch.randn(600, 48, generator=generator)

    found = Int8Linear(layer)(tokens, kind)

    torch.testing.assert_close(found, activate(Int8Linear(layer)(tokens)))
    activation = nn.ReLU() if kind == RELU else GELUActivation()
    assert torch.equal(found, linear(Int8Linear(layer), tokens, activation))


@torch.no_grad()
@pytest.mark.parametrize(
    "levels",
    [
        pytest.param(int8_linear.LEVELS, marks=needs_vnni),
        int8_linear.LEVELS_WITHOUT_VNNI,
    ],
)
def test_whole_numbers_in_range_are_exact(levels, generator, monkeypatch):
    monkeypatch.setattr(int8_linear, "_levels", lambda: levels)
    layer = nn.Linear(64, 8, bias=False)
    layer.weight.copy_(torch.randint(-127, 128, (8, 64), generator=generator))
    layer.weight[:, 0] = 127  # so that a step is 1
    tokens = torch.randint(-20, levels - 20 + 1, (16, 64), generator=generator).float()
    tokens[0, 0], tokens[0, 1] = -20, levels - 20

    torch.testing.assert_close(Int8Linear(layer)(tokens), layer(tokens), rtol=1e-6, atol=0.1)


@torch.no_grad()
@pytest.mark.parametrize("value", [0.0, 5.0, -5.0])
def test_tokens_of_one_value_are_no_problem(layer, value):
    tokens = torch.full((3, 48), value)

    torch.testing.assert_close(Int8Linear(layer)(tokens), layer(tokens), rtol=0.02, atol=0.05)


@torch.no_grad()
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_tokens_that_are_not_finite_give_nan(layer, value):
    tokens = torch.zeros(3, 48)
    tokens[1, 1] = value

    assert Int8Linear(layer)(tokens).isnan().all()


@torch.no_grad()
def test_no_tokens_and_tiny_ones_are_no_problem(layer):
    assert Int8Linear(layer)(torch.zeros(0, 48)).shape == (0, 24)
    torch.testing.assert_close(
        Int8Linear(layer)(torch.full((2, 48), 1e-38)), layer.bias.expand(2, -1)
    )


@torch.no_grad()
def test_large_entries_of_a_batch_are_rounded_on_their_own(layer, generator):
    tokens = torch.randn(3, int8_linear.ROWS_ROUNDED_ALONE, 48, generator=generator)
    tokens[1] *= 100
    tokens[2] = math.nan
    rounded = Int8Linear(layer)

    found = rounded(tokens)

    assert torch.equal(found[:1], rounded(tokens[:1]))
    assert torch.equal(found[1:2], rounded(tokens[1:2]))


@torch.no_grad()
def test_written_and_loaded_weights_take_effect(layer, generator):
    rounded, tokens = Int8Linear(layer), torch.randn(4, 48, generator=generator)
    rounded(tokens)
    other = Int8Linear(nn.Linear(48, 24))

    rounded.load_state_dict(other.state_dict())
    assert torch.equal(rounded(tokens), other(tokens))
    rounded.weight.zero_()
    torch.testing.assert_close(rounded(tokens), rounded.bias.expand(4, -1))


@torch.no_grad()
def test_defaults_of_torch_do_not_matter(layer):
    int8_linear._int8_problem.cache_clear()
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            require_int8_product()
            found = Int8Linear(layer)(torch.ones(2, 48, dtype=torch.float32, device="cpu"))
    finally:
        torch.set_default_dtype(torch.float32)

    assert found.device.type == "cpu"
    assert torch.equal(torch.get_rng_state(), before)


@torch.no_grad()
def test_an_output_channel_without_weights_is_its_bias(layer):
    layer.weight[3] = 0

    found = Int8Linear(layer)(torch.ones(2, 48))

    assert torch.equal(found[:, 3], layer.bias[3].expand(2))


@torch.no_grad()
@pytest.mark.parametrize("how", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copies_give_the_same_after_use(layer, generator, how):
    rounded, tokens = Int8Linear(layer), torch.randn(4, 48, generator=generator)
    found = rounded(tokens)

    assert torch.equal(how(rounded)(tokens), found)


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (torch.zeros(1, 48, requires_grad=True), "be trained"),
        (torch.zeros(1, 48, dtype=torch.bfloat16), "compute in torch.bfloat16"),
        (torch.zeros(1, 48, device="meta"), "run on meta"),
    ],
)
def test_what_8_bits_cannot_do_is_refused(layer, tokens, words):
    with pytest.raises(CheckpointError, match=f"int8 weights cannot {words}. Load"):
        Int8Linear(layer)(tokens)


def test_training_is_refused(layer):
    with pytest.raises(CheckpointError, match="int8 weights cannot be trained"):
        Int8Linear(layer).train()(torch.zeros(1, 48))


def test_a_torch_without_the_operator_is_refused(monkeypatch):
    monkeypatch.setattr(int8_linear, "_int8_problem", lambda: "no such operator")

    with pytest.raises(CheckpointError, match="cannot be used with this torch and CPU: no such"):
        require_int8_product()


def test_wrong_sums_are_noticed(monkeypatch):
    monkeypatch.setattr(Int8Linear, "forward", lambda layer, tokens: tokens[:, :8] * 64)
    int8_linear._int8_problem.cache_clear()
    try:
        with pytest.raises(CheckpointError, match="sums are off by"):
            require_int8_product()
    finally:
        int8_linear._int8_problem.cache_clear()
