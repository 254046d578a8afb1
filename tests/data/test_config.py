import pytest

from sam2_hf.data.config import Augmentation, DataMixture, SourceConfig
from sam2_hf.errors import TrainingError


def test_the_defaults_are_the_original_recipe_for_mose():
    """sam2.1_hiera_b+_MOSE_finetune.yaml:24-52."""
    augment = Augmentation()

    assert (augment.degrees, augment.shear, augment.grayscale) == (25, 20, 0.05)
    assert (augment.brightness, augment.contrast, augment.saturation) == (0.1, 0.03, 0.03)
    assert (augment.frame_brightness, augment.frame_contrast) == (0.1, 0.05)
    assert (augment.frame_saturation, augment.hue, augment.mosaic) == (0.05, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_step": (2, 1)},
        {"frame_step": (0, 1)},
        {"batch_size": 0},
        {"repeat": 0},
        {"num_frames": -1},
        {"weight": -1.0},
        {"reverse": 1.5},
        {"min_area": -0.1},
        {"starts_at": 2.0},
    ],
)
def test_a_source_refuses_values_that_make_no_sense(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        SourceConfig("pairs", **wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"zoom": (2, 1)},
        {"zoom": (0, 1)},
        {"stretch": 0.5},
        {"mosaic": 1.1},
        {"degrees": -1.0},
        {"shear": -0.1},
        {"brightness": -0.1},
        {"frame_saturation": -0.1},
        {"hue": 0.6},
        {"frame_hue": 0.51},
    ],
)
def test_an_augmentation_refuses_values_that_make_no_sense(wrong):
    with pytest.raises(TrainingError, match=next(iter(wrong))):
        Augmentation(**wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"image_size": 33}, "even"),
        ({"seed": -1}, "seed"),
        ({"on_bad_data": "ignore"}, "skip"),
        ({"sources": ()}, "nothing to train on"),
        ({"sources": (SourceConfig("pairs", weight=0.0),)}, "none of the 1"),
        (
            {"sources": (SourceConfig("pairs", starts_at=0.5),), "num_steps": 10},
            r"pairs: 0.5.*must start at 0",
        ),
        (
            {
                "sources": (SourceConfig("pairs", weight=0.0), SourceConfig("pairs", starts_at=1)),
                "num_steps": 10,
            },
            "starts_at of every data source",
        ),
    ],
)
def test_a_mix_refuses_what_cannot_run(wrong, said):
    settings = {"sources": (SourceConfig("pairs"),), "image_size": 32, **wrong}

    with pytest.raises(TrainingError, match=said):
        DataMixture(**settings)


def test_a_source_without_a_name_is_called_by_kind_and_path():
    assert SourceConfig("pairs", "photos").label == "pairs:photos"
    assert SourceConfig("synthetic").label == "synthetic"
    assert SourceConfig("pairs", "photos", "mine").label == "mine"


def test_a_start_does_not_matter_where_the_length_of_the_run_is_not_known():
    assert DataMixture((SourceConfig("pairs", starts_at=0.5),), 32).num_steps == 0
