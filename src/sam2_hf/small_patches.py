"""Find the small connected patches of masks on an accelerator, without asking the host.

Suffixes: m = masks, h, w = rows and columns.
"""

import torch
from torch import Tensor
from torch.nn import functional

# Each round is a few passes over the masks; beyond this the host counts patches in less time.
MOST_ROUNDS = 64


def small_patches(masks_mhw: Tensor, max_area: int) -> Tensor:
    """Mark the patches of at most `max_area` pixels (8 neighbours).

    Every pixel starts with a number of its own and takes over the highest of its neighbours'. After
    `max_area` rounds a patch of that many pixels has a single number. Where two neighbours still
    differ, the patch is larger, whatever is counted.

    Args:
        masks_mhw: `(m, h, w)`, boolean.
        max_area: Pixels of the largest patch to mark, at most `MOST_ROUNDS`.

    Returns:
        `(m, h, w)`, boolean.
    """
    count, height, width = masks_mhw.shape
    own_hw = torch.arange(1, height * width + 1, device=masks_mhw.device).reshape(height, width)
    inside_m1hw = masks_mhw[:, None].float()  # float32 holds every number up to 2 ** 24
    numbers_m1hw = inside_m1hw * own_hw
    for _ in range(max_area):
        numbers_m1hw = _highest_near(numbers_m1hw) * inside_m1hw
    # outside counts as infinitely high where the lowest neighbour is looked for
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
