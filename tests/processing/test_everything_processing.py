import numpy as np
import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.processing.everything_processing import (
    CropPlan,
    FilterRules,
    cut_crops,
    filter_masks,
    suppress_repeats,
)
from sam2_hf.rle import decode, encode

ALL_PASS = FilterRules(pred_iou_thresh=0.0, stability_score_thresh=0.0)


def square(y0, x0, side=4, size=(40, 60), logit=9.0):
    """Logits of one square on an empty picture."""
    logits = torch.full(size, -9.0)
    logits[y0 : y0 + side, x0 : x0 + side] = logit
    return logits


def filtered(masks, ious, rules, crop=(0, 0, 60, 40), size=(40, 60)):
    return filter_masks(torch.stack(masks), torch.tensor(ious), size, crop, rules)


@pytest.mark.parametrize("size", [(40, 60), (60, 40), (600, 900), (50, 50)])
def test_points_reach_every_part_of_a_picture_of_any_shape(size):
    """A third is left out by transformers 5.23: models/sam2/image_processing_sam2.py:266-290."""
    crops = cut_crops(torch.zeros(3, *size), 256, CropPlan(points_per_side=4))

    expected = torch.tensor([32.0, 96.0, 160.0, 224.0])
    assert torch.equal(crops.points_1ng2[0, :4, 0, 0], expected)
    assert torch.equal(crops.points_1ng2[0, ::4, 0, 1], expected)


def test_crops_are_parts_of_the_picture_with_the_whole_first():
    image = torch.arange(3 * 40 * 60).reshape(3, 40, 60)

    crops = cut_crops(image, 256, CropPlan(num_layers=1, points_per_side=2))

    assert len(crops.images) == 5
    for (x0, y0, x1, y1), crop in zip(crops.boxes_g4.int().tolist(), crops.images, strict=True):
        assert torch.equal(crop, image[:, y0:y1, x0:x1])
    assert torch.equal(crops.images[0], image)


def test_sparser_crops_are_padded():
    plan = CropPlan(num_layers=1, points_per_side=4, downscale=2)

    crops = cut_crops(torch.zeros(3, 40, 60), 256, plan)

    assert crops.points_1ng2.shape == (1, 16, 5, 2)
    assert (crops.labels_1ng[0] == 1).sum(dim=0).tolist() == [16, 4, 4, 4, 4]
    assert (crops.points_1ng2[0, 4:, 1] == -10).all()


def test_a_picture_of_a_few_pixels_has_no_empty_crops():
    crops = cut_crops(torch.zeros(3, 2, 3), 256, CropPlan(num_layers=3, points_per_side=8))

    assert len(crops.images) == len(crops.boxes_g4) == crops.points_1ng2.shape[2]
    assert min(crop.numel() for crop in crops.images) > 0


def test_a_layer_without_points_is_refused():
    with pytest.raises(PromptError, match="crop layer 2 would have no point"):
        cut_crops(
            torch.zeros(3, 40, 60), 256, CropPlan(num_layers=2, points_per_side=4, downscale=3)
        )


def test_a_mask_must_be_better_than_the_iou_limit():
    _, ious, _ = filtered([square(20, 20)] * 3, [0.9, 0.88, 0.5], FilterRules())

    assert ious.tolist() == pytest.approx([0.9])


def test_a_mask_as_stable_as_the_limit_is_kept():
    """`>=`, as in sam2/automatic_mask_generator.py:320; transformers drops it."""
    half_sure = square(20, 20)
    half_sure[20:22, 20:24] = 0.5  # 8 of 16 pixels vanish when the threshold rises

    for limit, count in ((0.5, 1), (0.51, 0)):
        rules = FilterRules(pred_iou_thresh=0.0, stability_score_thresh=limit)
        assert len(filtered([half_sure], [1.0], rules)[0]) == count


def test_an_empty_mask_is_dropped_for_having_no_stability():
    assert filtered([square(0, 0, side=0)], [1.0], FilterRules())[0] == []


def test_limits_of_zero_let_all_pass():
    rles, _, boxes = filtered([square(0, 0, side=0)], [-1.0], ALL_PASS)

    assert rles[0]["counts"] == [2400]
    assert boxes.tolist() == [[0, 0, 0, 0]]


def test_masks_of_a_crop_are_moved_into_the_picture():
    inside = square(30, 25, size=(80, 90))

    (rle,), _, boxes = filtered([inside], [1.0], ALL_PASS, (60, 100, 150, 180), (300, 400))

    assert boxes.tolist() == [[85, 130, 88, 133]]
    mask = decode(rle)
    assert mask.shape == (300, 400)
    assert np.argwhere(mask).min(axis=0).tolist() == [130, 85]


def test_masks_that_a_crop_cut_off_are_dropped():
    size, middle, edge = (
        (140, 160),
        square(60, 70, size=(140, 160)),
        square(60, 15, size=(140, 160)),
    )

    rles, _, _ = filtered([middle, edge], [1.0, 1.0], ALL_PASS, (60, 100, 220, 240), (300, 400))
    whole, _, _ = filtered([middle, edge], [1.0, 1.0], ALL_PASS, (0, 0, 160, 140), size)

    assert len(rles) == 1
    assert len(whole) == 2


def test_the_best_of_overlapping_masks_stays():
    masks = [square(0, 0) > 0, square(0, 1) > 0, square(20, 20) > 0]
    boxes = torch.tensor([[0, 0, 3, 3], [1, 0, 4, 3], [20, 20, 23, 23]])

    kept, ious, rles, kept_boxes = suppress_repeats(
        [encode(mask) for mask in masks], torch.tensor([0.5, 0.9, 0.7]), boxes, 0.4
    )

    assert ious.tolist() == pytest.approx([0.9, 0.7])
    assert kept_boxes.tolist() == boxes[[1, 2]].tolist()
    assert torch.equal(kept[0], masks[1])
    assert rles[1] == encode(masks[2])
