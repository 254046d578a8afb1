import pytest
import torch
from torch.nn import functional

from sam2_hf.model.layers import ChannelLayerNorm, FeedForward


@pytest.mark.parametrize("num_layers", [2, 3, 4])
def test_feed_forward_activates_between_all_of_its_layers(num_layers, generator):
    stack = FeedForward((5, 7, 3), num_layers)
    values = torch.randn(2, 4, 5, generator=generator)

    linears = [stack.proj_in, *stack.layers, stack.proj_out]
    expected = values
    for layer in linears[:-1]:
        expected = functional.linear(expected, layer.weight, layer.bias).clamp(min=0)
    expected = functional.linear(expected, linears[-1].weight, linears[-1].bias)

    assert len(linears) == num_layers
    assert torch.equal(stack(values), expected)


def test_feed_forward_uses_the_activation_it_is_told():
    relu, gelu = FeedForward((4, 4, 4), 2), FeedForward((4, 4, 4), 2, activation="gelu")
    gelu.load_state_dict(relu.state_dict())
    values = torch.linspace(-2, 2, 4)

    expected = gelu.proj_out(functional.gelu(gelu.proj_in(values)))

    assert torch.equal(gelu(values), expected)
    assert not torch.equal(relu(values), expected)


def test_channel_norm_brings_every_pixel_to_zero_mean_and_unit_deviation(generator):
    norm = ChannelLayerNorm(64, eps=0.0)
    maps = torch.randn(2, 64, 3, 5, generator=generator) * 4 + 1

    normed = norm(maps)

    torch.testing.assert_close(normed.mean(dim=1), torch.zeros(2, 3, 5))
    torch.testing.assert_close(normed.std(dim=1, correction=0), torch.ones(2, 3, 5))


def test_channel_norm_scales_and_shifts_channels(generator):
    norm = ChannelLayerNorm(3, eps=1e-6)
    maps = torch.randn(1, 3, 2, 2, generator=generator)
    plain = norm(maps).detach()

    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0, 3.0]))
        norm.bias.copy_(torch.tensor([0.0, 0.5, -1.0]))

    expected = plain * norm.weight[:, None, None] + norm.bias[:, None, None]
    torch.testing.assert_close(norm(maps), expected)
