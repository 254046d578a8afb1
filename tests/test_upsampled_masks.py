import pytest
import torch
from torch.nn import functional

from sam2_hf import upsampled_masks as module
from sam2_hf.masks import masks_to_boxes, resize_masks, stability_score, suppress_overlaps
from sam2_hf.upsampled_masks import (
    masks_at_size,
    upsampled_logits,
    upsampled_masks,
    upsampled_statistics,
)

SIZES = [((64, 64), (300, 450)), ((32, 32), (301, 107)), ((64, 64), (40, 50)), ((8, 8), (600, 400))]
ROUGHNESS = [1, 4, 16]  # values of noise along a side: few make blobs, many make grain


def noisy_logits(size, roughness, count=5):
    generator = torch.Generator().manual_seed(roughness)
    noise = torch.randn(count, 1, roughness, roughness, generator=generator) * 6
    logits = functional.interpolate(noise, size, mode="bicubic")[:, 0].contiguous()
    logits[0] = -9  # nothing
    logits[1, 2:4, 3] = 9  # a speck
    logits[2] += 40  # everything
    return logits


def enlarged_one_by_one(logits, size):
    return torch.cat(
        [
            functional.interpolate(one[None, None], size, mode="bilinear", align_corners=False)[0]
            for one in logits
        ]
    )


@pytest.mark.parametrize("threshold", [0.0, 0.7])
@pytest.mark.parametrize("offset", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("roughness", ROUGHNESS)
@pytest.mark.parametrize(("size", "pixels"), SIZES)
def test_statistics_equal_those_of_resized_masks(size, pixels, roughness, offset, threshold):
    logits = noisy_logits(size, roughness)
    enlarged = enlarged_one_by_one(logits, pixels)

    found = upsampled_statistics(logits, pixels, threshold=threshold, offset=offset)

    expected = stability_score(enlarged, threshold, offset)
    torch.testing.assert_close(found.stability_m, expected, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(found.area_m, (enlarged > threshold).sum(dim=(1, 2)))
    assert torch.equal(found.boxes_m4, masks_to_boxes(enlarged > threshold))


@pytest.mark.parametrize("roughness", ROUGHNESS)
@pytest.mark.parametrize(("size", "pixels"), SIZES)
def test_masks_equal_resized_masks(size, pixels, roughness):
    logits = noisy_logits(size, roughness)

    found = torch.stack(list(upsampled_masks(logits, pixels, threshold=0.2)))

    assert torch.equal(found, enlarged_one_by_one(logits, pixels) > 0.2)


@pytest.mark.parametrize("most_outline", [0.0, 1.0], ids=["whole rows", "cells"])
@pytest.mark.parametrize("roughness", ROUGHNESS)
@pytest.mark.parametrize(("size", "pixels"), SIZES)
def test_both_ways_to_enlarge_a_mask_are_exact(size, pixels, roughness, most_outline, monkeypatch):
    monkeypatch.setattr(module, "MOST_OUTLINE", most_outline)
    logits = noisy_logits(size, roughness)

    found = torch.stack(list(upsampled_masks(logits, pixels, threshold=0.2)))

    assert torch.equal(found, enlarged_one_by_one(logits, pixels) > 0.2)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("part", [1, 1 << 23], ids=["map by map", "at once"])
def test_the_number_of_threads_changes_no_mask(threads, part, monkeypatch):
    """With several threads, torch enlarges maps with outlines everywhere."""
    size = (300, 450)
    logits = noisy_logits((64, 64), 64)
    expected = enlarged_one_by_one(logits, size) > 0
    monkeypatch.setattr(module, "WHOLE_PIXELS_AT_A_TIME", part)
    monkeypatch.setattr(module.torch, "get_num_threads", lambda: threads)
    whole = []
    monkeypatch.setattr(
        module,
        "resize_masks",
        lambda maps, size: whole.append(len(maps)) or resize_masks(maps, size),
    )

    assert torch.equal(masks_at_size(logits, size), expected)
    assert bool(whole) == (threads > 1)


def test_logits_at_the_very_threshold_are_below_it():
    logits = torch.zeros(1, 64, 64)

    found = upsampled_statistics(logits, (200, 300), threshold=0.0, offset=0.0)

    assert found.area_m.tolist() == [0]
    assert found.stability_m.isnan().all()


def test_values_that_are_no_numbers_are_inside_nothing():
    logits = torch.full((1, 64, 64), 5.0)
    logits[0, 10, 10] = float("nan")
    enlarged = enlarged_one_by_one(logits, (200, 300))

    found = upsampled_statistics(logits, (200, 300))

    assert found.area_m.tolist() == [(enlarged > 0).sum()]


def test_no_mask_has_no_statistics():
    found = upsampled_statistics(torch.zeros(0, 64, 64), (300, 450))

    assert found.area_m.shape == (0,)
    assert found.boxes_m4.shape == (0, 4)
    assert list(upsampled_masks(torch.zeros(0, 64, 64), (300, 450))) == []


def test_work_in_small_portions_changes_nothing(monkeypatch):
    logits = noisy_logits((64, 64), 4)
    whole = upsampled_statistics(logits, (300, 450))

    monkeypatch.setattr(module, "CELLS_AT_A_TIME", 1)
    monkeypatch.setattr(module, "OUTLINE_PIXELS_AT_A_TIME", 100)
    parts = upsampled_statistics(logits, (300, 450))

    assert torch.equal(parts.area_m, whole.area_m)
    assert torch.equal(parts.boxes_m4, whole.boxes_m4)


def test_half_precision_and_gradients_are_taken_as_they_come():
    logits = noisy_logits((64, 64), 4).bfloat16().requires_grad_()
    plain = upsampled_statistics(logits.detach().float(), (300, 450))

    found = upsampled_statistics(logits, (300, 450))

    assert torch.equal(found.area_m, plain.area_m)
    assert not found.stability_m.requires_grad


def test_without_known_arithmetic_whole_maps_are_measured(monkeypatch):
    logits = noisy_logits((64, 64), 4)
    by_cells = upsampled_statistics(logits, (300, 450))

    monkeypatch.setattr(module, "cell_grid", lambda size, pixels: None)
    whole = upsampled_statistics(logits, (300, 450))

    assert torch.equal(whole.area_m, by_cells.area_m)
    assert torch.equal(whole.boxes_m4, by_cells.boxes_m4)


@pytest.mark.gpu
def test_a_gpu_measures_its_own_resized_masks():
    logits = noisy_logits((64, 64), 4).cuda()
    enlarged = enlarged_one_by_one(logits, (300, 450))

    found = upsampled_statistics(logits, (300, 450))

    assert torch.equal(found.area_m, (enlarged > 0).sum(dim=(1, 2)))
    assert torch.equal(found.boxes_m4, masks_to_boxes(enlarged > 0))


@pytest.mark.parametrize("threshold", [0.0, 0.7, -12.0])
@pytest.mark.parametrize(("size", "pixels"), [*SIZES, ((64, 64), (64, 64))])
def test_masks_and_logits_that_compete_equal_those_kept_apart_together(size, pixels, threshold):
    logits = noisy_logits(size, 4)
    logits = torch.cat([logits, logits[2:]])  # equals: the first of them wins
    together = suppress_overlaps(enlarged_one_by_one(logits, pixels)[:, None])[:, 0]

    masks = masks_at_size(logits, pixels, threshold, apart=True)
    found = torch.stack(list(upsampled_logits(logits, pixels, apart=True)))

    assert torch.equal(masks, together > threshold)
    assert torch.equal(found, together)


def test_no_masks_and_a_single_one_have_no_competition():
    logits = noisy_logits((32, 32), 4)[3:4]

    assert masks_at_size(logits[:0], (40, 50), apart=True).shape == (0, 40, 50)
    assert torch.equal(masks_at_size(logits, (40, 50), apart=True), masks_at_size(logits, (40, 50)))
