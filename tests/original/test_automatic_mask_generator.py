"""The original's everything-mode."""

import inspect

import numpy as np
import pytest

from sam2_hf import MaskGenerationPipeline
from sam2_hf.errors import OptionError, PromptError
from sam2_hf.original.automatic_mask_generator import OPTIONS, SAM2AutomaticMaskGenerator
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor

MICRO = "sam2-hiera-micro"
LOOSE = {"points_per_side": 4, "pred_iou_thresh": 0.3, "stability_score_thresh": 0.1}
KEYS = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score"]


@pytest.fixture
def generator(micro_image_model):
    return SAM2AutomaticMaskGenerator(micro_image_model, **LOOSE)


def assert_same_records(ours, theirs):
    assert len(ours) == len(theirs) > 0
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_the_signature_is_the_originals():
    arguments = list(inspect.signature(SAM2AutomaticMaskGenerator).parameters.items())

    assert [name for name, _ in arguments] == ["model", *OPTIONS, "kwargs"]
    assert [one.default for _, one in arguments[1:-1]] == [
        *(32, 64, 0.8, 0.95, 1.0, 0.0, 0.7, 0, 0.7, 512 / 1500, 1, None, 0, "binary_mask"),
        *(False, True),
    ]


def test_records_are_the_pipelines(generator, micro_image_model, photo):
    records = generator.generate(photo)

    assert_same_records(records, MaskGenerationPipeline(micro_image_model, **LOOSE).generate(photo))
    assert list(records[0]) == [*KEYS, "crop_box"]
    assert records[0]["segmentation"].dtype == bool


def test_run_lengths_are_given_on_request(micro_image_model, photo):
    generator = SAM2AutomaticMaskGenerator(micro_image_model, **LOOSE, output_mode="coco_rle")

    segmentation = generator.generate(photo)[0]["segmentation"]

    assert segmentation["size"] == [150, 200]
    assert isinstance(segmentation["counts"], str)


def test_an_option_that_is_set_later_counts(generator, micro_image_model, photo):
    """ComfyUI's node sets them all before each call."""
    changes = {
        "points_per_side": 3,
        "pred_iou_thresh": 0.2,
        "min_mask_region_area": 9,
        "use_m2m": True,
    }
    for name, value in changes.items():
        setattr(generator, name, value)

    expected = MaskGenerationPipeline(micro_image_model, **LOOSE | changes).generate(photo)
    assert_same_records(generator.generate(photo), expected)
    assert [getattr(generator, name) for name in changes] == list(changes.values())


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "point_grids"])
def test_every_option_can_be_read(generator, name):
    assert getattr(generator, name) == getattr(generator.options, name)


def test_own_points_take_the_place_of_a_grid_and_back(generator, photo):
    points = np.array([[0.5, 0.5], [0.25, 0.75]])

    generator.point_grids = [points]

    assert generator.points_per_side is None
    np.testing.assert_array_equal(generator.point_grids[0], points)
    found = {tuple(record["point_coords"][0]) for record in generator.generate(photo)}
    assert found <= {(100.0, 75.0), (50.0, 112.5)}
    generator.points_per_side = 2
    assert len(generator.point_grids[0]) == 4


def test_a_wrong_value_is_an_error_when_it_is_set(generator):
    with pytest.raises(PromptError, match="box_nms_thresh"):
        generator.box_nms_thresh = "much"
    with pytest.raises(PromptError, match="output_mode"):
        generator.output_mode = "png"

    assert (generator.box_nms_thresh, generator.output_mode) == (0.7, "binary_mask")


@pytest.mark.parametrize(
    "wrong",
    [{"points_per_side": None}, {"points_per_side": 0}, {"point_grids": [[[0.5, 0.5]]]}],
)
def test_points_come_from_one_place(micro_image_model, wrong):
    with pytest.raises(PromptError, match="points_per_side"):
        SAM2AutomaticMaskGenerator(micro_image_model, **wrong)


def test_the_predictor_has_the_same_model(generator, micro_image_model):
    assert isinstance(generator.predictor, SAM2ImagePredictor)
    assert generator.predictor.model is micro_image_model


def test_it_loads_itself_with_options_of_both_kinds(photo):
    generator = SAM2AutomaticMaskGenerator.from_pretrained(
        MICRO,
        device="cpu",
        mode="eval",
        hydra_overrides_extra=[],
        apply_postprocessing=False,
        **LOOSE,
    )

    assert generator.points_per_side == 4
    assert len(generator.generate(photo)) > 0


def test_a_misspelled_option_is_an_error(micro_image_model):
    """There it is swallowed: automatic_mask_generator.py:56."""
    with pytest.raises(OptionError, match="Did you mean points_per_side"):
        SAM2AutomaticMaskGenerator(micro_image_model, points_per_sid=8)
    with pytest.raises(OptionError, match="points_per_sid"):
        SAM2AutomaticMaskGenerator.from_pretrained(MICRO, points_per_sid=8)
