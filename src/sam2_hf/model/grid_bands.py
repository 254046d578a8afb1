"""Work through a grid a band of rows at a time, so that what is made on the way stays in the cache.

Suffixes: b = images, h, w = rows and columns, c = channels.
"""

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor

CELLS_AT_ONCE = 4096  # of 96 to 384 channels: their MLP's hidden layer is 6 to 25 MB in float32


def in_bands(work: Callable[[Tensor], Tensor], grid_bhwc: Tensor, multiple: int = 1) -> Tensor:
    """Apply `work` to bands of rows and join what it returns.

    Args:
        work: From a grid to a grid; what it makes of a band may not depend on other bands, and has
            its rows in the same order, possibly fewer.
        grid_bhwc: The grid, any batch.
        multiple: How many rows belong together.

    Returns:
        What `work(grid_bhwc)` returns, up to the order of summation.
    """
    batch, height, width = grid_bhwc.shape[:3]
    rows = max(multiple, CELLS_AT_ONCE // width // multiple * multiple)
    together = max(1, CELLS_AT_ONCE // (height * width))  # small grids, whole
    if batch <= together and rows >= height:
        return work(grid_bhwc)
    if rows >= height:
        return torch.cat([work(images) for images in grid_bhwc.split(together)])
    images = [_one_image(work, image_1hwc, rows) for image_1hwc in grid_bhwc.split(1)]
    return images[0] if len(images) == 1 else torch.cat(images)


def _one_image(work: Callable[[Tensor], Tensor], image_1hwc: Tensor, rows: int) -> Tensor:
    """Fill the bands of one image in, so that no band has to be kept."""
    first, *others = image_1hwc.split(rows, dim=1)
    done_1hwc = work(first)
    if not others:
        return done_1hwc
    height = image_1hwc.shape[1] * done_1hwc.shape[1] // rows
    joined_1hwc = done_1hwc.new_empty((1, height, *done_1hwc.shape[2:]))
    begin = 0
    for band_1hwc in chain((done_1hwc,), map(work, others)):
        joined_1hwc[:, begin : begin + band_1hwc.shape[1]] = band_1hwc
        begin += band_1hwc.shape[1]
    return joined_1hwc
