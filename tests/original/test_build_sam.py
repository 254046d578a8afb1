"""Builders under the original's names."""

import inspect

import numpy as np
import pytest
import torch

from sam2_hf import Sam2Model, Sam2VideoModel
from sam2_hf.errors import OptionError
from sam2_hf.original import build_sam
from tests.small_checkpoint import save_original, small_config

MICRO = "sam2-hiera-micro"
BUILDERS = ("build_sam2", "build_sam2_video_predictor", "build_sam2_camera_predictor")


@pytest.fixture
def small(tmp_path):
    """Config and checkpoint of the small model, as `build_sam2` takes them."""
    small_config().save_pretrained(tmp_path / "config")
    return str(tmp_path / "config"), str(save_original(tmp_path / "small.pt"))


@pytest.mark.parametrize("name", BUILDERS)
def test_signatures_are_the_originals(name):
    arguments = ["config_file", "ckpt_path", "device", "mode", "hydra_overrides_extra"]
    arguments += ["apply_postprocessing"] + ["vos_optimized"] * (name != "build_sam2") + ["kwargs"]

    assert list(inspect.signature(getattr(build_sam, name)).parameters) == arguments


def test_a_model_of_photos_is_ours(small):
    model = build_sam.build_sam2(*small, "cpu")

    assert isinstance(model, Sam2Model)
    assert (model.image_size, model.device) == (64, torch.device("cpu"))


@pytest.mark.parametrize("name", BUILDERS[1:])
def test_a_predictor_of_videos_has_model_and_options(small, name):
    build = getattr(build_sam, name)

    predictor = build(
        small[0],
        device="cpu",
        hydra_overrides_extra=["++model.fill_hole_area=3"],
        apply_postprocessing=False,
    )

    assert isinstance(predictor.model, Sam2VideoModel)
    assert predictor.options.fill_hole_area == 3
    assert predictor.options.add_all_frames_to_correct_as_cond


def test_the_default_device_is_one_that_exists(small):
    assert build_sam.build_sam2(*small).device.type == (
        "cuda" if torch.cuda.is_available() else "cpu"
    )


def test_a_hub_id_or_a_name_builds_the_whole():
    model = build_sam.build_sam2_hf(MICRO, device="cpu", apply_postprocessing=False)
    predictor = build_sam.build_sam2_video_predictor_hf(MICRO, device="cpu", compat="official")

    assert not model.config.mask_decoder_config.dynamic_multimask_via_stability
    assert np.prod(model.no_memory_embedding.shape) == 128
    assert not predictor.options.add_all_frames_to_correct_as_cond
    assert isinstance(predictor.model, Sam2VideoModel)


@pytest.mark.parametrize("name", BUILDERS)
def test_a_misspelled_option_is_an_error(small, name):
    with pytest.raises(OptionError, match=f"{name} has no option 'devcie'. Did you mean device"):
        getattr(build_sam, name)(*small, devcie="cpu")


@pytest.mark.parametrize("name", ["build_sam2_hf", "build_sam2_video_predictor_hf"])
def test_a_misspelled_option_beside_a_hub_id_is_an_error(name):
    with pytest.raises(OptionError, match="apply_postprocessing"):
        getattr(build_sam, name)(MICRO, apply_postprocesing=False)
