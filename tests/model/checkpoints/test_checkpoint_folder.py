"""Folders in transformers' format from original checkpoints, and back."""

import json
import resource
from contextlib import contextmanager

import pytest
import torch
from safetensors.torch import load_file

from sam2_hf import Sam2Model, Sam2Processor
from sam2_hf.model.checkpoints.checkpoint_errors import (
    CheckpointError,
    CheckpointNotFoundError,
    CheckpointWriteError,
)
from sam2_hf.model.checkpoints.checkpoint_folder import (
    convert_to_folder,
    read_folder,
    revert_to_original,
)
from sam2_hf.model.checkpoints.checkpoint_names import to_ours
from sam2_hf.model.checkpoints.original_checkpoint import read_original
from tests.small_checkpoint import save_original, small_config, small_original

FILES = ["README.md", "config.json", "model.safetensors", "processor_config.json"]
ROOM = 300_000  # bytes a file may have where the disk is full; the weights need 1.3 million


@pytest.fixture
def small_file(tmp_path):
    """The small original checkpoint, alone in its folder."""
    return save_original(tmp_path / "in" / "small.pt")


@pytest.fixture
def folder(small_file, tmp_path):
    """The same, converted."""
    return convert_to_folder(small_file, tmp_path / "out", config=small_config())


def test_every_tensor_is_there_bit_by_bit(folder):
    written = load_file(folder / "model.safetensors")

    expected = to_ours(small_original())
    assert written.keys() == expected.keys()
    assert all(torch.equal(written[name], expected[name]) for name in expected)


def test_the_folder_holds_config_card_and_processor(folder):
    config = json.loads((folder / "config.json").read_text())
    processor = json.loads((folder / "processor_config.json").read_text())

    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert config["model_type"] == "sam2_video"
    assert config["architectures"] == ["Sam2VideoModel"]
    assert config["dtype"] == "float32"
    assert config["vision_config"]["backbone_config"]["window_size_per_stage"] == [4, 4, 4, 2]
    assert config["memory_attention_hidden_size"] == 32
    assert processor["image_processor"]["size"] == {"height": 64, "width": 64}
    assert processor["image_processor"]["mask_size"] == {"height": 16, "width": 16}


def test_a_converted_folder_converts_without_a_config_once_more(folder, tmp_path):
    """The config beside the weights says what they cannot."""
    revert_to_original(folder, folder / "back.pt")

    again = convert_to_folder(folder / "back.pt", tmp_path / "again")

    assert (again / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("architecture", ["micro", "micro20"])
def test_there_and_back_is_equal_bit_by_bit(
    tmp_path, seeded_checkpoint, micro_config, architecture
):
    weights = seeded_checkpoint(architecture)
    path = save_original(tmp_path / "micro.pt", weights)

    folder = convert_to_folder(path, tmp_path / "folder", config=micro_config)
    back = read_original(revert_to_original(folder, tmp_path / "back.pt"))

    assert back.keys() == weights.keys()
    assert all(torch.equal(back[name], weights[name]) for name in weights)
    assert torch.load(tmp_path / "back.pt", weights_only=True).keys() == {"model"}


def test_the_stored_precision_is_kept(tmp_path):
    half = {name: tensor.bfloat16() for name, tensor in small_original().items()}
    path = save_original(tmp_path / "half.pt", half)

    folder = convert_to_folder(path, tmp_path / "folder", config=small_config())
    back = read_original(revert_to_original(folder, tmp_path / "back.pt"))

    assert json.loads((folder / "config.json").read_text())["dtype"] == "bfloat16"
    assert all(torch.equal(back[name], half[name]) for name in half)
    assert {tensor.dtype for tensor in back.values()} == {torch.bfloat16}


def test_a_folder_with_one_original_can_be_converted(small_file, tmp_path):
    folder = convert_to_folder(small_file.parent, tmp_path / "out", config=small_config())

    assert (folder / "model.safetensors").is_file()


def test_a_folder_without_an_original_cannot(folder, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"has no \.pt file; it holds README\.md"):
        convert_to_folder(folder, tmp_path / "other")


def test_nothing_is_written_over_a_filled_folder(folder, small_file):
    before = {path: path.read_bytes() for path in folder.iterdir()}

    with pytest.raises(CheckpointWriteError, match="is not empty"):
        convert_to_folder(small_file, folder, config=small_config())

    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_an_unusable_checkpoint_leaves_no_folder(small_file, tmp_path):
    with pytest.raises(CheckpointError, match="none of the released models"):
        convert_to_folder(small_file, tmp_path / "out")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_shards_are_read_as_one(folder, tmp_path):
    Sam2Model.from_pretrained(folder).save_pretrained(tmp_path / "shards", max_shard_size="100KB")

    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    expected = to_ours(small_original())
    for name, tensor in read_folder(tmp_path / "shards").items():
        assert torch.equal(tensor, expected[name])


def test_an_image_model_alone_cannot_become_an_original(folder, tmp_path):
    Sam2Model.from_pretrained(folder).save_pretrained(tmp_path / "image")

    with pytest.raises(CheckpointError, match=r"missing \d+: maskmem_tpos_enc"):
        revert_to_original(tmp_path / "image", tmp_path / "back.pt")


def test_a_folder_to_revert_needs_weights_and_config(folder, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=r"there is no file .*model\.safetensors"):
        revert_to_original(tmp_path, tmp_path / "x.pt")
    (folder / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"has no config\.json"):
        revert_to_original(folder, tmp_path / "x.pt")
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        revert_to_original(folder, tmp_path / "x.pt")


@pytest.fixture
def cramped():
    """Limit the size of files, as a stand-in for a full disk: writing fails in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


def test_a_full_disk_is_a_clear_error_and_no_folder(small_file, tmp_path, cramped):
    expected = r"cannot write .*/new: .*File too large.*Nothing of it was left behind"

    with cramped(), pytest.raises(CheckpointWriteError, match=expected):
        convert_to_folder(small_file, tmp_path / "full" / "new", config=small_config())

    assert not [*(tmp_path / "full").iterdir()]


def test_a_full_disk_is_a_clear_error_and_no_original(folder, tmp_path, cramped):
    expected = r"cannot write .*/new\.pt: File too large\. Nothing of it was left behind"

    with cramped(), pytest.raises(CheckpointWriteError, match=expected):
        revert_to_original(folder, tmp_path / "full" / "new.pt")

    assert not [*(tmp_path / "full").iterdir()]


def test_the_processor_of_the_folder_fits_the_model(folder):
    processor = Sam2Processor.from_pretrained(folder)

    assert processor.target_size == 64
    assert processor.image_processor.mask_size["height"] == 16
