"""The small checkpoint in both formats."""

import pytest

from sam2_hf.model.checkpoints.checkpoint_folder import convert_to_folder
from tests.small_checkpoint import save_original, small_config


@pytest.fixture(scope="session")
def small_file(tmp_path_factory):
    """The original checkpoint, alone in its folder; not to be changed."""
    return save_original(tmp_path_factory.mktemp("original") / "small.pt")


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory, small_file):
    """The same in transformers' format; not to be changed."""
    out = tmp_path_factory.mktemp("converted") / "small"
    return convert_to_folder(small_file, out, config=small_config())
