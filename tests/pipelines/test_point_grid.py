"""Where everything-mode clicks."""

import numpy as np
import pytest

from sam2_hf import PromptError
from sam2_hf.pipelines.point_grid import crops_of, layer_grids, own_grids


def test_the_first_crop_is_the_whole_photo():
    (whole,) = crops_of((300, 500), num_layers=0, overlap_ratio=0.3)

    assert whole.xyxy == (0, 0, 500, 300)
    assert (whole.size, whole.area, whole.layer) == ((300, 500), 150000, 0)


def test_layers_have_four_and_sixteen_overlapping_crops_that_cover_the_photo():
    crops = crops_of((300, 500), num_layers=2, overlap_ratio=0.34)

    covered = np.zeros((300, 500), int)
    for crop in crops[1:5]:
        covered[crop.top : crop.bottom, crop.left : crop.right] += 1
    assert [crop.layer for crop in crops] == [0] + [1] * 4 + [2] * 16
    assert covered.min() == 1
    assert covered.max() == 4


def test_a_photo_of_a_few_pixels_has_no_empty_crop():
    crops = crops_of((2, 3), num_layers=3, overlap_ratio=0.34)

    assert all(min(crop.size) > 0 for crop in crops)


def test_a_layer_is_sparser_by_the_factor():
    grids = layer_grids(8, num_layers=2, downscale=2)

    assert [len(grid) for grid in grids] == [64, 16, 4]


def test_a_layer_without_points_is_refused():
    with pytest.raises(PromptError, match="crop layer 3 would have no points"):
        layer_grids(4, num_layers=3, downscale=2)


def test_own_grids_are_taken_as_they_are():
    (grid,) = own_grids([[[0.25, 0.5], [1, 0]]], num_layers=0)

    np.testing.assert_array_equal(grid, [[0.25, 0.5], [1, 0]])


@pytest.mark.parametrize(
    ("grids", "layers", "message"),
    [
        ([[[0.5, 0.5]]], 1, "1 grids for 2 layers"),
        ([[0.5, 0.5]], 0, r"shape \(2,\)"),
        ([np.empty((0, 2))], 0, r"shape \(0, 2\)"),
        ([[[120.0, 80.0]]], 0, "divide pixels"),
        ([[[float("nan"), 0.5]]], 0, "values from nan"),
    ],
)
def test_a_grid_that_cannot_be_used_says_why(grids, layers, message):
    with pytest.raises(PromptError, match=message):
        own_grids(grids, num_layers=layers)
