"""Measure masks at full size without making them: the hot path of segmenting everything.

A low-resolution map has far fewer cells (squares between four neighbouring logits) than the picture
has pixels. Bilinear interpolation stays between the four corners of a cell, so a cell whose corners
are all on one side of a threshold is settled as a whole. Only cells on an outline are interpolated,
with the very arithmetic of `torch.nn.functional.interpolate`, so the counts are equal to the pixel.

Suffixes: m = masks, h, w = rows and columns of the low-resolution map, n = cells on an outline,
r, c = pixel rows and columns inside one cell, 4 = x0, y0, x1, y1.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from torch import Tensor

from .bilinear_cells import (
    CellGrid,
    CellIndex,
    add_margin,
    cell_grid,
    cell_range,
    interpolate_cells,
)
from .masks import APART_LOGIT, masks_to_boxes, resize_masks, stability_score

CELLS_AT_A_TIME = 1 << 18  # looked at together: 4 maps of 256 x 256, about a megabyte
OUTLINE_PIXELS_AT_A_TIME = 1 << 17  # interpolated together: half a megabyte
PIXELS_AT_A_TIME = 1 << 25  # on an accelerator, where whole maps are the quicker way
# Rounding moves an interpolated value past its corners by less than 8 units in the last place
# (2 ** -24 each, of the largest logit). Cells closer to a threshold than this are interpolated.
ROUNDING = 2.0**-20


@dataclass(frozen=True, slots=True, eq=False)
class UpsampledStatistics:
    """What is known about masks at full size.

    Attributes:
        stability_m: Stability score, `(m,)`, float32; not a number for an empty mask.
        area_m: Pixels above the threshold, `(m,)`, int64.
        boxes_m4: Box around them, `(m, 4)`, int64, last row and column inclusive; zeros if empty.
    """

    stability_m: Tensor
    area_m: Tensor
    boxes_m4: Tensor


def upsampled_statistics(
    logits_mhw: Tensor, size: tuple[int, int], *, threshold: float = 0.0, offset: float = 1.0
) -> UpsampledStatistics:
    """Measure masks as they would be after a bilinear resize.

    Args:
        logits_mhw: Low-resolution logits, `(m, h, w)`, any device.
        size: `(height, width)` of the picture.
        threshold: Where a mask begins.
        offset: How far the stability score moves the threshold up and down.

    Source: sam2/utils/amg.py:158-177 and 307-348 @ 2b90b9f, on masks resized by
        sam2/utils/transforms.py:117.
    Differs: on the CPU the resized masks never exist.
    """
    logits_mhw = logits_mhw.detach()
    levels = (threshold, threshold + offset, threshold - offset)
    grid = cell_grid(tuple(logits_mhw.shape[-2:]), size) if logits_mhw.is_cpu else None
    if grid is None:
        step = max(1, PIXELS_AT_A_TIME // (size[0] * size[1])) if not logits_mhw.is_cpu else 1
        parts = [_measure_whole(part, size, levels) for part in logits_mhw.split(step)]
    else:
        step = max(1, CELLS_AT_A_TIME // (logits_mhw.shape[-2] * logits_mhw.shape[-1]))
        parts = [_measure_cells(part, grid, levels) for part in logits_mhw.split(step)]
    return UpsampledStatistics(
        stability_m=torch.cat([part.stability_m for part in parts]),
        area_m=torch.cat([part.area_m for part in parts]),
        boxes_m4=torch.cat([part.boxes_m4 for part in parts]),
    )


def upsampled_masks(
    logits_mhw: Tensor, size: tuple[int, int], threshold: float = 0.0, *, apart: bool = False
) -> Iterator[Tensor]:
    """Make the boolean masks `(height, width)`, one after another so that memory stays small.

    They are equal to `resize_masks(logits_hw[None, None], size)[0, 0] > threshold`.

    Args:
        logits_mhw: Low-resolution logits, `(m, h, w)`, any device.
        size: `(height, width)` of the picture.
        threshold: Where a mask begins.
        apart: Whether a pixel belongs to the strongest mask alone, see `masks.keep_apart`.
    """
    # below APART_LOGIT even a loser's clamped logit is inside its mask
    compete = apart and len(logits_mhw) > 1 and threshold >= APART_LOGIT
    winner_hw = _strongest(logits_mhw, size) if compete else None
    is_enlarged = logits_mhw.is_cpu and logits_mhw.shape[-2:] != tuple(size)
    grid = cell_grid(tuple(logits_mhw.shape[-2:]), size) if is_enlarged else None
    for number, logits_hw in enumerate(logits_mhw):
        if grid is None:
            mask_hw = resize_masks(logits_hw[None, None], size)[0, 0] > threshold
        else:
            mask_hw = torch.from_numpy(_paint(_padded(logits_hw[None]), grid, threshold))
        yield mask_hw if winner_hw is None else mask_hw & (winner_hw == number)


def upsampled_logits(
    logits_mhw: Tensor, size: tuple[int, int], *, apart: bool = False
) -> Iterator[Tensor]:
    """Resize logits to `(height, width)` float32, one map after another; see `upsampled_masks`."""
    winner_hw = _strongest(logits_mhw, size) if apart and len(logits_mhw) > 1 else None
    for number, logits_hw in enumerate(logits_mhw):
        enlarged_hw = resize_masks(logits_hw[None, None], size)[0, 0]
        if winner_hw is not None:
            beaten_hw = enlarged_hw.clamp(max=APART_LOGIT)
            enlarged_hw = enlarged_hw.where(winner_hw == number, beaten_hw)
        yield enlarged_hw


def masks_at_size(
    logits_mhw: Tensor, size: tuple[int, int], threshold: float = 0.0, *, apart: bool = False
) -> Tensor:
    """Collect `upsampled_masks` in one tensor, `(m, height, width)` bool.

    The peak of memory is the result and a few maps, however many masks there are.
    """
    masks_mhw = torch.empty((len(logits_mhw), *size), dtype=torch.bool, device=logits_mhw.device)
    for place, mask_hw in enumerate(upsampled_masks(logits_mhw, size, threshold, apart=apart)):
        masks_mhw[place] = mask_hw
    return masks_mhw


@torch.no_grad()
def _strongest(logits_mhw: Tensor, size: tuple[int, int]) -> Tensor:
    """Number of the map with the highest logit at each pixel, the first of equals; int32."""
    maps = upsampled_logits(logits_mhw, size)
    highest_hw = next(maps)
    winner_hw = torch.zeros(size, dtype=torch.int32, device=logits_mhw.device)
    for number, enlarged_hw in enumerate(maps, start=1):
        winner_hw.masked_fill_(enlarged_hw > highest_hw, number)
        highest_hw = torch.maximum(highest_hw, enlarged_hw)
    return winner_hw


def _measure_whole(
    logits_mhw: Tensor, size: tuple[int, int], levels: tuple[float, float, float]
) -> UpsampledStatistics:
    """Resize, then measure."""
    enlarged_mhw = resize_masks(logits_mhw[:, None], size)[:, 0]
    mask_mhw = enlarged_mhw > levels[0]
    return UpsampledStatistics(
        stability_m=stability_score(enlarged_mhw, levels[0], levels[1] - levels[0]),
        area_m=mask_mhw.sum(dim=-1, dtype=torch.int32).sum(dim=-1),
        boxes_m4=masks_to_boxes(mask_mhw),
    )


def _measure_cells(
    logits_mhw: Tensor, grid: CellGrid, levels: tuple[float, ...]
) -> UpsampledStatistics:
    """Settle whole cells, interpolate those on an outline, add up."""
    padded_mhw = _padded(logits_mhw)
    above, outline_mij = _settle(padded_mhw, grid, levels)
    tally = _Tally(
        counts=np.stack([_pixels_of(cells, grid) for cells in above]),
        row_hits=above[0].max(axis=2)[:, grid.rows.cell],
        column_hits=above[0].max(axis=1)[:, grid.columns.cell],
    )
    for cells in _portions(outline_mij, grid):
        pixels_rcn = interpolate_cells(padded_mhw, cells, grid)
        _mark(tally, pixels_rcn > levels[0], cells, grid)
        for counts_m, level in zip(tally.counts, levels, strict=True):
            _count(counts_m, pixels_rcn > level, cells)
    area, inner, outer = torch.from_numpy(tally.counts)
    return UpsampledStatistics(
        stability_m=inner.to(torch.float32) / outer.to(torch.float32),
        area_m=area,
        boxes_m4=_boxes(tally),
    )


def _paint(padded_1hw: np.ndarray, grid: CellGrid, threshold: float) -> np.ndarray:
    """Make one boolean mask: whole cells first, then the pixels of cells on the outline."""
    (above,), outline_1ij = _settle(padded_1hw, grid, (threshold,))
    mask: np.ndarray = above[0].take(grid.columns.cell, axis=1).take(grid.rows.cell, axis=0)
    for cells in _portions(outline_1ij, grid):
        inside_rcn = interpolate_cells(padded_1hw, cells, grid) > threshold
        slot, index = np.divmod(np.flatnonzero(inside_rcn), len(cells.map_n))
        slot_y, slot_x = np.divmod(slot, inside_rcn.shape[1])
        y = grid.rows.first[cells.row_n[index]] + slot_y
        mask[y, grid.columns.first[cells.column_n[index]] + slot_x] = True
    return mask


def _padded(logits_mhw: Tensor) -> np.ndarray:
    return add_margin(logits_mhw.detach().to(torch.float32).numpy())


def _portions(outline_mij: np.ndarray, grid: CellGrid) -> Iterator[CellIndex]:
    """Deal out the cells on an outline, few enough at a time to stay in the cache."""
    flat = np.flatnonzero(outline_mij)
    step = max(1, OUTLINE_PIXELS_AT_A_TIME // (len(grid.rows.near) * len(grid.columns.near)))
    for start in range(0, len(flat), step):
        yield CellIndex.from_flat(flat[start : start + step], outline_mij.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """Filled in place: pixels above each level `(3, m)`, rows and columns that the mask meets."""

    counts: np.ndarray
    row_hits: np.ndarray
    column_hits: np.ndarray


def _settle(
    padded_mhw: np.ndarray, grid: CellGrid, levels: tuple[float, ...]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Tell which cells are above each level as a whole, and which must be interpolated."""
    low, high = cell_range(padded_mhw)
    slack = np.abs(padded_mhw).max(axis=(1, 2), keepdims=True) * np.float32(ROUNDING)
    has_pixels_ij = (grid.rows.count[:, None] > 0) & (grid.columns.count > 0)
    settled = np.ones(low.shape, dtype=bool)
    above = []
    for level in levels:
        above.append(low > level + slack)
        settled &= above[-1] | (high <= level - slack)
    for cells in above:
        cells &= settled & has_pixels_ij
    return above, ~settled & has_pixels_ij


def _pixels_of(cells_mij: np.ndarray, grid: CellGrid) -> np.ndarray:
    """Count the pixels of the chosen cells of each map."""
    per_row = cells_mij.astype(np.float32) @ grid.columns.count.astype(np.float32)
    pixels: np.ndarray = (per_row.astype(np.int64) * grid.rows.count).sum(axis=1)
    return pixels


def _count(counts_m: np.ndarray, inside_rcn: np.ndarray, cells: CellIndex) -> None:
    """Add the pixels inside to the count of each map."""
    flags = inside_rcn.view(np.uint8).reshape(-1, inside_rcn.shape[-1])
    narrow = np.uint16 if len(flags) <= np.iinfo(np.uint16).max else np.int64
    per_cell = flags.sum(axis=0, dtype=narrow)
    counts_m += np.bincount(cells.map_n, per_cell, len(counts_m)).astype(np.int64)


def _mark(tally: _Tally, inside_rcn: np.ndarray, cells: CellIndex, grid: CellGrid) -> None:
    """Note which rows and columns of the picture hold a pixel of the mask."""
    for hits, axis, cell_n, by_slot in (
        (tally.row_hits, grid.rows, cells.row_n, inside_rcn.swapaxes(0, 1)),
        (tally.column_hits, grid.columns, cells.column_n, inside_rcn),
    ):
        # One slot after another: numpy's own reduction over two short axes is ten times slower.
        slot, index = np.divmod(np.flatnonzero(reduce(np.logical_or, by_slot)), len(cell_n))
        hits[cells.map_n[index], axis.first[cell_n[index]] + slot] = True


def _boxes(tally: _Tally) -> Tensor:
    """Outermost rows and columns; zeros for an empty mask."""
    sides = []
    for hits in (tally.column_hits, tally.row_hits):
        last = hits.shape[1] - 1 - hits[:, ::-1].argmax(axis=1)
        sides.append((hits.argmax(axis=1), np.where(hits.any(axis=1), last, 0)))
    (x0, x1), (y0, y1) = sides
    return torch.from_numpy(np.stack([x0, y0, x1, y1], axis=1))
