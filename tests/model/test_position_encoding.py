import copy
import math

import pytest
import torch
from peers import peer_of

from sam2_hf import Sam2Model
from sam2_hf.model.position_encoding import FourierPositions, cell_centers, sine_table

# A bfloat16 has 8 significant bits: rounding a sine moves it by at most 2**-9. Phases that were
# computed in bfloat16 are off by a hundredth of a turn and give 0.028.
ROUNDING = {torch.bfloat16: 0.004, torch.float16: 0.0005}
CPU = torch.device("cpu")


def slow_sine_table(height, width, channels):
    """Follow the formula of "Attention is all you need" entry by entry."""
    table = torch.empty(1, channels, height, width)
    half = channels // 2
    for channel in range(channels):
        step = channel % half // 2
        wave = math.sin if channel % 2 == 0 else math.cos
        for y in range(height):
            for x in range(width):
                place = (y + 1) / height if channel < half else (x + 1) / width
                table[0, channel, y, x] = wave(2 * math.pi * place / 10_000 ** (2 * step / half))
    return table


def turns_to_waves(points_xy, frequencies):
    """Encode each point by the definition of random Fourier features."""
    phases = 2 * math.pi * ((2 * points_xy.double() - 1) @ frequencies.double())
    return torch.cat((phases.sin(), phases.cos()), dim=-1).float()


@pytest.mark.parametrize(("height", "width"), [(4, 4), (3, 5), (1, 7)])
def test_sine_table_follows_the_formula(height, width):
    table = sine_table(height, width, 16, CPU, torch.float32)

    torch.testing.assert_close(table, slow_sine_table(height, width, 16), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", ROUNDING)
def test_half_precision_sine_table_is_a_rounded_float32_table(dtype):
    exact = sine_table(64, 64, 256, CPU, torch.float32)

    rounded = sine_table(64, 64, 256, CPU, dtype)

    assert rounded.dtype == dtype
    assert (rounded.float() - exact).abs().max() < ROUNDING[dtype]


def test_sine_table_is_made_once_for_a_size():
    first = sine_table(6, 6, 8, CPU, torch.float32)

    assert sine_table(6, 6, 8, CPU, torch.float32) is first


def test_sine_table_made_in_inference_mode_can_take_part_in_training():
    with torch.inference_mode():
        table = sine_table(2, 3, 12, CPU, torch.float32)
    factor = torch.ones(1, requires_grad=True)

    (table * factor).sum().backward()

    torch.testing.assert_close(factor.grad, table.sum()[None])


def test_fourier_positions_follow_their_definition(generator):
    positions = FourierPositions(32, scale=1.0)
    positions.positional_embedding.normal_(generator=generator)
    points = torch.rand(2, 5, 2, generator=generator)

    expected = turns_to_waves(points, positions.positional_embedding)

    torch.testing.assert_close(positions(points), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_fourier_frequencies_stay_float32_whatever_the_model_becomes(drawn_model, dtype):
    model = copy.deepcopy(drawn_model)
    before = model.shared_image_embedding.positional_embedding.clone()

    model.to(dtype)

    for part in (model.shared_image_embedding, model.prompt_encoder.shared_embedding):
        assert part.positional_embedding.dtype == torch.float32
        assert torch.equal(part.positional_embedding, before)
    assert model.prompt_encoder.point_embed.weight.dtype == dtype


def test_fourier_frequencies_survive_half_and_float(drawn_model):
    model = copy.deepcopy(drawn_model).half().bfloat16().float()

    ours, untouched = model.shared_image_embedding, drawn_model.shared_image_embedding
    assert torch.equal(ours.positional_embedding, untouched.positional_embedding)


def test_fourier_frequencies_are_float32_in_a_model_built_in_another_dtype(tiny_config):
    model = Sam2Model._from_config(tiny_config, dtype=torch.bfloat16)

    assert model.shared_image_embedding.positional_embedding.dtype == torch.float32
    assert model.no_memory_embedding.dtype == torch.bfloat16


def test_fourier_frequencies_move_with_the_model():
    positions = FourierPositions(8, scale=1.0).to("meta")

    assert positions.positional_embedding.device.type == "meta"


def test_half_precision_points_are_encoded_in_float32(generator):
    positions = FourierPositions(32, scale=1.0)
    positions.positional_embedding.normal_(generator=generator)
    points = torch.rand(7, 2, generator=generator).bfloat16()

    encoded = positions.half()(points)

    assert encoded.dtype == torch.float32
    assert torch.equal(encoded, positions(points.float()))


def test_cell_centers_lie_half_a_cell_inside():
    centers = cell_centers(2, 4, CPU)

    assert centers.shape == (2, 4, 2)
    assert centers[0, 0].tolist() == [1 / 8, 1 / 4]
    assert centers[1, 3].tolist() == [7 / 8, 3 / 4]


def test_image_positions_equal_transformers_and_are_kept(drawn_model):
    table = drawn_model.get_image_wide_positional_embeddings()

    expected = peer_of(drawn_model).get_image_wide_positional_embeddings()
    torch.testing.assert_close(table, expected, atol=1e-5, rtol=0)
    assert drawn_model.get_image_wide_positional_embeddings() is table
