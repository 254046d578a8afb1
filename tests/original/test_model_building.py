"""Configs by released names, checkpoints, and the options of builders."""

import pytest
import torch

from sam2_hf.errors import OptionError, PromptError, SessionError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError, CheckpointNotFoundError
from sam2_hf.model.checkpoints.checkpoint_names import to_original
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config
from sam2_hf.original.model_building import (
    SIZES,
    BuildOptions,
    named_config,
    pretrained_config,
    split_options,
)
from tests.small_checkpoint import save_original, small_config

MICRO = "sam2-hiera-micro"
CPU = BuildOptions(device="cpu")


def folder_of(tmp_path, config):
    """A folder that holds the config of a model and nothing else."""
    config.save_pretrained(tmp_path / "small")
    return tmp_path / "small"


@pytest.mark.parametrize("version", ["sam2", "sam2.1"])
@pytest.mark.parametrize("letter", SIZES)
def test_the_originals_config_names_mean_the_released_models(version, letter):
    expected = released_config(f"{version}_hiera_{SIZES[letter]}").to_dict()

    for name in (
        f"configs/{version}/{version}_hiera_{letter}.yaml",
        f"{version}_hiera_{letter}.yaml",
        f"{version}_hiera_{letter}",
        rf"C:\nodes\sam2_configs\{version}_hiera_{letter}.yaml",
    ):
        assert named_config(name).to_dict() == expected


def test_another_model_is_named_by_its_folder(tmp_path):
    folder = folder_of(tmp_path, small_config())

    assert named_config(folder).to_dict() == named_config(folder / "config.json").to_dict()
    assert named_config(folder).image_size == small_config().image_size
    assert named_config(MICRO).image_size == 256


@pytest.mark.parametrize("name", ["sam2_hiera_xl.yaml", "sam2.1_hiera_t512.yaml", "nowhere/", ""])
def test_an_unknown_config_is_an_error_that_says_which_there_are(name):
    with pytest.raises(PromptError, match=r"sam2\.1_hiera_\(t\|s\|b\+\|l\)\.yaml"):
        named_config(name)


@pytest.mark.parametrize("name", RELEASED)
def test_the_config_of_a_released_model_needs_no_network(name):
    hub_id = RELEASED[name].hub_id

    assert pretrained_config(hub_id).to_dict() == released_config(name).to_dict()


def test_a_folder_of_a_released_models_name_has_a_config_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small_config().save_pretrained(tmp_path / "facebook" / "sam2.1-hiera-tiny")

    assert pretrained_config("facebook/sam2.1-hiera-tiny").image_size == 64


@pytest.mark.parametrize("name", ["", "small.pt"])
def test_an_original_checkpoint_is_no_pretrained_model(tmp_path, name):
    save_original(tmp_path / "small.pt")

    with pytest.raises(CheckpointNotFoundError, match="build_sam2"):
        pretrained_config(tmp_path / name)


def test_an_original_checkpoint_is_loaded_with_the_named_config(tmp_path):
    path = save_original(tmp_path / "small.pt")

    model = CPU.image_model(small_config(), path)

    assert (model.image_size, model.device.type, model.training) == (64, "cpu", False)
    assert model.dtype == torch.float32


def test_a_model_knows_the_revision_whose_processor_belongs_to_it():
    config = small_config()
    config._commit_hash = "abc"

    for model in (CPU.image_model(config, None), CPU.video_model(config, None)):
        assert model.config._commit_hash == "abc"


def test_a_folder_and_a_safetensors_file_are_loaded_as_well(tmp_path):
    model = CPU.video_model(small_config(), None)
    model.save_pretrained(tmp_path / "folder")
    original = save_original(tmp_path / "small.pt", to_original(model.state_dict()))

    for weights in (tmp_path / "folder", tmp_path / "folder" / "model.safetensors", original):
        again = CPU.video_model(small_config(), weights).state_dict()
        torch.testing.assert_close(again, model.state_dict(), rtol=0, atol=0)


def test_weights_are_random_without_a_checkpoint():
    first, second = (CPU.image_model(small_config(), None).state_dict() for _ in range(2))

    name = "mask_decoder.iou_token.weight"
    assert not torch.equal(first[name], second[name])


def test_a_checkpoint_of_another_size_is_an_error(tmp_path):
    path = save_original(tmp_path / "small.pt")

    with pytest.raises(CheckpointError, match="does not describe"):
        CPU.image_model(named_config("sam2.1_hiera_t.yaml"), path)
    with pytest.raises(CheckpointError, match="weights"):
        CPU.image_model(named_config("sam2.1_hiera_t.yaml"), MICRO)


def test_a_video_model_of_the_other_version_is_an_error(tmp_path):
    weights = CPU.video_model(small_config(), None).state_dict()
    path = save_original(tmp_path / "small.pt", to_original(weights))
    old = small_config(
        enable_occlusion_spatial_embedding=False,
        enable_temporal_pos_encoding_for_object_pointers=False,
    )

    with pytest.raises(CheckpointError, match="not a complete SAM 2 checkpoint"):
        CPU.video_model(old, path)


def test_train_is_a_mode_too():
    model = BuildOptions(device="cpu", mode="train").image_model(small_config(), None)

    assert model.training


@pytest.mark.parametrize("postprocessing", [True, False])
def test_postprocessing_turns_the_stability_fallback_on(postprocessing):
    options = BuildOptions(device="cpu", apply_postprocessing=postprocessing)

    decoder = options.image_model(small_config(), None).config.mask_decoder_config

    assert decoder.dynamic_multimask_via_stability is postprocessing


def test_sessions_have_the_originals_options_and_keep_corrections():
    options = CPU.session_options()

    assert options.add_all_frames_to_correct_as_cond
    assert (options.fill_hole_area, options.binarize_mask_from_pts_for_mem_enc) == (8, True)
    assert (options.pointer_times, options.skip_backward_from_first) == ("clip", True)
    assert options.dynamic_multimask_via_stability is None
    assert not options.compile


def test_the_originals_bug_can_be_asked_for():
    options = BuildOptions(device="cpu", compat="official").session_options()

    assert not options.add_all_frames_to_correct_as_cond


def test_overrides_reach_the_options_of_sessions():
    given = ["++model.non_overlap_masks=true", "++model.add_all_frames_to_correct_as_cond=false"]

    options = BuildOptions(
        device="cpu", hydra_overrides_extra=given, apply_postprocessing=False
    ).session_options()

    assert options.non_overlap_masks
    assert not options.add_all_frames_to_correct_as_cond
    assert options.fill_hole_area == 0
    with pytest.raises(SessionError, match="memory_temporal_stride_for_eval"):
        BuildOptions(
            hydra_overrides_extra=["++model.memory_temporal_stride_for_eval=0"]
        ).session_options()


def test_graphs_are_made_where_they_are_faster():
    """On a CPU they take a minute for the first frame, and are slower then."""
    assert not BuildOptions(device="cpu", vos_optimized=True).session_options().compile


@pytest.mark.parametrize(
    "wrong",
    [{"mode": "evl"}, {"compat": "transformers"}, {"apply_postprocessing": "no"}],
)
def test_an_impossible_option_is_an_error(wrong):
    with pytest.raises(PromptError, match=next(iter(wrong))):
        BuildOptions(**wrong)


def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(PromptError, match="cannot be used"):
        BuildOptions(device="cuda:99").image_model(small_config(), None)


def test_options_are_dealt_out_to_builder_and_class():
    given = {"device": "cpu", "mask_threshold": 0.5}

    options, own = split_options("it", given, ["mask_threshold"], of_video=False)

    assert (options.device, own) == ("cpu", {"mask_threshold": 0.5})
    with pytest.raises(OptionError, match="it has no option 'vos_optimized'"):
        split_options("it", {"vos_optimized": True}, [], of_video=False)
