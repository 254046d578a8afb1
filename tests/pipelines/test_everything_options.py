"""Options of everything-mode, under both sets of names."""

import inspect

import numpy as np
import pytest

from sam2_hf import PromptError, Sam2Config
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.pipelines.everything_options import EverythingOptions

OFFICIAL_DEFAULTS = {  # printed by inspect.signature of the original generator
    "points_per_side": 32,
    "points_per_batch": 64,
    "pred_iou_thresh": 0.8,
    "stability_score_thresh": 0.95,
    "stability_score_offset": 1.0,
    "mask_threshold": 0.0,
    "box_nms_thresh": 0.7,
    "crop_n_layers": 0,
    "crop_nms_thresh": 0.7,
    "crop_overlap_ratio": 512 / 1500,
    "crop_n_points_downscale_factor": 1,
    "point_grids": None,
    "min_mask_region_area": 0,
    "output_mode": "binary_mask",
    "use_m2m": False,
    "multimask_output": True,
}


def test_names_order_and_defaults_are_the_originals():
    parameters = list(inspect.signature(EverythingOptions).parameters.values())

    assert {one.name: one.default for one in parameters[:16]} == OFFICIAL_DEFAULTS
    assert [one.name for one in parameters[:16]] == list(OFFICIAL_DEFAULTS)


def test_transformers_names_are_understood():
    options = EverythingOptions().changed(
        points_per_crop=5, crops_n_layers=2, crops_nms_thresh=0.4, output_rle_mask=True
    )

    assert (options.points_per_side, options.crop_n_layers) == (5, 2)
    assert (options.box_nms_thresh, options.crop_nms_thresh) == (0.4, 0.4)
    assert options.output_rle_mask


@pytest.mark.parametrize("order", [1, -1])
def test_an_original_name_goes_before_an_alias_in_either_order(order):
    given = [("box_nms_thresh", 0.9), ("crops_nms_thresh", 0.4)][::order]

    options = EverythingOptions().changed(**dict(given))

    assert (options.box_nms_thresh, options.crop_nms_thresh) == (0.9, 0.4)


def test_a_misspelled_option_is_named_with_the_right_one():
    with pytest.raises(TypeError, match=r"no option 'pred_iou_tresh'.*mean pred_iou_thresh"):
        EverythingOptions().changed(pred_iou_tresh=0.5)


def test_own_grids_take_the_place_of_points_per_side():
    options = EverythingOptions().changed(point_grids=[[[0.5, 0.5]]])

    (grid,) = options.grids()
    assert options.points_per_side is None
    np.testing.assert_array_equal(grid, [[0.5, 0.5]])


def test_holes_and_speckles_may_have_areas_of_their_own():
    options = EverythingOptions().changed(min_mask_region_area=9, max_hole_area=4)

    assert (options.hole_area, options.sprinkle_area) == (4, 9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"points_per_side": None}, "Give exactly one of them"),
        ({"points_per_side": 4, "point_grids": [[[0.5, 0.5]]]}, "Give exactly one of them"),
        ({"points_per_side": 0}, "points_per_side is 0"),
        ({"points_per_batch": 2.5}, "points_per_batch is 2.5"),
        ({"points_per_batch": True}, "points_per_batch is True"),
        ({"crop_n_layers": -1}, "crop_n_layers is -1"),
        ({"output_mode": "png"}, "Choose one of: binary_mask, uncompressed_rle, coco_rle"),
    ],
)
def test_values_that_cannot_be_used_are_refused_at_once(given, message):
    with pytest.raises(PromptError, match=message):
        EverythingOptions().changed(**given)


@pytest.mark.parametrize(
    "option", [{"pred_iou_thresh": float("nan")}, {"crop_overlap_ratio": 1.5}], ids=str
)
def test_numbers_that_cannot_be_meant_are_refused(option):
    with pytest.raises(PromptError, match=next(iter(option))):
        EverythingOptions().changed(**option)


def test_a_models_config_can_have_its_own_defaults():
    config = Sam2Config(mask_generation={"pred_iou_thresh": 0.45})

    assert EverythingOptions.of_model(config).pred_iou_thresh == 0.45
    assert EverythingOptions.of_model(config).stability_score_thresh == 0.95
    assert EverythingOptions.of_model(Sam2Config()).pred_iou_thresh == 0.8


@pytest.mark.parametrize("wrong", [{"pred_iou": 0.5}, {"pred_iou_thresh": "low"}, [0.5]])
def test_unusable_defaults_in_a_config_are_refused(wrong):
    with pytest.raises(CheckpointError, match="config has mask_generation"):
        EverythingOptions.of_model(Sam2Config(mask_generation=wrong))
