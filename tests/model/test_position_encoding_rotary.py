import cmath

import pytest
import torch

from sam2_hf.model.position_encoding import rotary_table, rotate, rotated

CPU = torch.device("cpu")
THETA = 10_000.0
FLOAT32 = 1e-5  # angles of up to seven radians, each right to seven digits


def slow_rotation(tokens_nc, height, width):
    """Multiply every pair of channels, as a complex number, by its cell's place on the circle."""
    channels = tokens_nc.shape[1]
    turned = torch.empty_like(tokens_nc)
    for token, values_c in enumerate(tokens_nc.tolist()):
        cell = token % (height * width)
        row, column = divmod(cell, width)
        for pair in range(channels // 2):
            place = column if pair < channels // 4 else row
            angle = place / THETA ** (4 * (pair % (channels // 4)) / channels)
            number = complex(*values_c[2 * pair : 2 * pair + 2]) * cmath.exp(1j * angle)
            turned[token, 2 * pair : 2 * pair + 2] = torch.tensor([number.real, number.imag])
    return turned


@pytest.mark.parametrize(("height", "width"), [(3, 3), (2, 5), (5, 2), (1, 7)])
def test_channel_pairs_turn_like_complex_numbers(generator, height, width):
    tokens_nc = torch.randn(height * width, 8, generator=generator)

    turned = rotate(tokens_nc[None, None], rotary_table(height, width, 8, THETA, CPU))

    torch.testing.assert_close(
        turned[0, 0], slow_rotation(tokens_nc, height, width), atol=FLOAT32, rtol=0
    )


def test_several_grids_one_after_the_other_turn_like_each_alone(generator):
    table = rotary_table(2, 3, 8, THETA, CPU)
    tokens_banc = torch.randn(2, 1, 3 * 6, 8, generator=generator)

    turned = rotate(tokens_banc, table)

    alone = [rotate(grid, table) for grid in tokens_banc.split(6, dim=2)]
    assert torch.equal(turned, torch.cat(alone, dim=2))


def test_products_of_turned_tokens_depend_on_how_far_apart_they_are(generator):
    table = rotary_table(4, 6, 16, THETA, CPU)
    query, key = (torch.randn(16, generator=generator).expand(1, 1, 24, 16) for _ in "qk")

    product = (rotate(query, table)[0, 0] @ rotate(key, table)[0, 0].T).view(4, 6, 4, 6)

    for down, right in [(0, 1), (2, 0), (1, 3)]:
        near, far = product[0, 0, down, right], product[1, 2, 1 + down, 2 + right]
        torch.testing.assert_close(near, far, atol=FLOAT32, rtol=FLOAT32)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_tokens_are_turned_in_float32_and_rounded_once(generator, dtype):
    table = rotary_table(64, 64, 8, THETA, CPU)
    tokens_banc = torch.randn(1, 1, 64 * 64, 8, generator=generator).to(dtype)

    turned = rotate(tokens_banc, table)

    assert turned.dtype == dtype
    assert torch.equal(turned, rotate(tokens_banc.float(), table).to(dtype))


def test_the_table_is_made_once_for_a_grid():
    first = rotary_table(3, 4, 8, THETA, CPU)

    assert rotary_table(3, 4, 8, THETA, CPU) is first
    assert rotary_table(4, 3, 8, THETA, CPU) is not first


def test_a_table_made_in_inference_mode_can_take_part_in_training(generator):
    rotary_table.cache_clear()
    with torch.inference_mode():
        table = rotary_table(2, 2, 8, THETA, CPU)
    tokens = torch.randn(1, 1, 4, 8, generator=generator, requires_grad=True)

    rotate(tokens, table).square().sum().backward()

    torch.testing.assert_close(tokens.grad, 2 * tokens.detach(), atol=FLOAT32, rtol=FLOAT32)


@pytest.mark.parametrize("unplaced", [0, 3])
def test_turning_in_place_gives_the_same_numbers(unplaced):
    table = rotary_table(3, 4, 16, 10_000.0, torch.device("cpu"))
    tokens = torch.randn(2, 1, 24 + unplaced, 16, generator=torch.Generator().manual_seed(0))
    placed = rotate(tokens[:, :, :24], table)

    recorded = rotated(tokens.clone().requires_grad_(), table, unplaced)
    fresh = tokens.clone()
    turned = rotated(fresh, table, unplaced)

    assert turned is fresh
    assert recorded.requires_grad
    for found in (turned, recorded.detach()):
        assert torch.allclose(found[:, :, :24], placed, atol=1e-6)
        assert torch.equal(found[:, :, 24:], tokens[:, :, 24:])
