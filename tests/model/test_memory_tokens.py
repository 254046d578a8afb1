import math

import pytest
import torch

from sam2_hf.model.memory_tokens import MemoryInputs, pointer_tokens, time_code
from tests.drawn_video import GRID, MEMORY, recollection

CELLS = GRID**2


@pytest.fixture
def grid(generator):
    return torch.randn(1, CELLS, MEMORY, generator=generator)


@pytest.fixture
def temporal(generator):
    return torch.randn(7, 1, 1, MEMORY, generator=generator)


def row_by_row(memory_bchw):
    return memory_bchw.flatten(2).transpose(1, 2)


def test_cells_of_all_memories_lie_one_after_the_other(grid, temporal):
    memories = recollection(2, ages=(7, 2, 1))

    content, _ = memories.spatial_tokens(row_by_row, grid, temporal)

    assert content.shape == (2, 3 * CELLS, MEMORY)
    for place, spatial in enumerate(memories.spatial):
        cell = content[:, place * CELLS + 6]  # row 1, column 2
        assert torch.equal(cell, spatial[:, :, 1, 2])


def test_a_position_is_where_a_cell_lies_and_how_old_its_memory_is(grid, temporal):
    _, positions = recollection(2, ages=(7, 2, 1)).spatial_tokens(row_by_row, grid, temporal)

    assert positions.shape == (1, 3 * CELLS, MEMORY)
    for place, age in enumerate((7, 2, 1)):
        own = positions[0, place * CELLS : (place + 1) * CELLS]
        assert torch.equal(own, grid[0] + temporal[age - 1, 0, 0])


def test_positions_are_made_once_for_all_objects(grid, temporal):
    _, positions = recollection(5).spatial_tokens(row_by_row, grid, temporal)

    assert len(positions) == 1


def test_memories_stored_in_half_precision_come_out_as_the_model_computes(grid, temporal):
    spatial = tuple(one.bfloat16() for one in recollection(1).spatial)

    content, _ = MemoryInputs(spatial, (7, 2, 1)).spatial_tokens(row_by_row, grid, temporal)

    assert content.dtype == torch.float32
    assert torch.equal(content[:, 0], spatial[0][:, :, 0, 0].float())


def test_a_pointer_is_cut_into_tokens_that_share_its_time(generator):
    pointers = torch.randn(2, 3, 32, generator=generator)
    codes = torch.randn(2, 3, 8, generator=generator)

    content, positions = pointer_tokens(pointers, codes)

    assert content.shape == positions.shape == (2, 12, 8)
    assert torch.equal(content[1, 4:8].flatten(), pointers[1, 1])
    assert torch.equal(positions[1, 4:8], codes[1, 1].expand(4, -1))


def test_a_pointer_as_narrow_as_a_memory_is_one_token(generator):
    pointers = torch.randn(1, 3, 8, generator=generator)

    content, _ = pointer_tokens(pointers, torch.zeros(1, 3, 8))

    assert torch.equal(content, pointers)


@pytest.mark.parametrize("time", [0.0, 0.2, 1.0, -0.4])
def test_a_time_becomes_sines_then_cosines_of_ever_longer_waves(time):
    code = time_code(torch.tensor([[time]]), 8)[0, 0].tolist()

    angles = [time / 10_000 ** (2 * (step // 2) / 4) for step in range(4)]
    expected = [*map(math.sin, angles), *map(math.cos, angles)]
    assert code == pytest.approx(expected, abs=1e-6)


def test_times_are_encoded_in_float32():
    half = time_code(torch.tensor([[0.5]], dtype=torch.bfloat16), 8)

    assert half.dtype == torch.float32
    assert torch.equal(half, time_code(torch.tensor([[0.5]]), 8))
