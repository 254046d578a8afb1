"""Bilinear interpolation cell by cell, equal to the last bit to torch's whole-map one.

A cell is the square between four neighbouring values of a map. The map gets a margin of repeated
values first, so that the half cells along its edge are cells too: `h + 1` rows of `w + 1` cells.
Every pixel of the enlarged map lies in one cell.

Suffixes: m = maps, h, w = rows and columns of a map, i, j = rows and columns of cells, n = chosen
cells, r, c = pixel rows and columns inside one cell.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

TRIAL_STRIDE = 7  # cells between two tried ones: prime, so that every row and column is met
FEWEST_PIXELS = 1 << 14  # below this torch takes another kernel, and whole maps are cheap

Blend = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class CellAxis:
    """How the pixels of one axis fall into cells.

    Attributes:
        cell: Cell of each pixel, `(pixels,)`.
        first: First pixel of each cell, `(cells,)`.
        count: Pixels of each cell, `(cells,)`.
        near: Weight of the value before each of its pixels, `(most, cells)`; NaN where the cell
            has fewer pixels.
        far: Weight of the value after it, likewise.
    """

    cell: np.ndarray
    first: np.ndarray
    count: np.ndarray
    near: np.ndarray
    far: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class CellGrid:
    """Both axes, and the way this machine's torch adds two weighted values."""

    rows: CellAxis
    columns: CellAxis
    blend: Blend


@dataclass(frozen=True, slots=True, eq=False)
class CellIndex:
    """Some cells of some maps: number of the map, row and column of the cell, each `(n,)`."""

    map_n: np.ndarray
    row_n: np.ndarray
    column_n: np.ndarray

    @classmethod
    def from_flat(cls, flat_n: np.ndarray, shape: tuple[int, ...]) -> "CellIndex":
        """Take flat positions in an array `(m, i, j)` of cells apart."""
        return cls(*np.unravel_index(flat_n, shape))


def blend_fused(a: np.ndarray, near: np.ndarray, b: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Compute `a * near + b * far` with one rounding less (fused multiply-add)."""
    result: np.ndarray = b * far
    torch.from_numpy(result).addcmul_(torch.from_numpy(a), torch.from_numpy(near))
    return result


def blend_plain(a: np.ndarray, near: np.ndarray, b: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Compute `a * near + b * far`, each step rounded."""
    return a * near + b * far


@lru_cache(maxsize=32)
def cell_grid(size: tuple[int, int], pixels: tuple[int, int]) -> CellGrid | None:
    """Find how this machine's torch enlarges a map of one size to another.

    Compilers fuse multiplications and additions or do not, which moves the last bit. The few ways
    there are get tried on random numbers until one gives torch's own answer.

    Args:
        size: `(height, width)` of the map.
        pixels: `(height, width)` of the enlarged map.

    Returns:
        None if no way is equal, or the maps are too small to tell; then enlarge whole maps.
    """
    if pixels[0] * pixels[1] < FEWEST_PIXELS:
        return None
    generator = torch.Generator().manual_seed(0)
    trial = torch.randn((1, 1, *size), generator=generator)
    expected = functional.interpolate(trial, pixels, mode="bilinear", align_corners=False)
    for fused_place in (True, False):
        axes = [_axis(*pair, fused=fused_place) for pair in zip(size, pixels, strict=True)]
        for blend in (blend_fused, blend_plain):
            grid = CellGrid(rows=axes[0], columns=axes[1], blend=blend)
            if _agrees(add_margin(trial[0].numpy()), expected[0, 0].numpy(), grid):
                return grid
    return None


def add_margin(maps_mhw: np.ndarray) -> np.ndarray:
    """Repeat the outermost values once: `(m, h + 2, w + 2)`."""
    return np.pad(maps_mhw, ((0, 0), (1, 1), (1, 1)), mode="edge")


def cell_range(padded_mhw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest corner of each cell, both `(m, i, j)`, from a map with its margin."""
    return _corner_reduce(np.minimum, padded_mhw), _corner_reduce(np.maximum, padded_mhw)


def interpolate_cells(padded_mhw: np.ndarray, cells: CellIndex, grid: CellGrid) -> np.ndarray:
    """Compute every pixel of some cells.

    Args:
        padded_mhw: Maps with their margin, `(m, h + 2, w + 2)`, float32, contiguous.
        cells: Which cells.
        grid: How to.

    Returns:
        `(r, c, n)`; NaN where a cell has fewer pixels than the largest.
    """
    height, width = padded_mhw.shape[-2:]
    values = padded_mhw.reshape(-1)
    upper_n = (cells.map_n * height + cells.row_n) * width + cells.column_n
    lower_n = upper_n + width
    near_cn = grid.columns.near.take(cells.column_n, axis=1)
    far_cn = grid.columns.far.take(cells.column_n, axis=1)
    near_rn = grid.rows.near.take(cells.row_n, axis=1)
    far_rn = grid.rows.far.take(cells.row_n, axis=1)
    upper_cn = grid.blend(values.take(upper_n), near_cn, values.take(upper_n + 1), far_cn)
    lower_cn = grid.blend(values.take(lower_n), near_cn, values.take(lower_n + 1), far_cn)
    return grid.blend(upper_cn[None], near_rn[:, None], lower_cn[None], far_rn[:, None])


def _agrees(padded_1hw: np.ndarray, enlarged: np.ndarray, grid: CellGrid) -> bool:
    """Whether every few cells of a map come out as they are in `enlarged`."""
    num_rows, num_columns = len(grid.rows.count), len(grid.columns.count)
    cells = CellIndex.from_flat(
        np.arange(0, num_rows * num_columns, TRIAL_STRIDE), (1, num_rows, num_columns)
    )
    pixels_rcn = interpolate_cells(padded_1hw, cells, grid)
    y_rn = np.arange(len(pixels_rcn))[:, None] + grid.rows.first[cells.row_n]
    x_cn = np.arange(pixels_rcn.shape[1])[:, None] + grid.columns.first[cells.column_n]
    inside = ~np.isnan(pixels_rcn)
    limit_y, limit_x = enlarged.shape[0] - 1, enlarged.shape[1] - 1
    expected = enlarged[np.minimum(y_rn, limit_y)[:, None], np.minimum(x_cn, limit_x)[None]]
    return np.array_equal(pixels_rcn[inside], expected[inside])


def _axis(values: int, pixels: int, *, fused: bool) -> CellAxis:
    """Weights of one axis: `place = (pixel + 0.5) * values / pixels - 0.5`, in float32.

    With `fused` the last step does not round the product first.
    """
    scale = np.float32(values) / np.float32(pixels)
    middle = np.arange(pixels, dtype=np.float32) + np.float32(0.5)
    place = middle.astype(np.float64) * scale if fused else middle * scale
    place = (place - np.float32(0.5)).astype(np.float32)
    if values == pixels:
        place = np.arange(pixels, dtype=np.float32)
    cell = np.floor(place).astype(np.int64) + 1  # the half cell before the first value is cell 0
    far = np.where(cell > 0, place - (cell - 1).astype(np.float32), 0).astype(np.float32)
    count = np.bincount(cell, minlength=values + 1)
    first = np.cumsum(count) - count
    weights = np.full((2, count.max(), values + 1), np.nan, dtype=np.float32)
    slot = np.arange(pixels) - first[cell]
    weights[0, slot, cell], weights[1, slot, cell] = np.float32(1) - far, far
    return CellAxis(cell=cell, first=first, count=count, near=weights[0], far=weights[1])


def _corner_reduce(choose: np.ufunc, padded_mhw: np.ndarray) -> np.ndarray:
    """Apply `choose` to the four corners of every cell."""
    across = choose(padded_mhw[:, :, :-1], padded_mhw[:, :, 1:])
    both: np.ndarray = choose(across[:, :-1], across[:, 1:])
    return both
