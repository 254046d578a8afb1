import numpy as np
import pytest
import torch
from torch.nn import functional

from sam2_hf.upsampled_masks import (
    CellIndex,
    add_margin,
    blend_plain,
    cell_grid,
    cell_range,
    interpolate_cells,
)

SIZES = [
    ((16, 16), (150, 200)),
    ((64, 64), (534, 800)),
    ((20, 30), (200, 110)),
    ((64, 64), (64, 300)),
]


def enlarge(map_hw, size):
    return functional.interpolate(
        torch.from_numpy(map_hw)[None, None], size, mode="bilinear", align_corners=False
    )[0, 0].numpy()


def known_grid(size, pixels):
    grid = cell_grid(size, pixels)
    if grid is None:
        pytest.skip("this machine's torch adds in a way that is not known; whole maps are used")
    return grid


def all_cells(grid):
    shape = (1, len(grid.rows.count), len(grid.columns.count))
    return CellIndex.from_flat(np.arange(np.prod(shape)), shape)


@pytest.mark.parametrize(("size", "pixels"), SIZES)
def test_every_pixel_of_every_cell_equals_torchs_to_the_last_bit(size, pixels):
    grid = known_grid(size, pixels)
    map_hw = np.random.default_rng(1).standard_normal(size, dtype=np.float32) * 20
    cells = all_cells(grid)

    inside = interpolate_cells(add_margin(map_hw[None]), cells, grid)

    slot_y, slot_x, cell = np.nonzero(~np.isnan(inside))
    y = grid.rows.first[cells.row_n[cell]] + slot_y
    x = grid.columns.first[cells.column_n[cell]] + slot_x
    assert len(y) == pixels[0] * pixels[1]
    assert np.array_equal(inside[slot_y, slot_x, cell], enlarge(map_hw, pixels)[y, x])


@pytest.mark.parametrize(("size", "pixels"), SIZES)
def test_every_pixel_lies_in_one_cell(size, pixels):
    grid = known_grid(size, pixels)

    for axis, values, length in zip((grid.rows, grid.columns), size, pixels, strict=True):
        assert len(axis.count) == values + 1
        assert axis.count.sum() == length
        assert np.array_equal(np.repeat(np.arange(values + 1), axis.count), axis.cell)


def test_pixels_stay_between_the_corners_of_their_cell():
    size, pixels = SIZES[0]
    grid = known_grid(size, pixels)
    padded = add_margin(np.random.default_rng(2).standard_normal((1, *size), dtype=np.float32))

    inside = interpolate_cells(padded, all_cells(grid), grid)
    low, high = (bound.reshape(-1) for bound in cell_range(padded))

    assert (np.nan_to_num(inside, nan=np.inf) >= low - 1e-5).all()
    assert (np.nan_to_num(inside, nan=-np.inf) <= high + 1e-5).all()


def test_small_maps_are_left_to_torch():
    assert cell_grid((64, 64), (30, 40)) is None


def test_unknown_arithmetic_is_noticed(monkeypatch):
    """On a machine whose torch adds in another way, whole maps are enlarged instead."""
    monkeypatch.setattr("sam2_hf.upsampled_masks.blend_fused", blend_plain)
    monkeypatch.setattr(
        "sam2_hf.upsampled_masks.blend_plain", lambda a, near, b, far: b + (a - b) * near
    )

    assert cell_grid.__wrapped__((64, 64), (534, 800)) is None
