"""Areas, boxes and stability of masks at full size, computed without upsampling whole maps.

This is the hot path of mask generation. A low-resolution map has far fewer cells (squares between
four neighboring logits) than the picture has pixels. Bilinear interpolation stays between the four
corners of a cell, so a cell whose corners are all on one side of a threshold is decided as a whole.
Only cells on an outline are interpolated, with the arithmetic of `torch.nn.functional.interpolate`,
so counts are exact.

The map is padded with repeated values first, so that the half cells along its edge become cells:
`h + 1` rows of `w + 1` cells. Every pixel of the enlarged map lies in one cell.

Suffixes: m = masks, h, w = rows and columns of the low-resolution map, i, j = rows and columns of
cells, n = chosen cells, r, c = pixel rows and columns inside one cell, 4 = x0, y0, x1, y1.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .masks import APART_LOGIT, masks_to_boxes, resize_masks, stability_score

TRIAL_STRIDE = 7  # distance of tried cells: prime, so that every row and column is covered
FEWEST_PIXELS = 1 << 14  # below this torch uses another kernel, and whole maps are cheap

Blend = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class CellAxis:
    """Pixels and cells of one axis.

    Attributes:
        cell: Cell of each pixel, `(pixels,)`.
        first: First pixel of each cell, `(cells,)`.
        count: Pixels of each cell, `(cells,)`.
        near: Weight of the value before each of its pixels, `(most, cells)`; NaN where the cell
            has fewer pixels.
        far: Weight of the value after it, in the same layout.
    """

    cell: np.ndarray
    first: np.ndarray
    count: np.ndarray
    near: np.ndarray
    far: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class CellGrid:
    """Both axes, and torch's arithmetic of weighted sums on this machine."""

    rows: CellAxis
    columns: CellAxis
    blend: Blend


@dataclass(frozen=True, slots=True, eq=False)
class CellIndex:
    """Indices of cells: map, row and column, each `(n,)`."""

    map_n: np.ndarray
    row_n: np.ndarray
    column_n: np.ndarray

    @classmethod
    def from_flat(cls, flat_n: np.ndarray, shape: tuple[int, ...]) -> "CellIndex":
        """Unravel flat positions in an array `(m, i, j)` of cells."""
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
    """Detect how torch upsamples a map on this machine.

    Compilers may or may not fuse multiplications and additions, which changes the last bit. The few
    variants are tried on random numbers until one equals torch's result.

    Args:
        size: `(height, width)` of the map.
        pixels: `(height, width)` of the enlarged map.

    Returns:
        None if no variant is equal, or the maps are too small; then upsample whole maps.
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
    """Return the smallest and largest corner of each cell, both `(m, i, j)`, from padded maps."""
    return _corner_reduce(np.minimum, padded_mhw), _corner_reduce(np.maximum, padded_mhw)


def interpolate_cells(padded_mhw: np.ndarray, cells: CellIndex, grid: CellGrid) -> np.ndarray:
    """Compute every pixel of some cells.

    Args:
        padded_mhw: Padded maps, `(m, h + 2, w + 2)`, float32, contiguous.
        cells: The cells.
        grid: The grid.

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
    """Whether sampled cells of a map equal those in `enlarged`."""
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


CELLS_AT_A_TIME = 1 << 18  # processed together: 4 maps of 256 x 256, about a megabyte
OUTLINE_PIXELS_AT_A_TIME = 1 << 17  # interpolated together: half a megabyte
MOST_OUTLINE = 1 / 12  # share of cells on outlines above which whole maps or rows are faster
ROWS_AT_A_TIME = 64  # half a megabyte at 1800 columns
WHOLE_PIXELS_AT_A_TIME = 1 << 23  # by torch's threads: 32 MB
PIXELS_AT_A_TIME = 1 << 25  # on an accelerator, where whole maps are faster
# Rounding moves an interpolated value past its corners by less than 8 units in the last place
# (2 ** -24 of the largest logit). Cells closer to a threshold than this are interpolated.
ROUNDING = 2.0**-20


@dataclass(frozen=True, slots=True, eq=False)
class UpsampledStatistics:
    """Statistics of masks at full size.

    Attributes:
        stability_m: Stability score, `(m,)`, float32; NaN for an empty mask.
        area_m: Pixels above the threshold, `(m,)`, int64.
        boxes_m4: Box around them, `(m, 4)`, int64, last row and column inclusive; zeros if empty.
    """

    stability_m: Tensor
    area_m: Tensor
    boxes_m4: Tensor


def upsampled_statistics(
    logits_mhw: Tensor, size: tuple[int, int], *, threshold: float = 0.0, offset: float = 1.0
) -> UpsampledStatistics:
    """Compute statistics of bilinearly resized masks.

    Args:
        logits_mhw: Low-resolution logits, `(m, h, w)`, any device.
        size: `(height, width)` of the picture.
        threshold: Threshold of a mask.
        offset: Shift of the threshold for the stability score.

    Source: sam2/utils/amg.py:158-177 and 307-348 @ 2b90b9f, on masks resized by
        sam2/utils/transforms.py:117.
    Differs: on the CPU the resized masks are never materialized.
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
    """Yield boolean masks `(height, width)` one by one, which saves memory.

    They equal `resize_masks(logits_hw[None, None], size)[0, 0] > threshold`.

    Args:
        logits_mhw: Low-resolution logits, `(m, h, w)`, any device.
        size: `(height, width)` of the picture.
        threshold: Threshold of a mask.
        apart: Whether a pixel belongs to the strongest mask only, see `masks.suppress_overlaps`.
    """
    # below APART_LOGIT even a suppressed logit is inside its mask
    compete = apart and len(logits_mhw) > 1 and threshold >= APART_LOGIT
    winner_hw = _strongest(logits_mhw, size) if compete else None
    is_enlarged = logits_mhw.is_cpu and logits_mhw.shape[-2:] != tuple(size)
    grid = cell_grid(tuple(logits_mhw.shape[-2:]), size) if is_enlarged else None
    step = 1 if grid is None else max(1, WHOLE_PIXELS_AT_A_TIME // (size[0] * size[1]))
    for begin in range(0, len(logits_mhw), step):
        masks = _enlarged_masks(logits_mhw[begin : begin + step], size, grid, threshold)
        for number, mask_hw in enumerate(masks, begin):
            yield mask_hw if winner_hw is None else mask_hw & (winner_hw == number)


def upsampled_logits(
    logits_mhw: Tensor, size: tuple[int, int], *, apart: bool = False
) -> Iterator[Tensor]:
    """Resize logits to `(height, width)` float32, map by map; see `upsampled_masks`."""
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

    Peak memory is the result and a few maps.
    """
    masks_mhw = torch.empty((len(logits_mhw), *size), dtype=torch.bool, device=logits_mhw.device)
    for place, mask_hw in enumerate(upsampled_masks(logits_mhw, size, threshold, apart=apart)):
        masks_mhw[place] = mask_hw
    return masks_mhw


@torch.no_grad()
def _strongest(logits_mhw: Tensor, size: tuple[int, int]) -> Tensor:
    """Index of the map with the highest logit at each pixel, the first of ties; int32."""
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
    """Decide whole cells, interpolate those on an outline, sum up."""
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


def _enlarged_masks(
    logits_mhw: Tensor, size: tuple[int, int], grid: CellGrid | None, threshold: float
) -> Tensor | list[Tensor]:
    """Make the boolean masks of a few maps, whichever way is the fastest."""
    if grid is None:
        return resize_masks(logits_mhw[:, None], size)[:, 0] > threshold
    padded_mhw = _padded(logits_mhw)
    (above_mij,), outline_mij = _settle(padded_mhw, grid, (threshold,))
    masks = []
    if torch.get_num_threads() > 1 and outline_mij.mean() > MOST_OUTLINE:
        for enlarged_hw in resize_masks(logits_mhw[:, None], size)[:, 0]:
            masks.append(enlarged_hw > threshold)
        return masks
    for of_map in zip(padded_mhw, above_mij, outline_mij, strict=True):
        masks.append(torch.from_numpy(_paint(*of_map, grid, threshold)))
    return masks


def _paint(
    padded_hw: np.ndarray,
    above_ij: np.ndarray,
    outline_ij: np.ndarray,
    grid: CellGrid,
    threshold: float,
) -> np.ndarray:
    """Make one boolean mask: whole cells first, then pixels of outline cells."""
    if outline_ij.mean() > MOST_OUTLINE:
        return _paint_rows(padded_hw, grid, threshold)
    padded_1hw, outline_1ij = padded_hw[None], outline_ij[None]
    mask: np.ndarray = above_ij.take(grid.columns.cell, axis=1).take(grid.rows.cell, axis=0)
    pixels, width = mask.reshape(-1), mask.shape[1]
    for cells in _portions(outline_1ij, grid):
        inside_rcn = interpolate_cells(padded_1hw, cells, grid) > threshold
        first_n = grid.rows.first[cells.row_n] * width + grid.columns.first[cells.column_n]
        slot_rc1 = np.indices(inside_rcn.shape[:2])
        place_rcn = first_n + (slot_rc1[0] * width + slot_rc1[1])[..., None]
        pixels[place_rcn[inside_rcn]] = True
    return mask


def _paint_rows(padded_hw: np.ndarray, grid: CellGrid, threshold: float) -> np.ndarray:
    """Interpolate every pixel, a band of rows at a time; faster where outlines are everywhere."""
    rows, columns = grid.rows.cell, grid.columns.cell
    near, far = _pixel_weights(grid.columns)
    wide_hx = grid.blend(
        padded_hw.take(columns, axis=1), near, padded_hw.take(columns + 1, axis=1), far
    )
    near, far = (weights[:, None] for weights in _pixel_weights(grid.rows))
    mask = np.empty((len(rows), len(columns)), dtype=bool)
    for begin in range(0, len(rows), ROWS_AT_A_TIME):
        band = slice(begin, begin + ROWS_AT_A_TIME)
        upper, lower = wide_hx.take(rows[band], axis=0), wide_hx.take(rows[band] + 1, axis=0)
        np.greater(grid.blend(upper, near[band], lower, far[band]), threshold, out=mask[band])
    return mask


def _pixel_weights(axis: CellAxis) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the values before and after each pixel of an axis."""
    slot = np.arange(len(axis.cell)) - axis.first[axis.cell]
    return axis.near[slot, axis.cell], axis.far[slot, axis.cell]


def _padded(logits_mhw: Tensor) -> np.ndarray:
    return add_margin(logits_mhw.detach().to(torch.float32).numpy())


def _portions(outline_mij: np.ndarray, grid: CellGrid) -> Iterator[CellIndex]:
    """Split the outline cells into portions that fit in the cache."""
    flat = np.flatnonzero(outline_mij)
    step = max(1, OUTLINE_PIXELS_AT_A_TIME // (len(grid.rows.near) * len(grid.columns.near)))
    for start in range(0, len(flat), step):
        yield CellIndex.from_flat(flat[start : start + step], outline_mij.shape)


@dataclass(frozen=True, slots=True, eq=False)
class _Tally:
    """Counters, filled in place: pixels above each level `(3, m)`, rows and columns of the mask."""

    counts: np.ndarray
    row_hits: np.ndarray
    column_hits: np.ndarray


def _settle(
    padded_mhw: np.ndarray, grid: CellGrid, levels: tuple[float, ...]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Find the cells entirely above each level, and those to interpolate."""
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
    """Mark the rows and columns of the picture with a pixel of the mask."""
    for hits, axis, cell_n, by_slot in (
        (tally.row_hits, grid.rows, cells.row_n, inside_rcn.swapaxes(0, 1)),
        (tally.column_hits, grid.columns, cells.column_n, inside_rcn),
    ):
        # Slot by slot: numpy's reduction over two short axes is ten times slower.
        slot, index = np.divmod(np.flatnonzero(reduce(np.logical_or, by_slot)), len(cell_n))
        hits[cells.map_n[index], axis.first[cell_n[index]] + slot] = True


def _boxes(tally: _Tally) -> Tensor:
    """Return the outermost rows and columns; zeros for an empty mask."""
    sides = []
    for hits in (tally.column_hits, tally.row_hits):
        last = hits.shape[1] - 1 - hits[:, ::-1].argmax(axis=1)
        sides.append((hits.argmax(axis=1), np.where(hits.any(axis=1), last, 0)))
    (x0, x1), (y0, y1) = sides
    return torch.from_numpy(np.stack([x0, y0, x1, y1], axis=1))
