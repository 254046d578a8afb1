"""Cut a grid into windows and put them together again.

Suffixes: b = images, n = windows of all images, h, w = rows and columns of the grid, c = channels.
"""

from torch import Tensor
from torch.nn import functional


def pool(grid_bhwc: Tensor, stride: tuple[int, int]) -> Tensor:
    """Keep the maximum of each `stride` cell; what does not fill a cell is dropped."""
    # channels stay last in memory, both ways; two to three times faster than `maximum` of slices,
    # whose gradient has to find out again which one was largest
    return functional.max_pool2d(grid_bhwc.permute(0, 3, 1, 2), stride).permute(0, 2, 3, 1)


def split_windows(grid_bhwc: Tensor, size: int) -> Tensor:
    """Cut a grid, padded with zeros, into windows: `(b, h, w, c)` -> `(n, size, size, c)`."""
    height, width = grid_bhwc.shape[1:3]
    padded = functional.pad(grid_bhwc, (0, 0, 0, -width % size, 0, -height % size))
    cells = padded.unflatten(2, (-1, size)).unflatten(
        1, (-1, size)
    )  # (b, rows, size, columns, size, c)
    return cells.transpose(2, 3).flatten(0, 2)


def join_windows(windows_nhwc: Tensor, batch: int, grid: tuple[int, int]) -> Tensor:
    """Undo `split_windows`: `(n, size, size, c)` -> `(batch, *grid, c)`."""
    size = windows_nhwc.shape[1]
    rows = -(-grid[0] // size)
    cells = windows_nhwc.unflatten(0, (batch, rows, -1)).transpose(2, 3)
    return cells.flatten(3, 4).flatten(1, 2)[:, : grid[0], : grid[1]]
