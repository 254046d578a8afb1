"""`sam2-hf convert`."""

import pytest
import torch

from sam2_hf.cli import main
from sam2_hf.model.checkpoints.original_checkpoint import read_original
from tests.small_checkpoint import save_original, small_config


@pytest.fixture
def checkpoint(tmp_path):
    """A small original checkpoint, with its config beside it as it is no released model."""
    small_config().save_pretrained(tmp_path / "in")
    return save_original(tmp_path / "in" / "small.pt")


def test_a_checkpoint_becomes_a_folder_and_comes_back_bit_by_bit(checkpoint, tmp_path, capsys):
    assert main(["convert", str(checkpoint), str(tmp_path / "folder")]) == 0
    assert main(["convert", str(tmp_path / "folder"), str(tmp_path / "back.pt")]) == 0

    told = capsys.readouterr().out
    assert f"{checkpoint} -> {tmp_path / 'folder'}" in told
    before, after = read_original(checkpoint), read_original(tmp_path / "back.pt")
    assert set(before) == set(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_missing_checkpoint_is_one_line(tmp_path, one_error_line):
    assert main(["convert", str(tmp_path / "none.pt"), str(tmp_path / "folder")]) == 2

    assert "none.pt" in one_error_line()
    assert not (tmp_path / "folder").exists()
