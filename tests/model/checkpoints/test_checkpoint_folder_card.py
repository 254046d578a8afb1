"""The model card of converted weights."""

import hashlib

import pytest
import torch
import yaml

from sam2_hf.model.checkpoints.checkpoint_folder import model_card
from sam2_hf.model.checkpoints.released_models import released_config
from tests.small_checkpoint import small_config

WEIGHTS = {"a": torch.zeros(1_000, 1_500), "b": torch.zeros(500_000, dtype=torch.bfloat16)}


@pytest.fixture
def source(tmp_path):
    """A file to take for the original."""
    path = tmp_path / "sam2.1_hiera_tiny.pt"
    path.write_bytes(b"weights")
    return path


def test_every_place_is_filled_in(source):
    card = model_card(
        released_config("sam2_hiera_tiny"), WEIGHTS, source=source, repo_id="me/my-sam"
    )

    assert "# my-sam" in card
    assert 'from_pretrained("me/my-sam")' in card
    assert "SAM 2.0 weights" in card
    assert "[`facebook/sam2-hiera-tiny`]" in card
    assert "| parameters | 2.0 million |" in card
    assert "| stored as | bfloat16, float32 |" in card
    assert hashlib.sha256(b"weights").hexdigest() in card
    assert "{" not in card.split("```bibtex")[0].replace("{height", "")


def test_the_metadata_is_yaml(source):
    card = model_card(small_config(), WEIGHTS, source=source, repo_id="me/my-sam")

    metadata = yaml.safe_load(card.split("---")[1])

    assert metadata["license"] == "apache-2.0"
    assert metadata["pipeline_tag"] == "mask-generation"
    assert "none of the eight released" in card


def test_its_python_is_python(source):
    card = model_card(small_config(), WEIGHTS, source=source, repo_id="me/my-sam")

    compile(card.split("```python")[1].split("```")[0], "card", "exec")
