"""Finding an original checkpoint among files."""

import json

import pytest

from sam2_hf.model.checkpoints.checkpoint_errors import (
    CheckpointError,
    CheckpointNotFoundError,
    first_line,
)
from sam2_hf.model.checkpoints.checkpoint_search import (
    config_beside,
    find_local_original,
    require_weights,
)


def make(folder, *names):
    """Make empty files."""
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".safetensors"])
def test_a_path_means_its_file(tmp_path, suffix):
    make(tmp_path, f"x{suffix}")

    assert find_local_original(str(tmp_path / f"x{suffix}")) == tmp_path / f"x{suffix}"


def test_a_folder_means_its_only_checkpoint(tmp_path):
    make(tmp_path, "x.pt", "sam2.yaml", "README.md", "training_args.bin")

    assert find_local_original(tmp_path) == tmp_path / "x.pt"


@pytest.mark.parametrize(
    "weights",
    [
        "model.safetensors",
        "model.safetensors.index.json",
        "pytorch_model.bin",
        "pytorch_model-00001-of-00002.bin",
    ],
)
def test_what_transformers_reads_goes_first(tmp_path, weights):
    make(tmp_path, "x.pt", weights)

    assert find_local_original(tmp_path) is None
    require_weights(tmp_path)


def test_a_subfolder_is_looked_into(tmp_path):
    make(tmp_path, "a.pt", "v2/b.pt")

    assert find_local_original(tmp_path, "v2") == tmp_path / "v2" / "b.pt"
    assert find_local_original(tmp_path, "v3") is None


def test_a_hub_id_is_no_path():
    assert find_local_original("facebook/sam2.1-hiera-tiny") is None


def test_a_folder_whose_name_ends_like_a_file_is_a_folder(tmp_path):
    make(tmp_path, "model.pt/x.pt")

    assert find_local_original(tmp_path / "model.pt") == tmp_path / "model.pt" / "x.pt"


def test_a_long_folder_is_listed_in_part(tmp_path):
    make(tmp_path, *(f"{i:02}.txt" for i in range(20)))

    with pytest.raises(CheckpointNotFoundError, match=r"00\.txt, .*, 07\.txt and 12 more\."):
        require_weights(tmp_path)


def test_the_config_of_another_model_is_not_taken(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))

    assert config_beside(tmp_path / "x.pt") is None
    assert config_beside(tmp_path / "elsewhere" / "x.pt") is None


def test_a_broken_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(CheckpointError, match=r"config\.json is not valid JSON"):
        config_beside(tmp_path / "x.pt")


def test_messages_of_others_are_shortened_to_a_line():
    assert first_line(RuntimeError("\nA.\nB")) == "A"
    assert first_line(RuntimeError()) == "RuntimeError"
