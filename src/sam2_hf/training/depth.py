"""How deep in a region pixels lie, for many masks at once and on any device.

Suffixes: n = masks, h, w = rows and columns.
"""

import torch
from torch import Tensor
from torch.nn import functional

PIXELS = 2**28  # of the masks that are worked on at a time, which bounds memory: 8 GiB
TOGETHER = 128  # masks of like depth that are looked through together
INT16_REACH = 127  # up to which the sum of two squares fits in 16 bits


def deepest_pixels(region_nhw: Tensor) -> tuple[Tensor, Tensor]:
    """Find the pixel of each region that is farthest from everything outside, by exact distance.

    What lies beyond the frame is outside too. Of several such pixels the first in reading order is
    taken.

    Args:
        region_nhw: bool.

    Returns:
        Squares of the distances in pixels, `(n,)`, int64, and x and y of the pixels counted from 0,
        `(n, 2)`, int64; all 0 for an empty region.
    """
    height, width = region_nhw.shape[1:]
    found = [_deepest_of(part) for part in region_nhw.split(max(PIXELS // (height * width), 1))]
    squares_n, places_n = (torch.cat(parts) for parts in zip(*found, strict=True))
    return squares_n, torch.stack((places_n % width, places_n // width), dim=1)


def _deepest_of(region_nhw: Tensor) -> tuple[Tensor, Tensor]:
    """Find the squared depth and the place `y * w + x` of the deepest pixel of each mask."""
    rows_nhw, columns_nhw = (_to_the_outside(region_nhw, dim=dim) for dim in (1, 2))
    bound_n = torch.minimum(rows_nhw, columns_nhw).amax(dim=(1, 2))
    # masks of like depth go together, as the deepest of some decides how far all have to look
    order_n = bound_n.argsort()
    bounds = bound_n[order_n].tolist()
    found = [
        _look_aside(rows_nhw[chosen], max(bounds[first * TOGETHER :][:TOGETHER], default=0))
        for first, chosen in enumerate(order_n.split(TOGETHER))
    ]
    back_n = order_n.argsort()
    squares_n, places_n = (torch.cat(parts)[back_n] for parts in zip(*found, strict=True))
    return squares_n, places_n


def _to_the_outside(region_nhw: Tensor, *, dim: int) -> Tensor:
    """Measure the distance to the nearest pixel outside along one axis, int32."""
    size = region_nhw.shape[dim]
    shape = [-1 if axis == dim else 1 for axis in range(region_nhw.dim())]
    place = torch.arange(size, device=region_nhw.device, dtype=torch.int32).view(shape)
    before = torch.where(region_nhw, -1, place).cummax(dim=dim).values
    after = torch.where(region_nhw, size, place).flip(dim).cummin(dim=dim).values.flip(dim)
    return torch.minimum(place - before, after - place)


def _look_aside(rows_nhw: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Find what `_deepest_of` does, from the distances along one axis.

    Args:
        rows_nhw: Distance to the outside along columns of pixels.
        reach: Pixels than which none lies deeper.
    """
    kind = torch.int16 if reach <= INT16_REACH else torch.int32
    squares_nhw = rows_nhw.clamp(max=reach).to(kind).square()
    # beyond the frame all is outside
    padded = functional.pad(squares_nhw, (reach, reach))
    width = squares_nhw.shape[2]
    for aside in range(1, reach + 1):
        left = padded[..., reach - aside : reach - aside + width]
        right = padded[..., reach + aside : reach + aside + width]
        nearer = torch.minimum(left, right).add_(aside * aside)
        torch.minimum(squares_nhw, nearer, out=squares_nhw)
    flat_nx = squares_nhw.flatten(1)
    most_n = flat_nx.amax(dim=1)
    count = flat_nx.shape[1]
    place = torch.arange(count, device=flat_nx.device)
    first_n = torch.where(flat_nx == most_n[:, None], place, count).amin(dim=1)
    return most_n.long(), first_n
