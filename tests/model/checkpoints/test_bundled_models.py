"""Checkpoints that come with the package: found by name, without a network."""

import os

import pytest
import torch

from sam2_hf import CheckpointError, Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel
from sam2_hf.model.checkpoints import bundled_models
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from sam2_hf.model.checkpoints.checkpoint_folder import revert_to_original
from sam2_hf.model.checkpoints.checkpoint_search import HubOptions, find_hub_original
from sam2_hf.model.configs.configuration_sam2 import Sam2VisionConfig
from tests.bundled_checkpoint import bundle, forbid_network

MOST_PARAMETERS = 8e6
MOST_BYTES = 16e6


@pytest.fixture
def bundled(tiny_video_model, tmp_path, monkeypatch):
    """The tiny video model as the bundled one, a working folder without it, and no network."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    forbid_network(monkeypatch)
    return bundle(tiny_video_model, tmp_path / "bundled", monkeypatch)


@pytest.mark.parametrize("cls", [Sam2Model, Sam2VideoModel])
def test_models_load_by_name_without_a_network(bundled, tiny_video_model, cls):
    loaded = cls.from_pretrained(SMALL_MODEL)

    weights = tiny_video_model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())


def test_configs_load_by_name_as_whole_and_in_part(bundled, tiny_video_config):
    side = tiny_video_config.image_size

    assert Sam2VideoConfig.from_pretrained(SMALL_MODEL).image_size == side
    assert Sam2Config.from_pretrained(SMALL_MODEL).prompt_encoder_config.image_size == side
    assert Sam2VisionConfig.from_pretrained(SMALL_MODEL).fpn_hidden_size == 32


def test_a_model_says_the_name_and_not_where_the_package_is_installed(bundled):
    model, info = Sam2VideoModel.from_pretrained(SMALL_MODEL, output_loading_info=True)

    assert (model.name_or_path, model.config.name_or_path) == (SMALL_MODEL, SMALL_MODEL)
    assert not info["missing_keys"]


def test_weights_stored_in_half_are_loaded_as_the_config_says(bundled, tiny_video_model):
    """A config without a dtype would give a bfloat16 model, which no float32 picture fits."""
    halved = Sam2VideoModel(tiny_video_model.config).to(torch.bfloat16)
    halved.save_pretrained(bundled)
    config = Sam2VideoConfig.from_pretrained(bundled)
    config.dtype = torch.float32
    config.save_pretrained(bundled)

    assert Sam2VideoModel.from_pretrained(SMALL_MODEL).dtype == torch.float32
    assert Sam2VideoModel.from_pretrained(SMALL_MODEL, dtype="bfloat16").dtype == torch.bfloat16


def test_a_folder_of_the_name_wins_and_the_log_says_so_once(bundled, tiny_video_model, capture):
    other = Sam2VideoModel(tiny_video_model.config)
    other.save_pretrained(SMALL_MODEL)

    loaded = [Sam2VideoModel.from_pretrained(SMALL_MODEL) for _ in range(2)][-1]

    name = "memory_temporal_positional_encoding"
    assert torch.equal(getattr(loaded, name), getattr(other, name))
    assert [os.getcwd() in message for message in capture] == [True]


@pytest.fixture
def capture(monkeypatch):
    """What is logged here, each message once."""
    seen = []
    monkeypatch.setattr(
        bundled_models.logger,
        "warning_once",
        lambda message: seen.append(message) if message not in seen else None,
    )
    return seen


@pytest.mark.parametrize(
    "name", ["", ".", "..", "./sam2-hiera-micro", "facebook/sam2-hiera-micro", "sam2-hiera-nano"]
)
def test_anything_else_is_not_bundled(bundled, name):
    assert bundled_folder(name) is None


def test_a_bundled_folder_without_weights_is_a_clear_error(bundled):
    (bundled / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="has no weights"):
        Sam2Model.from_pretrained(SMALL_MODEL)


def test_it_goes_back_to_an_original_checkpoint_like_any_other(bundled, tiny_video_model, tmp_path):
    path = revert_to_original(SMALL_MODEL, tmp_path / "tiny.pt")

    loaded = Sam2VideoModel.from_pretrained(path, config=tiny_video_model.config)
    weights = tiny_video_model.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())


def test_an_unreachable_hub_recommends_it(bundled, tmp_path):
    cache = HubOptions(local_files_only=True, cache_dir=tmp_path / "cache")

    with pytest.raises(CheckpointError, match="'sam2-hiera-micro' needs no network"):
        find_hub_original("facebook/sam2.1-hiera-tiny", cache)


def test_the_checkpoint_of_this_package_is_as_small_as_promised():
    with torch.device("meta"):
        model = Sam2VideoModel(Sam2VideoConfig.from_pretrained(SMALL_MODEL))

    assert sum(weight.numel() for weight in model.parameters()) <= MOST_PARAMETERS
    assert (
        sum(file.stat().st_size for file in bundled_folder(SMALL_MODEL).glob("*.safetensors"))
        <= MOST_BYTES
    )
