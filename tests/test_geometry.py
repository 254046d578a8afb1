import numpy as np
import pytest
import torch

from sam2_hf.geometry import (
    boxes_to_model_pixels,
    crop_boxes,
    point_grid,
    point_grids_per_layer,
    to_image_pixels,
    to_model_pixels,
)

SIZE = (600, 900)  # rows, columns


def test_x_and_y_are_scaled_each_by_its_own_side():
    corners = torch.tensor([[0.0, 0.0], [900.0, 600.0], [450.0, 300.0]])

    scaled = to_model_pixels(corners, SIZE, 1024)

    assert scaled.tolist() == [[0, 0], [1024, 1024], [512, 512]]


def test_points_are_divided_before_they_are_multiplied_as_in_the_original():
    xy = torch.rand(1000, 2) * torch.tensor([1800.0, 1200.0])
    expected = xy.clone()
    expected[:, 0] = expected[:, 0] / 1800
    expected[:, 1] = expected[:, 1] / 1200

    assert torch.equal(to_model_pixels(xy, (1200, 1800), 1024), expected * 1024)


def test_scaling_leaves_the_callers_points_alone():
    xy = torch.tensor([[10, 20]])

    to_model_pixels(xy, SIZE, 1024)

    assert xy.tolist() == [[10, 20]]


def test_points_come_back_from_model_pixels():
    xy = torch.rand(5, 3, 2) * 600

    torch.testing.assert_close(to_image_pixels(to_model_pixels(xy, SIZE, 256), SIZE, 256), xy)


def test_a_box_is_scaled_by_its_corners():
    boxes = torch.tensor([[[225.0, 150.0, 900.0, 300.0]]])

    assert boxes_to_model_pixels(boxes, SIZE, 1024).tolist() == [[[256, 256, 1024, 512]]]


def test_a_grid_lies_in_the_middle_of_its_cells_with_x_fastest():
    grid = point_grid(2)

    assert grid.dtype == np.float64
    assert grid.tolist() == [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]


def test_grids_of_further_layers_are_sparser():
    assert [len(grid) for grid in point_grids_per_layer(8, 2, 2)] == [64, 16, 4]


def test_the_first_crop_is_the_whole_picture():
    boxes, layers = crop_boxes(SIZE, 0, 512 / 1500)

    assert boxes == [[0, 0, 900, 600]]
    assert layers == [0]


def test_crops_of_a_layer_cover_the_picture_and_overlap():
    boxes, layers = crop_boxes(SIZE, 2, 512 / 1500)

    covered = np.zeros(SIZE, dtype=int)
    for x0, y0, x1, y1 in boxes[1:5]:
        covered[y0:y1, x0:x1] += 1
    assert layers == [0] + [1] * 4 + [2] * 16
    assert covered.min() == 1
    assert covered.max() == 4


@pytest.mark.parametrize(("index", "box"), [(1, [0, 0, 552, 402]), (4, [348, 198, 900, 600])])
def test_crops_have_the_places_of_the_original(index, box):
    assert crop_boxes(SIZE, 1, 512 / 1500)[0][index] == box


def test_crops_of_a_few_pixels_are_never_empty():
    boxes, layers = crop_boxes((2, 3), 3, 512 / 1500)

    assert len(boxes) == len(layers)
    assert all(x0 < x1 and y0 < y1 for x0, y0, x1, y1 in boxes)
