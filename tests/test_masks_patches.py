import numpy as np
import pytest
import torch

from sam2_hf.masks import component_areas, fill_holes, small_patches


def speckled(share, seed=0, size=(3, 61, 47)):
    return torch.from_numpy(np.random.default_rng(seed).random(size) < share)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.9])
@pytest.mark.parametrize("max_area", [1, 2, 8, 20])
def test_equals_counting_on_the_host(share, max_area):
    masks = speckled(share)
    areas = component_areas(masks)
    found = small_patches(masks, max_area)
    assert torch.equal(found, (areas > 0) & (areas <= max_area))
    assert found.any() or share > 0.4 or max_area == 1


def test_a_winding_patch_of_just_the_size_is_found_and_one_pixel_more_is_not():
    mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[0, range(10), range(10)] = True  # a diagonal: as long as a patch of 10 pixels can be
    assert torch.equal(small_patches(mask, 10), mask)
    assert not small_patches(mask, 9).any()


def test_two_long_patches_that_touch_only_outside_stay_apart():
    mask = torch.zeros(1, 5, 9, dtype=torch.bool)
    mask[0, 0, :4], mask[0, 2, :] = True, True
    assert torch.equal(small_patches(mask, 4)[0, 0], mask[0, 0])
    assert not small_patches(mask, 4)[0, 2].any()


def test_needs_nothing_from_the_host():
    """On the meta device there are no numbers to look at."""
    logits = torch.zeros(2, 32, 32, device="meta")
    assert fill_holes(logits, 8).device.type == "meta"
