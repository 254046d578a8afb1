"""Model folders whose small files are damaged: our error or a sound model, and nothing else."""

import json
import shutil

import pytest
import torch

from sam2_hf import CheckpointError, Sam2Config, Sam2Model, Sam2VideoConfig, Sam2VideoModel
from sam2_hf.model.checkpoints.checkpoint_folder import read_folder
from tests.damage import damaged
from tests.small_checkpoint import small_config

SEEDS = 240
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    torch.manual_seed(0)
    model = Sam2VideoModel(small_config()).eval()
    model.save_pretrained(folder)
    model.save_pretrained(folder / "shards", max_shard_size="300KB")
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "model")


def answers(model):
    """Masks for a click; whatever loads has to work."""
    with torch.no_grad():
        return model(
            torch.zeros(1, 3, model.image_size, model.image_size),
            input_points=torch.ones(1, 1, 1, 2),
        ).pred_masks


def test_damaged_configs_are_refused_or_harmless(folder):
    text = (folder / "config.json").read_text()
    refused = 0
    for seed in range(SEEDS):
        content, what = damaged(text, seed)
        (folder / "config.json").write_bytes(content)
        try:
            model = (Sam2Model, Sam2VideoModel)[seed % 2].from_pretrained(folder)
        except CheckpointError:
            refused += 1
        except Exception as error:
            pytest.fail(f"seed {seed}, {what}: {type(error).__name__}: {error}")
        else:
            if isinstance(model, Sam2Model) and model.image_size == 64:
                assert answers(model).isfinite().all(), f"seed {seed}, {what}"
    assert refused > SEEDS / 2


def test_damaged_indexes_are_refused_or_harmless(folder):
    shards = folder / "shards"
    text = (shards / INDEX).read_text()
    for seed in range(40):
        content, what = damaged(text, seed)
        (shards / INDEX).write_bytes(content)
        try:
            Sam2Model.from_pretrained(shards)
        except CheckpointError:
            continue
        except Exception as error:
            pytest.fail(f"seed {seed}, {what}: {type(error).__name__}: {error}")


CHANGES = {
    "heads that do not divide": ("vision_config.backbone_config.num_attention_heads_per_stage", 0),
    "an unknown activation": ("vision_config.backbone_config.hidden_act", "zz"),
    "a negative size": ("prompt_encoder_config.image_size", -32),
    "a size the trunk cannot halve": ("prompt_encoder_config.image_size", 37),
    "a size on the first level": ("image_size", 37),
    "a size of a video model alone": ("num_maskmem", -1),
    "absurd width": ("vision_config.fpn_hidden_size", 10**9),
    "absurd depth": ("vision_config.backbone_config.blocks_per_stage", [10**9] * 4),
    "no number": ("prompt_encoder_config.layer_norm_eps", float("nan")),
    "a word for a switch": ("multimask_output_for_tracking", "yes"),
    "another network": ("model_type", "bert"),
    "another backbone": ("vision_config.backbone_config.model_type", "repvit"),
    "integer weights": ("dtype", "int8"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("kind", [Sam2Model, Sam2VideoModel])
def test_the_field_at_fault_is_named(folder, change, kind):
    place, value = change
    *parents, name = place.split(".")
    fields = json.loads((folder / "config.json").read_text())
    inside = fields
    for parent in parents:
        inside = inside[parent]
    inside[name] = value
    (folder / "config.json").write_text(json.dumps(fields))

    with pytest.raises(CheckpointError, match="type" if name == "model_type" else name):
        kind.from_pretrained(folder)


@pytest.mark.parametrize("kind", [Sam2Config, Sam2VideoConfig])
@pytest.mark.parametrize("text", ["[]", "null", '{"a":' * 100_000, "{", "\ud83d"[:0] + "{}}"])
def test_a_config_that_is_no_json_object_is_refused(folder, kind, text):
    (folder / "config.json").write_text(text)

    with pytest.raises(CheckpointError, match=r"config\.json"):
        kind.from_pretrained(folder)


@pytest.mark.parametrize("name", ["../model.safetensors", "/etc/hostname", "..", "a\0b", 7, None])
@pytest.mark.parametrize("read", [Sam2Model.from_pretrained, read_folder])
def test_an_index_does_not_lead_out_of_its_folder(folder, name, read):
    index = json.loads((folder / "shards" / INDEX).read_text())
    index["weight_map"]["mask_decoder.iou_token.weight"] = name
    (folder / "shards" / INDEX).write_text(json.dumps(index))

    with pytest.raises(CheckpointError, match=r"index\.json names the file"):
        read(folder / "shards")


def test_a_config_beside_a_pt_is_checked(sound, tmp_path):
    torch.save({"model": {"image_encoder.trunk.blocks.0.a": torch.ones(1)}}, tmp_path / "a.pt")
    fields = json.loads((sound / "config.json").read_text()) | {"num_maskmem": 0}
    (tmp_path / "config.json").write_text(json.dumps(fields))

    with pytest.raises(CheckpointError, match="num_maskmem is 0"):
        Sam2VideoModel.from_pretrained(tmp_path / "a.pt")


def test_a_config_made_by_hand_is_checked_before_anything_is_built():
    config = small_config(memory_attention_num_layers=10**9)

    with pytest.raises(CheckpointError, match="memory_attention_num_layers is 1000000000"):
        Sam2VideoModel(config)
