"""Reading the original `.pt` checkpoints."""

import json
import os
import pickle

import pytest
import torch
import transformers
from safetensors.torch import save_file

from sam2_hf import CheckpointError, Sam2HieraDetModel, Sam2Model, Sam2VisionModel
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.checkpoints.checkpoint_folder import convert_to_folder
from sam2_hf.model.checkpoints.checkpoint_names import to_ours
from sam2_hf.model.checkpoints.original_checkpoint import load_original, read_original
from tests.small_checkpoint import save_original, small_config, small_original

IOU_TOKEN = "sam_mask_decoder.iou_token.weight"


class Evil:
    """Makes a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def small_file(tmp_path):
    """The small original checkpoint."""
    return save_original(tmp_path / "small.pt")


def test_weights_are_read_with_and_without_the_outer_dict(tmp_path, small_file):
    bare = tmp_path / "bare.pt"
    torch.save(small_original(), bare)

    assert read_original(bare).keys() == read_original(small_file).keys()


def test_what_training_saves_beside_the_weights_is_left_out(tmp_path):
    path = tmp_path / "checkpoint.pt"
    content = {"model": small_original(), "optimizer": {"state": {}}, "epoch": 3, "loss": None}
    torch.save(content, path)

    assert IOU_TOKEN in read_original(path)


@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"model": evil}])
def test_a_pickle_that_tries_to_run_code_does_not_run(tmp_path, wrap):
    trace = tmp_path / "it ran"
    torch.save(wrap(Evil(trace)), tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(wrap(Evil(trace)), protocol=2))

    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(CheckpointError, match=r"was not opened: .* could run code"):
            Sam2Model.from_pretrained(tmp_path / name)
    assert not trace.exists()


@pytest.mark.parametrize("kept", [0, 10, 5_000, -1])
def test_a_truncated_file_is_named(small_file, kept):
    small_file.write_bytes(small_file.read_bytes()[:kept])

    with pytest.raises(CheckpointError, match=r"small\.pt (cannot be read|was not opened)"):
        read_original(small_file)


@pytest.mark.parametrize(
    "content", [[1], {"model": {}}, {"epoch": 1}, {"model": {1: torch.ones(1)}}]
)
def test_something_else_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "x.pt")

    with pytest.raises(CheckpointError, match=r"x\.pt holds .* original SAM 2 checkpoint"):
        read_original(tmp_path / "x.pt")


def test_missing_and_foreign_weights_are_named(tmp_path):
    weights = small_original()
    del weights[IOU_TOKEN]
    weights["text_encoder.weight"] = torch.zeros(1)
    path = save_original(tmp_path / "odd.pt", weights)

    with pytest.raises(CheckpointError) as caught:
        Sam2Model.from_pretrained(path, config=small_config())

    assert f"missing 1: {IOU_TOKEN}" in str(caught.value)
    assert "unexpected 1: text_encoder.weight" in str(caught.value)


def test_a_missing_file_is_also_an_os_error(tmp_path):
    with pytest.raises(OSError, match="there is no file"):
        Sam2Model.from_pretrained(tmp_path / "no.pt")


def test_the_model_has_the_weights_of_the_file(small_file):
    model = Sam2Model.from_pretrained(small_file, config=small_config())

    expected = to_ours(small_original())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in model.state_dict().items())
    assert model.name_or_path == str(small_file)
    assert not model.training


def test_a_released_model_needs_no_config(tmp_path, seeded_checkpoint):
    path = save_original(tmp_path / "any name.pt", seeded_checkpoint("sam2_hiera_tiny"))

    model = Sam2Model.from_pretrained(path)

    assert model.config.vision_config.backbone_config.global_attention_blocks == [5, 7, 9]
    assert model.config.prompt_encoder_config.image_size == 1024


def test_the_micro_model_needs_the_callers_config(tmp_path, seeded_checkpoint, micro_config):
    path = save_original(tmp_path / "micro.pt", seeded_checkpoint("micro20"))

    with pytest.raises(CheckpointError, match=r"stages of 1-2-3-1 blocks with 32-64-128-256"):
        Sam2Model.from_pretrained(path)
    model = Sam2Model.from_pretrained(path, config=micro_config)

    assert model.config.prompt_encoder_config.image_size == 256


def test_options_reach_the_model(small_file):
    model, told = Sam2Model.from_pretrained(
        small_file,
        config=small_config(),
        dtype=torch.bfloat16,
        attn_implementation="eager",
        output_loading_info=True,
    )

    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]


def test_a_config_beside_the_file_is_taken_and_its_fields_can_be_changed(small_file):
    (small_file.parent / "config.json").write_text(json.dumps(small_config().to_dict()))

    model = Sam2Model.from_pretrained(small_file, output_hidden_states=True)

    assert model.config.output_hidden_states
    assert model.config.prompt_encoder_config.image_size == 64


def test_weights_of_another_shape_are_named(small_file):
    weights = small_original()
    weights["sam_mask_decoder.conv_s0.bias"] = torch.zeros(7)
    path = save_original(small_file, weights)

    with pytest.raises(CheckpointError, match=r"mask_decoder\.conv_s0\.bias is \(7,\) instead of"):
        Sam2Model.from_pretrained(path, config=small_config())


def test_the_parts_load_from_the_whole(small_file):
    weights = to_ours(small_original())
    name = "patch_embed.projection.weight"

    vision = Sam2VisionModel.from_pretrained(small_file, config=small_config())
    trunk = Sam2HieraDetModel.from_pretrained(small_file, config=small_config())

    expected = weights[f"vision_encoder.backbone.{name}"]
    assert torch.equal(vision.backbone.state_dict()[name], expected)
    assert torch.equal(trunk.state_dict()[name], expected)


def test_without_memory_weights_an_image_model_loads_and_a_video_model_does_not(tmp_path):
    weights = {k: v for k, v in small_original().items() if not k.startswith("memory_")}
    path = save_original(tmp_path / "image.pt", weights)

    Sam2Model.from_pretrained(path, config=small_config())
    with pytest.raises(CheckpointError, match=r"missing \d+: memory_attention"):
        load_original(path, small_config())


def test_a_folder_with_the_original_alone_loads(small_file):
    model = Sam2Model.from_pretrained(small_file.parent, config=small_config())

    assert model.name_or_path == str(small_file)


def test_a_folder_in_transformers_format_goes_first(tmp_path, small_file):
    folder = convert_to_folder(small_file, tmp_path / "folder", config=small_config())
    (folder / "original.pt").write_bytes(b"never opened")

    model = Sam2Model.from_pretrained(folder)

    assert torch.equal(model.mask_decoder.iou_token.weight, small_original()[IOU_TOKEN])


@pytest.mark.parametrize("files", [[], ["notes.txt"], ["config.json"]])
def test_a_folder_without_weights_is_a_clear_error_that_lists_it(tmp_path, files):
    for name in files:
        (tmp_path / name).write_text(json.dumps(small_config().to_dict()))

    with pytest.raises(CheckpointNotFoundError, match="has no weights") as caught:
        Sam2Model.from_pretrained(tmp_path)
    assert f"it holds {', '.join(files) or 'nothing'}." in str(caught.value)


def test_a_folder_with_two_originals_is_a_clear_error(tmp_path):
    for name in ("a.pt", "b.pth"):
        (tmp_path / name).touch()

    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints: a\.pt, b\.pth"):
        Sam2Model.from_pretrained(tmp_path)


@pytest.mark.parametrize("kept", [0, 4, 2_000, -1])
def test_a_truncated_safetensors_is_named(tmp_path, small_file, kept):
    folder = convert_to_folder(small_file, tmp_path / "folder", config=small_config())
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])

    with pytest.raises(CheckpointError, match=r"folder/model\.safetensors is damaged"):
        Sam2Model.from_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_a_safetensors_file_with_original_names_is_read(tmp_path, small_file, dtype):
    weights = {name: one.to(dtype) for name, one in small_original().items()}
    save_file(weights, tmp_path / "small.safetensors")

    model = Sam2Model.from_pretrained(tmp_path / "small.safetensors", config=small_config())

    expected = Sam2Model.from_pretrained(small_file, config=small_config())
    assert model.dtype == dtype
    for name, weight in expected.state_dict().items():
        assert torch.equal(model.state_dict()[name].to(dtype), weight.to(dtype)), name


def test_the_safetensors_file_of_a_folder_is_read_with_the_config_beside_it(tmp_path, small_file):
    folder = convert_to_folder(small_file, tmp_path / "folder", config=small_config())

    model = Sam2Model.from_pretrained(folder / "model.safetensors")

    expected = Sam2Model.from_pretrained(folder)
    torch.testing.assert_close(model.state_dict(), expected.state_dict(), rtol=0, atol=0)


def test_a_truncated_safetensors_given_by_its_path_is_named(tmp_path):
    (tmp_path / "cut.safetensors").write_bytes(b"\0" * 40)

    with pytest.raises(CheckpointError, match=r"cut\.safetensors is damaged"):
        Sam2Model.from_pretrained(tmp_path / "cut.safetensors", config=small_config())


def test_transformers_video_model_gets_every_weight(tmp_path, small_file):
    folder = convert_to_folder(small_file, tmp_path / "folder", config=small_config())

    peer, told = transformers.Sam2VideoModel.from_pretrained(folder, output_loading_info=True)

    assert not any(told.values())
    expected = to_ours(small_original())
    assert all(torch.equal(tensor, expected[name]) for name, tensor in peer.state_dict().items())
