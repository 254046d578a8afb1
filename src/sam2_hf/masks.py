"""Mask logits after the decoder: resize them, suppress overlaps, fill holes, measure stability.

Small components are found on an accelerator without synchronization.

Suffixes: b = objects, k = masks of one object, m = any masks, h, w = rows and columns. Logits are
unbounded; a mask is where they are above a threshold (0 unless said otherwise).
"""

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

# Each round is a few passes over the masks; beyond this the host counts components faster.
MOST_ROUNDS = 64


def small_patches(masks_mhw: Tensor, max_area: int) -> Tensor:
    """Mark connected components of at most `max_area` pixels (8-connectivity).

    Every pixel starts with a unique label and takes the maximum label of its neighbors. After
    `max_area` rounds a component of that many pixels has a single label. If two neighbors still
    differ, the component is larger.

    Args:
        masks_mhw: `(m, h, w)`, boolean.
        max_area: Pixels of the largest component to mark, at most `MOST_ROUNDS`.

    Returns:
        `(m, h, w)`, boolean.
    """
    count, height, width = masks_mhw.shape
    own_hw = torch.arange(1, height * width + 1, device=masks_mhw.device).reshape(height, width)
    inside_m1hw = masks_mhw[:, None].float()  # float32 holds every integer up to 2 ** 24
    numbers_m1hw = inside_m1hw * own_hw
    for _ in range(max_area):
        numbers_m1hw = _highest_near(numbers_m1hw) * inside_m1hw
    # outside counts as infinite in the minimum over neighbors
    lowest_m1hw = -_highest_near(-numbers_m1hw.where(masks_mhw[:, None], torch.inf))
    is_open_m1hw = (lowest_m1hw < numbers_m1hw) | (_highest_near(numbers_m1hw) > numbers_m1hw)
    patch_mn = numbers_m1hw.flatten(1).long()
    bins = torch.zeros(count, height * width + 1, dtype=torch.int32, device=masks_mhw.device)
    area_mn = bins.scatter_add(1, patch_mn, torch.ones_like(patch_mn, dtype=torch.int32))
    open_mn = bins.scatter_add(1, patch_mn, is_open_m1hw.flatten(1).int())
    is_small_mn = (area_mn <= max_area) & (open_mn == 0)
    return is_small_mn.gather(1, patch_mn).reshape(masks_mhw.shape) & masks_mhw


def _highest_near(values_m1hw: Tensor) -> Tensor:
    return functional.max_pool2d(values_m1hw, kernel_size=3, stride=1, padding=1)


HOLE_FILL_MARGIN = 10.0  # distance of a cleaned pixel from the threshold, as in the original
TRACKED_HOLE_MARGIN = 0.1  # the same on tracked frames, whose logits are fed back to the decoder
APART_LOGIT = -10.0  # upper bound of a pixel where another object is stronger (sigmoid 4.5e-5)
EIGHT_NEIGHBORS = np.stack([np.zeros((3, 3), bool), np.ones((3, 3), bool), np.zeros((3, 3), bool)])


def resize_masks(logits_bkhw: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize mask logits, bilinear.

    Args:
        logits_bkhw: `(b, k, h, w)`, logits of any float type.
        size: Target `(height, width)`.

    Returns:
        `(b, k, height, width)`, float32; bits do not depend on the number of masks.

    Source: sam2/utils/transforms.py:117 @ 2b90b9f.
    """
    logits = logits_bkhw.to(torch.float32)  # half precision leaves steps along the outline
    if logits.shape[-2:] == tuple(size):
        return logits
    if logits.numel() == 0:  # interpolation refuses an empty batch
        return logits.new_zeros((*logits.shape[:-2], *size))
    # One map per batch entry: with one thread, several channels use another kernel of torch,
    # which is half as fast and differs in the last bit.
    flat = logits.reshape(-1, 1, *logits.shape[-2:])
    enlarged = functional.interpolate(flat, size, mode="bilinear", align_corners=False)
    return enlarged.reshape(*logits.shape[:-2], *size)


def suppress_overlaps(logits_bkhw: Tensor) -> Tensor:
    """Keep each pixel only for its strongest object.

    Args:
        logits_bkhw: `(b, k, h, w)`; objects compete, the masks of one object do not.

    Returns:
        New tensor of the same shape: losers are at most `APART_LOGIT`.

    Source: sam2/modeling/sam2_base.py:893-909 @ 2b90b9f.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0], [3.0, -4.0]]).reshape(2, 1, 1, 2)
        >>> (suppress_overlaps(logits) > 0).flatten().tolist()
        [False, True, True, False]
    """
    winner_1khw = logits_bkhw.argmax(dim=0, keepdim=True)
    number_b111 = torch.arange(len(logits_bkhw), device=logits_bkhw.device)[:, None, None, None]
    return logits_bkhw.where(winner_1khw == number_b111, logits_bkhw.clamp(max=APART_LOGIT))


def component_areas(masks_mhw: Tensor) -> Tensor:
    """Compute for every pixel the area of its connected component (8-connectivity).

    Args:
        masks_mhw: `(m, h, w)`, boolean, any device.

    Returns:
        `(m, h, w)`, int32: area of the component in pixels, 0 outside the mask.

    Source: sam2/utils/misc.py:47-63 @ 2b90b9f (there a CUDA extension).
    Differs: runs on the host, with equal results for every device.
    """
    host = masks_mhw.detach().cpu().numpy()
    # One call for the whole stack: the structure does not connect masks.
    labels, _ = ndimage.label(host, structure=EIGHT_NEIGHBORS)
    areas = np.bincount(labels.reshape(-1), minlength=1).astype(np.int32)
    areas[0] = 0
    return torch.from_numpy(areas[labels]).to(masks_mhw.device)


def fill_holes(
    logits: Tensor, max_area: float, threshold: float = 0.0, margin: float = HOLE_FILL_MARGIN
) -> Tensor:
    """Fill holes of at most `max_area` pixels.

    Args:
        logits: `(..., h, w)`. The original does this before the resize, so `max_area` counts
            pixels of the low-resolution mask.
        max_area: Largest hole to fill, in pixels of `logits`; 0 fills none.
        threshold: Threshold of the mask.
        margin: Distance of a filled hole above the threshold; `TRACKED_HOLE_MARGIN` in videos.

    Returns:
        New tensor (or `logits` itself if there is nothing to do); a filled hole is
        `threshold + margin`.

    Source: sam2/utils/transforms.py:77-104 and sam2/utils/misc.py:312-338 @ 2b90b9f.
    """
    return _repaint_small(logits, logits <= threshold, max_area, threshold + margin)


def remove_sprinkles(logits: Tensor, max_area: float, threshold: float = 0.0) -> Tensor:
    """Remove components of at most `max_area` pixels; they become `threshold - 10`.

    Arguments and result as in `fill_holes`, which the original runs first.
    """
    return _repaint_small(logits, logits > threshold, max_area, threshold - HOLE_FILL_MARGIN)


def clean_masks(
    logits: Tensor, max_hole_area: float, max_sprinkle_area: float, threshold: float = 0.0
) -> Tensor:
    """Fill holes and remove sprinkles, both found in the given mask.

    A sprinkle around a hole is measured without the hole; the filled hole stays.

    Args:
        logits: `(..., h, w)`, low resolution.
        max_hole_area: As in `fill_holes`.
        max_sprinkle_area: As in `remove_sprinkles`.
        threshold: Threshold of the mask.

    Returns:
        New tensor, or `logits` itself if there is nothing to do.

    Source: sam2/utils/transforms.py:77-104 @ 2b90b9f.
    """
    filled = fill_holes(logits, max_hole_area, threshold)
    if max_sprinkle_area <= 0:
        return filled
    swept = remove_sprinkles(logits, max_sprinkle_area, threshold)
    # A hole is below the threshold and a sprinkle above, so no pixel is both.
    return filled.where(logits <= threshold, swept)


def _repaint_small(logits: Tensor, patches: Tensor, max_area: float, value: float) -> Tensor:
    if max_area <= 0 or logits.numel() == 0:
        return logits
    patches_mhw = patches.reshape(-1, *patches.shape[-2:])
    # scattered sums on a GPU are refused in deterministic mode, although these are exact
    on_host = patches.is_cpu or torch.are_deterministic_algorithms_enabled()
    if on_host or max_area > MOST_ROUNDS:
        areas = component_areas(patches_mhw)
        is_small = (areas > 0) & (areas <= max_area)
    else:
        is_small = small_patches(patches_mhw, int(max_area))
    return logits.masked_fill(is_small.reshape(logits.shape), value)


def stability_score(logits_mhw: Tensor, threshold: float = 0.0, offset: float = 1.0) -> Tensor:
    """Compute the stability of masks under a shift of the threshold.

    Args:
        logits_mhw: `(..., h, w)`.
        threshold: Threshold of the mask.
        offset: Shift of the threshold up and down.

    Returns:
        `(...)`: pixels above the higher threshold over pixels above the lower one, 0-1. NaN if no
        pixel is above the lower one, so `score >= limit` drops an empty mask, as in the original.

    Source: sam2/utils/amg.py:158-177 @ 2b90b9f.
    """
    above = _count_above(logits_mhw, threshold + offset)
    below = _count_above(logits_mhw, threshold - offset)
    return above / below


def _count_above(logits: Tensor, threshold: float) -> Tensor:
    """Count pixels above a threshold, first per row in the narrowest sufficient type."""
    row_type = torch.int16 if logits.shape[-1] <= torch.iinfo(torch.int16).max else torch.int32
    rows = (logits > threshold).sum(dim=-1, dtype=row_type)
    return rows.sum(dim=-1, dtype=torch.int32)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """Compute the box around each mask.

    Args:
        masks: `(..., h, w)`, boolean.

    Returns:
        `(..., 4)`, int64: x0, y0, x1, y1 of the outermost pixels (x1 and y1 inclusive); zeros for
        an empty mask.

    Source: sam2/utils/amg.py:307-348 @ 2b90b9f.
    """
    flags = masks.view(torch.uint8)  # the maximum of bytes is much faster than `any`
    x0, x1 = _extent(flags.amax(dim=-2))
    y0, y1 = _extent(flags.amax(dim=-1))
    return torch.stack([x0, y0, x1, y1], dim=-1)


def _extent(flags: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and last 1 along the last axis; 0 and 0 if there is none."""
    first = flags.argmax(dim=-1)
    last = flags.shape[-1] - 1 - flags.flip(-1).argmax(dim=-1)
    return first, last * flags.amax(dim=-1)
