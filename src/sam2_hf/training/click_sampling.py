"""Sampling of prompts: clicks on errors or on the object, and noisy boxes.

The depth of a pixel is its distance to the border of its region, computed for many masks at once
on any device.

Suffixes: n = objects or masks, h, w = rows and columns of the true masks, which are those of the
model's input, so that pixels of a mask are model pixels; k = random numbers of one prompt.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from torch import Tensor
from torch.nn import functional

PIXELS = 2**28  # of the masks processed at a time, which bounds memory to 8 GiB
TOGETHER = 128  # masks of similar depth that are processed together
INT16_REACH = 127  # up to which the sum of two squares fits in 16 bits


def deepest_pixels(region_nhw: Tensor) -> tuple[Tensor, Tensor]:
    """Find the pixel of each region farthest from its outside, by exact Euclidean distance.

    Beyond the frame counts as outside. Ties go to the first pixel in row-major order.

    Args:
        region_nhw: bool.

    Returns:
        Squared distances in pixels, `(n,)`, int64, and x and y of the pixels from 0, `(n, 2)`,
        int64; all 0 for an empty region.
    """
    height, width = region_nhw.shape[1:]
    found = [_deepest_of(part) for part in region_nhw.split(max(PIXELS // (height * width), 1))]
    squares_n, places_n = (torch.cat(parts) for parts in zip(*found, strict=True))
    return squares_n, torch.stack((places_n % width, places_n // width), dim=1)


def _deepest_of(region_nhw: Tensor) -> tuple[Tensor, Tensor]:
    """Find the squared depth and the place `y * w + x` of the deepest pixel of each mask."""
    rows_nhw, columns_nhw = (_distance_along(region_nhw, dim=dim) for dim in (1, 2))
    bound_n = torch.minimum(rows_nhw, columns_nhw).amax(dim=(1, 2))
    # masks of similar depth are batched, since the deepest of a batch sets the search radius
    order_n = bound_n.argsort()
    bounds = bound_n[order_n].tolist()
    found = [
        _deepest_from_rows(rows_nhw[chosen], max(bounds[first * TOGETHER :][:TOGETHER], default=0))
        for first, chosen in enumerate(order_n.split(TOGETHER))
    ]
    back_n = order_n.argsort()
    squares_n, places_n = (torch.cat(parts)[back_n] for parts in zip(*found, strict=True))
    return squares_n, places_n


def _distance_along(region_nhw: Tensor, *, dim: int) -> Tensor:
    """Measure the distance to the nearest pixel outside along one axis, int32."""
    size = region_nhw.shape[dim]
    shape = [-1 if axis == dim else 1 for axis in range(region_nhw.dim())]
    place = torch.arange(size, device=region_nhw.device, dtype=torch.int32).view(shape)
    before = torch.where(region_nhw, -1, place).cummax(dim=dim).values
    after = torch.where(region_nhw, size, place).flip(dim).cummin(dim=dim).values.flip(dim)
    return torch.minimum(place - before, after - place)


def _deepest_from_rows(rows_nhw: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Compute `_deepest_of` from the distances along one axis.

    Args:
        rows_nhw: Distance to the outside along columns of pixels.
        reach: Upper bound of the depth, pixels.
    """
    kind = torch.int16 if reach <= INT16_REACH else torch.int32
    squares_nhw = rows_nhw.clamp(max=reach).to(kind).square()
    # beyond the frame is outside
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


@dataclass(frozen=True, slots=True, eq=False)
class Clicks:
    """One click for each object.

    Attributes:
        xy_n2: Model pixels, float32.
        labels_n: 1 positive, 0 negative, int64.
    """

    xy_n2: Tensor
    labels_n: Tensor


def draw_numbers(
    objects_per_clip: Sequence[int],
    seeds: Sequence[int] | None,
    prompts: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Draw everything random about the prompts of a batch of clips.

    Args:
        objects_per_clip: Number of objects of each clip.
        seeds: One for each clip, which determines its numbers; None uses torch's global generator.
        prompts: Frames of each clip, and maximum number of prompts of an object on a frame.
        device: Target device.

    Returns:
        `(objects of all clips, *prompts, 4)`, 0 to below 1.
    """
    shape = (*prompts, 4)  # one for each side of a box; a click uses the first
    if seeds is None:
        return torch.rand((sum(objects_per_clip), *shape)).to(device)
    drawn = [
        torch.rand((count, *shape), generator=torch.Generator().manual_seed(int(seed)))
        for count, seed in zip(objects_per_clip, seeds, strict=True)
    ]
    return torch.cat(drawn).to(device)


def uniform_clicks(truth_nhw: Tensor, guess_nhw: Tensor | None, numbers_n: Tensor) -> Clicks:
    """Click on a uniformly random pixel of the error.

    Without an error, the click is on the background, or on an object that fills the frame.

    Args:
        truth_nhw: True masks, bool.
        guess_nhw: Predicted masks, bool; None for a click onto the object.
        numbers_n: Choice of the pixel, in [0, 1).

    Source: sam2/modeling/sam2_utils.py:192-240 @ 2b90b9f.
    Differs: one random number per object instead of two per pixel; the same distribution. On a
        correctly segmented object that fills the frame, the original clicks at (0, 0) with a
        negative label.
    """
    region_nhw = truth_nhw if guess_nhw is None else truth_nhw ^ guess_nhw
    rows_nh = region_nhw.sum(dim=2, dtype=torch.int32)  # four times as fast as int64
    nothing_n = rows_nh.sum(dim=1) == 0
    if bool(nothing_n.any()):
        region_nhw = _or_background(region_nhw, truth_nhw, nothing_n)
        rows_nh = region_nhw.sum(dim=2, dtype=torch.int32)
    ends_nh = rows_nh.cumsum(dim=1)
    count_n = ends_nh[:, -1]
    wanted_n1 = torch.minimum((numbers_n * count_n).long(), count_n - 1)[:, None]
    y_n1 = torch.searchsorted(ends_nh, wanted_n1, right=True)
    wanted_n1 = wanted_n1 - (ends_nh - rows_nh).gather(1, y_n1)
    each = torch.arange(len(truth_nhw), device=truth_nhw.device)[:, None]
    ends_nw = region_nhw[each[:, 0], y_n1[:, 0]].cumsum(dim=1)
    x_n1 = torch.searchsorted(ends_nw, wanted_n1, right=True)
    labels_n1 = truth_nhw[each, y_n1, x_n1]
    return Clicks(torch.cat((x_n1, y_n1), dim=1).float(), labels_n1[:, 0].long())


def innermost_clicks(truth_nhw: Tensor, guess_nhw: Tensor | None) -> Clicks:
    """Click on the center of the error: its pixel farthest from its border.

    Without an error, the click is on the background, or on an object that fills the frame. The CPU
    processes objects one by one, other devices in a batch; the clicks are equal.

    Args:
        truth_nhw: True masks, bool.
        guess_nhw: Predicted masks, bool; None for a click onto the object.

    Source: sam2/modeling/sam2_utils.py:243-304 @ 2b90b9f.
    Differs: without an error, the original clicks at (0, 0) with a negative label.
    """
    if guess_nhw is None:
        guess_nhw = torch.zeros_like(truth_nhw)
    if truth_nhw.device.type != "cpu":
        return deepest_clicks(truth_nhw, guess_nhw)
    pairs = zip(truth_nhw.numpy(), guess_nhw.numpy(), strict=True)
    found = [_innermost_click(*masks) for masks in pairs]
    xyl = torch.tensor(found, dtype=torch.int64).reshape(-1, 3)
    return Clicks(xyl[:, :2].float(), xyl[:, 2])


def deepest_clicks(truth_nhw: Tensor, guess_nhw: Tensor) -> Clicks:
    """Batched version of `innermost_clicks`, for any device.

    Args:
        truth_nhw: True masks, bool.
        guess_nhw: Predicted masks, bool.
    """
    missed_nhw, wrong_nhw = truth_nhw & ~guess_nhw, guess_nhw & ~truth_nhw
    fine_n11 = ~(missed_nhw | wrong_nhw).any(dim=2).any(dim=1)[:, None, None]
    fills_n11 = truth_nhw.all(dim=2).all(dim=1)[:, None, None]
    missed_nhw = torch.where(fine_n11 & fills_n11, truth_nhw, missed_nhw)
    wrong_nhw = torch.where(fine_n11 & ~fills_n11, ~truth_nhw, wrong_nhw)
    squares_2n, xy_2n2 = deepest_pixels(torch.cat((missed_nhw, wrong_nhw)))
    missed_n, wrong_n = squares_2n.chunk(2)
    missed_n2, wrong_n2 = xy_2n2.chunk(2)
    is_missed_n = missed_n > wrong_n
    xy_n2 = torch.where(is_missed_n[:, None], missed_n2, wrong_n2)
    return Clicks(xy_n2.float(), is_missed_n.long())


def noisy_boxes(truth_nhw: Tensor, numbers_n4: Tensor, noise: float, limit: float) -> Tensor:
    """Draw a noisy box around each object, like a person's.

    Args:
        truth_nhw: True masks, bool. An empty mask gives an inverted box, from the lower right
            corner of the frame to the upper left one.
        numbers_n4: Offset of each side, in [0, 1).
        noise: Largest offset, as a fraction of the box's width or height.
        limit: Largest offset, model pixels.

    Returns:
        `(n, 4)`: x and y of the first and the last pixel, model pixels.

    Source: sam2/modeling/sam2_utils.py:140-189 and sam2/utils/misc.py:67-90 @ 2b90b9f.
    """
    height, width = truth_nhw.shape[-2:]
    x_n2 = _first_and_last(truth_nhw.any(dim=1))
    y_n2 = _first_and_last(truth_nhw.any(dim=2))
    box_n4 = torch.stack((x_n2[:, 0], y_n2[:, 0], x_n2[:, 1], y_n2[:, 1]), dim=1).float()
    if noise <= 0:
        return box_n4
    sides_n2 = box_n4[:, 2:] - box_n4[:, :2]
    most_n4 = (sides_n2 * noise).clamp(max=limit).repeat(1, 2)
    box_n4 = box_n4 + (2 * numbers_n4 - 1) * most_n4
    bounds = box_n4.new_tensor([width - 1, height - 1, width - 1, height - 1])
    return box_n4.clamp(min=torch.zeros_like(bounds), max=bounds)


def _or_background(region_nhw: Tensor, truth_nhw: Tensor, nothing_n: Tensor) -> Tensor:
    """Replace empty regions by the background, or by the object if there is none."""
    fills_n11 = truth_nhw.flatten(1).all(dim=1)[:, None, None]
    instead_nhw = torch.where(fills_n11, truth_nhw, ~truth_nhw)
    return torch.where(nothing_n[:, None, None], instead_nhw, region_nhw)


def _innermost_click(
    truth_hw: NDArray[np.bool_], guess_hw: NDArray[np.bool_]
) -> tuple[int, int, int]:
    """Find x, y and label of one click."""
    missed, wrong = truth_hw & ~guess_hw, guess_hw & ~truth_hw
    if not missed.any() and not wrong.any():
        missed, wrong = (truth_hw, wrong) if truth_hw.all() else (missed, ~truth_hw)
    depth_missed, x_missed, y_missed = innermost_pixel(missed)
    depth_wrong, x_wrong, y_wrong = innermost_pixel(wrong)
    if depth_missed > depth_wrong:
        return x_missed, y_missed, 1
    return x_wrong, y_wrong, 0


def innermost_pixel(region_hw: NDArray[np.bool_]) -> tuple[float, int, int]:
    """Find the pixel of a region farthest from its outside, by exact Euclidean distance.

    Beyond the frame counts as outside. Ties go to the first pixel in row-major order.

    Args:
        region_hw: `(height, width)` bool, in one piece or several.

    Returns:
        Its distance in pixels, and its x and y from 0; all 0 for an empty region.
    """
    rows, columns = (np.flatnonzero(region_hw.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return 0.0, 0, 0
    top, left = rows[0], columns[0]
    crop = region_hw[top : rows[-1] + 1, left : columns[-1] + 1]
    # the frame's edge counts as a border of the object
    depth = distance_transform_edt(np.pad(crop, 1))[1:-1, 1:-1]
    y, x = divmod(int(depth.argmax()), depth.shape[1])
    return float(depth[y, x]), int(left) + x, int(top) + y


def _first_and_last(line_nk: Tensor) -> Tensor:
    """Find the first and last True of each line, `(n, 2)`; its length and -1 if there is none."""
    length = line_nk.shape[1]
    place = torch.arange(length, device=line_nk.device)
    first = torch.where(line_nk, place, length).amin(dim=1)
    return torch.stack((first, torch.where(line_nk, place, -1).amax(dim=1)), dim=1)
