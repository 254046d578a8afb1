"""Original checkpoints of EdgeTAM and EfficientTAM: loading, converting, and back."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import sam2_hf
from sam2_hf.model.checkpoints.checkpoint_folder import (
    _require_telling_name,
    convert_to_folder,
    revert_to_original,
)
from sam2_hf.model.checkpoints.family_names import (
    EDGETAM,
    EFFICIENTTAM,
    PATCHES,
    family_config,
    family_of,
    family_to_original,
    family_to_ours,
    published_stem,
)
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.configs.configuration_sam2_video import EfficientTamVideoConfig
from tests.small_families import edgetam_config, efficienttam_config, sam3_config

CASES = {"edgetam": (EDGETAM, edgetam_config), "efficienttam": (EFFICIENTTAM, efficienttam_config)}


@pytest.fixture(params=CASES)
def case(request):
    family, config = CASES[request.param]
    return family, config(), sam2_hf.Sam2VideoModel(config()).state_dict()


def same(found, wanted):
    return found.keys() == wanted.keys() and all(
        torch.equal(found[name], tensor) for name, tensor in wanted.items()
    )


def test_names_come_back(case):
    family, _, weights = case

    original = family_to_original(family, weights)

    assert family_of(original) is family
    assert not original.keys() & {"vision_encoder.neck.convs.0.weight", "no_object_pointer"}
    assert same(family_to_ours(family, original), weights)


def test_keys_and_values_of_the_perceiver_are_one_tensor_in_the_original():
    weights = sam2_hf.Sam2VideoModel(edgetam_config()).state_dict()

    original = family_to_original(EDGETAM, weights)

    merged = original["spatial_perceiver.layers.0.attn.to_kv.weight"]
    halves = [weights[f"spatial_perceiver.layers.0.cross_attention.{k}_proj.weight"] for k in "kv"]
    assert torch.equal(merged, torch.cat(halves))
    assert "image_encoder.trunk.body.stages_1.blocks.0.se.fc1.weight" in original
    assert "memory_attention.layers.1.linear2.bias" in original


def test_a_checkpoint_is_converted_to_a_folder_and_back(case, tmp_path):
    family, config, weights = case
    torch.save({"model": family_to_original(family, weights)}, tmp_path / "small.pt")

    folder = convert_to_folder(tmp_path / "small.pt", tmp_path / "folder", config=config)
    loaded = sam2_hf.Sam2VideoModel.from_pretrained(folder)
    photos = sam2_hf.Sam2Model.from_pretrained(tmp_path / "small.pt", config=config)
    back = revert_to_original(folder, tmp_path / "back.pt")

    assert loaded.config.model_type == config.model_type
    assert same(loaded.state_dict(), weights)
    assert photos.config.model_type == config.model_type.removesuffix("_video")
    again = torch.load(back)["model"]
    assert same(again, family_to_original(family, weights))
    assert family.mark in again


def test_missing_weights_of_a_checkpoint_are_refused(case, tmp_path):
    family, config, weights = case
    original = family_to_original(family, weights)
    del original["maskmem_tpos_enc"]
    torch.save({"model": original}, tmp_path / "small.pt")

    with pytest.raises(sam2_hf.CheckpointError, match="memory_temporal_positional_encoding"):
        sam2_hf.Sam2VideoModel.from_pretrained(tmp_path / "small.pt", config=config)


def test_a_foreign_weight_is_refused(case):
    family, _, weights = case
    original = family_to_original(family, weights) | {"classifier.weight": torch.zeros(1)}

    with pytest.raises(sam2_hf.CheckpointError, match=r"classifier\.weight is not a weight"):
        family_to_ours(family, original)


@pytest.mark.parametrize(
    ("stem", "side", "pooling"),
    [
        ("efficienttam_ti", 1024, "none"),
        ("efficienttam_s_512x512", 512, "none"),
        ("efficienttam_s_1", 1024, "scores"),
        ("efficienttam_ti_2", 1024, "keys"),
    ],
)
def test_the_name_of_a_published_file_tells_what_weights_do_not(stem, side, pooling):
    width = 192 if "_ti" in stem else 384
    weights = {PATCHES: torch.zeros(width, 3, 16, 16)}

    config = family_config(EFFICIENTTAM, weights, Path(stem + ".pt"))

    backbone = config.vision_config.backbone_config
    assert (config.image_size, config.memory_attention_pooling) == (side, pooling)
    assert (backbone.hidden_size, backbone.num_attention_heads) == (width, width // 64)
    assert published_stem(config) == stem


@pytest.mark.parametrize("stem", ["epoch_1", "mine", "my_efficienttam_s_1", "efficienttam_s_3"])
def test_a_name_that_is_not_published_tells_nothing(stem):
    weights = {PATCHES: torch.zeros(384, 3, 16, 16)}

    advice = rf"{stem}\.pt is an .* put its config\.json .* config=EfficientTamVideoConfig"
    with pytest.raises(sam2_hf.CheckpointError, match=advice):
        family_config(EFFICIENTTAM, weights, Path(f"{stem}.pt"))


def test_a_truncated_file_of_a_published_name_is_refused(case, tmp_path):
    family, _, weights = case
    original = family_to_original(family, weights)
    torch.save({"model": {family.mark: original[family.mark]}}, tmp_path / "efficienttam_ti.pt")

    with pytest.raises(sam2_hf.CheckpointError, match="missing"):
        sam2_hf.Sam2VideoModel.from_pretrained(tmp_path / "efficienttam_ti.pt")
    with pytest.raises(sam2_hf.CheckpointError, match="missing"):
        convert_to_folder(tmp_path / "efficienttam_ti.pt", tmp_path / "folder")


def test_the_version_of_an_edgetam_is_read_from_its_weights():
    names = ("occlusion_spatial_embedding_parameter",)

    config = family_config(EDGETAM, dict.fromkeys(names, torch.zeros(1, 64)), Path("own.pt"))

    assert config.enable_occlusion_spatial_embedding
    assert not config.enable_temporal_pos_encoding_for_object_pointers


@pytest.mark.parametrize("naming", ["ours", "original"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_a_file_loads_in_either_naming_with_prefixes_of_wrappers(case, naming, prefix, tmp_path):
    family, config, weights = case
    named = weights if naming == "ours" else family_to_original(family, weights)
    torch.save({prefix + name: value for name, value in named.items()}, tmp_path / "own.pt")

    loaded = sam2_hf.Sam2VideoModel.from_pretrained(tmp_path / "own.pt", config=config)

    assert same(loaded.state_dict(), weights)


def test_an_incomplete_folder_is_not_reverted(case, tmp_path):
    _, config, weights = case
    config.save_pretrained(tmp_path)
    lost = "spatial_perceiver.layers.0.cross_attention.v_proj.weight"
    lost = lost if lost in weights else "no_object_pointer"
    kept = {name: value for name, value in weights.items() if name != lost}
    save_file(kept, tmp_path / "model.safetensors")

    with pytest.raises(sam2_hf.CheckpointError, match=lost):
        revert_to_original(tmp_path, tmp_path / "out" / "own.pt")


def test_the_tracker_of_sam3_has_no_original_format(tmp_path):
    sam2_hf.Sam2VideoModel(sam3_config()).save_pretrained(tmp_path / "folder")

    with pytest.raises(sam2_hf.CheckpointError, match=r"SAM 3's tracker, which has no original"):
        revert_to_original(tmp_path / "folder", tmp_path / "s3.pt")
    assert not (tmp_path / "s3.pt").exists()


def test_a_file_that_would_load_as_another_model_is_not_written(tmp_path):
    config = with_image_size(EfficientTamVideoConfig(memory_attention_pooling="keys"), 512)

    assert published_stem(EfficientTamVideoConfig(memory_attention_pooling="keys")) == (
        "efficienttam_ti_2"
    )
    assert published_stem(config) is None
    _require_telling_name(tmp_path / "mine.pt", config)
    with pytest.raises(sam2_hf.CheckpointError, match="Give it another name"):
        _require_telling_name(tmp_path / "efficienttam_ti_512x512.pt", config)
    with pytest.raises(sam2_hf.CheckpointError, match=r"Call it efficienttam_ti\.pt"):
        _require_telling_name(tmp_path / "mine.pt", EfficientTamVideoConfig())
