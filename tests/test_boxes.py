import time

import pytest
import torch

from sam2_hf.boxes import near_crop_edge, nms, uncrop_boxes, xyxy_to_xywh


def greedy_nms(boxes, scores, threshold):
    """The definition, box by box, as torchvision has it."""
    order = sorted(range(len(scores)), key=lambda index: -scores[index])
    kept = []
    for index in order:
        if all(iou(boxes[index], boxes[better]) <= threshold for better in kept):
            kept.append(index)
    return kept


def iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union else float("-inf")


def random_boxes(count, seed=0, spread=100):
    generator = torch.Generator().manual_seed(seed)
    corner = (torch.rand(count, 2, generator=generator) * spread).round()
    size = (torch.rand(count, 2, generator=generator) * 60).round()
    return torch.cat([corner, corner + size], dim=1), torch.rand(count, generator=generator)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 0.999, 1.0])
@pytest.mark.parametrize("count", [1, 2, 50, 300])
def test_nms_equals_its_definition(count, threshold):
    boxes, scores = random_boxes(count, seed=count)

    kept = nms(boxes, scores, threshold)

    assert kept.tolist() == greedy_nms(boxes.tolist(), scores.tolist(), threshold)


def test_boxes_of_equal_score_keep_their_order():
    boxes = torch.tensor([[0, 0, 9, 9], [50, 50, 60, 60], [0, 0, 9, 9]])

    assert nms(boxes, torch.ones(3), 0.5).tolist() == [0, 1]


def test_a_box_without_area_suppresses_nothing():
    boxes = torch.zeros(3, 4)

    assert nms(boxes, torch.tensor([0.1, 0.3, 0.2]), 0.0).tolist() == [1, 2, 0]


def test_an_overlap_of_exactly_the_threshold_is_kept():
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 2.0, 1.0]])

    assert nms(boxes, torch.tensor([0.9, 0.8]), 0.5).tolist() == [0, 1]


def test_no_box_is_no_work():
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


def test_three_thousand_boxes_take_a_moment():
    boxes, scores = random_boxes(3000, spread=1000)
    start = time.perf_counter()

    nms(boxes, scores, 0.7)

    assert time.perf_counter() - start < 1.0  # 0.03 s measured; the bound only catches a loop


def test_boxes_at_the_edge_of_a_crop_are_found_but_not_those_at_the_edge_of_the_picture():
    crop, size = (100, 100, 300, 300), (400, 300)
    boxes = torch.tensor([[50, 50, 60, 60], [5, 50, 60, 60], [50, 50, 195, 60], [50, 50, 60, 190]])

    # The crop's right edge at 300 is the picture's own.
    assert near_crop_edge(boxes, crop, size).tolist() == [False, True, False, True]


def test_twenty_pixels_are_near_and_more_are_not():
    boxes = torch.tensor([[20, 50, 60, 60], [21, 50, 60, 60]])

    assert near_crop_edge(boxes, (100, 100, 300, 300), (999, 999)).tolist() == [True, False]


def test_boxes_leave_a_crop_and_keep_their_type():
    moved = uncrop_boxes(torch.tensor([[1, 2, 3, 4]]), (10.0, 20.0, 50.0, 60.0))

    assert moved.tolist() == [[11, 22, 13, 24]]
    assert moved.dtype == torch.int64


def test_corners_become_corner_and_size():
    boxes = torch.tensor([[1, 2, 4, 8]])

    assert xyxy_to_xywh(boxes).tolist() == [[1, 2, 3, 6]]
