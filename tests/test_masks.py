import numpy as np
import pytest
import torch
from torch.nn import functional

from sam2_hf.masks import (
    clean_masks,
    component_areas,
    fill_holes,
    masks_to_boxes,
    remove_sprinkles,
    resize_masks,
    stability_score,
    suppress_overlaps,
)


def drawn(*rows, inside=5.0, outside=-5.0):
    """Logits `(1, 1, h, w)` from a picture of # and dots."""
    flags = torch.tensor([[pixel == "#" for pixel in row] for row in rows])
    return torch.where(flags, inside, outside)[None, None]


def flood_areas(mask):
    """Size of each 8-connected patch by walking, pixel by pixel."""
    areas = np.zeros(mask.shape, dtype=int)
    for start in zip(*np.nonzero(mask), strict=True):
        if not areas[start]:
            patch = walk(mask, start)
            areas[tuple(np.array(patch).T)] = len(patch)
    return areas


def walk(mask, start):
    patch, seen = [start], {start}
    for y, x in patch:
        for place in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
            inside = 0 <= place[0] < mask.shape[0] and 0 <= place[1] < mask.shape[1]
            if inside and place not in seen and mask[place]:
                seen.add(place)
                patch.append(place)
    return patch


def test_masks_are_resized_in_float32_as_torch_does():
    logits = torch.randn(2, 3, 16, 16)
    expected = functional.interpolate(logits, (137, 50), mode="bilinear", align_corners=False)

    torch.testing.assert_close(resize_masks(logits, (137, 50)), expected)
    assert resize_masks(logits.bfloat16(), (137, 50)).dtype == torch.float32


def test_a_mask_is_resized_to_the_same_bits_in_any_company():
    logits = torch.randn(2, 3, 16, 16)

    together = resize_masks(logits, (137, 50))

    assert torch.equal(together[1:, 2:], resize_masks(logits[1:, 2:], (137, 50)))


def test_no_mask_and_no_change_of_size_are_fine():
    logits = torch.randn(1, 1, 4, 4)

    assert torch.equal(resize_masks(logits, (4, 4)), logits)
    assert resize_masks(logits[:0], (7, 9)).shape == (0, 1, 7, 9)


def test_each_pixel_goes_to_the_strongest_object():
    logits = torch.tensor([[1.0, 5.0, -3.0], [2.0, 4.0, -20.0]]).reshape(2, 1, 1, 3)

    apart = suppress_overlaps(logits)

    assert apart.flatten(1).tolist() == [[-10, 5, -3], [2, -10, -20]]
    assert logits.flatten(1).tolist() == [[1, 5, -3], [2, 4, -20]]


def test_the_masks_of_one_object_do_not_compete():
    logits = torch.randn(1, 3, 4, 4)

    assert torch.equal(suppress_overlaps(logits), logits)


def test_areas_of_patches_equal_a_walk_over_neighbors():
    masks = torch.rand(5, 12, 17, generator=torch.Generator().manual_seed(0)) > 0.6

    areas = component_areas(masks)

    assert np.array_equal(areas.numpy(), [flood_areas(mask.numpy()) for mask in masks])


def test_patches_touch_at_corners_but_never_across_masks():
    masks = torch.tensor([[[1, 0], [0, 1]], [[1, 0], [0, 0]]], dtype=torch.bool)

    assert component_areas(masks).tolist() == [[[2, 0], [0, 2]], [[1, 0], [0, 0]]]


def test_a_small_hole_is_filled_and_a_large_one_stays():
    logits = drawn("######", "#.#..#", "####.#", "######")

    filled = fill_holes(logits, 1)

    assert filled[0, 0, 1, 1] == 10
    assert filled[0, 0, 1, 3] == -5
    assert (logits == -5).sum() == 4


def test_the_threshold_moves_what_a_hole_is_and_what_fills_it():
    logits = drawn("###", "#.#", "###", inside=3.0, outside=1.0)

    assert fill_holes(logits, 1)[0, 0, 1, 1] == 1
    assert fill_holes(logits, 1, threshold=1.0)[0, 0, 1, 1] == 11


def test_a_small_sprinkle_is_removed_and_a_large_one_stays():
    logits = drawn("#....", "...##", ".....")

    swept = remove_sprinkles(logits, 1)

    assert swept[0, 0, 0, 0] == -10
    assert swept[0, 0, 1, 3] == 5


def test_an_area_of_nothing_changes_nothing():
    logits = drawn("#.#", "...", "#.#")

    assert fill_holes(logits, 0) is logits
    assert clean_masks(logits, 0, 0) is logits


def test_a_sprinkle_around_a_hole_is_judged_without_the_hole():
    """sam2/utils/transforms.py:87-104: both kinds are looked for in the mask as it came."""
    ring = drawn(".....", ".###.", ".#.#.", ".###.", ".....")

    cleaned = clean_masks(ring, max_hole_area=1, max_sprinkle_area=8)

    assert cleaned[0, 0, 2, 2] == 10
    assert (cleaned > 0).sum() == 1


def test_stability_is_the_smaller_mask_over_the_larger():
    logits = torch.tensor([[[2.0, 0.5, -0.5, -2.0]], [[2.0, 2.0, 2.0, -9.0]]])

    torch.testing.assert_close(stability_score(logits), torch.tensor([1 / 3, 1.0]))


def test_an_empty_mask_has_no_stability_so_that_every_limit_drops_it():
    score = stability_score(torch.full((1, 2, 2), -9.0))

    assert score.isnan().all()
    assert not (score >= 0.0).any()


def test_rows_longer_than_a_short_integer_are_counted():
    logits = torch.full((1, 1, 40_000), 9.0)

    assert stability_score(logits).tolist() == [1.0]


@pytest.mark.parametrize(
    ("rows", "box"),
    [
        (["...", "..."], [0, 0, 0, 0]),
        (["..#", "..."], [2, 0, 2, 0]),
        (["...", ".##"], [1, 1, 2, 1]),
        (["###", "###"], [0, 0, 2, 1]),
    ],
)
def test_a_box_reaches_from_the_first_to_the_last_pixel(rows, box):
    mask = drawn(*rows) > 0

    assert masks_to_boxes(mask).tolist() == [[box]]
    assert masks_to_boxes(mask[0, 0]).tolist() == box


def test_no_mask_has_no_box():
    assert masks_to_boxes(torch.zeros(0, 4, 4, dtype=torch.bool)).shape == (0, 4)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_masks():
    logits = functional.interpolate(torch.randn(4, 3, 20, 20), (64, 64), mode="bilinear")

    for function in (lambda x: clean_masks(x, 20, 20), suppress_overlaps, stability_score):
        assert torch.equal(function(logits.cuda()).cpu(), function(logits))
