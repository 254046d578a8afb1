"""The command that converts back."""

import torch

from convert_checkpoints.command_line import run
from convert_checkpoints.revert import revert
from sam2_hf.model.checkpoints.original_checkpoint import read_original


def test_the_original_comes_back_bit_by_bit(small_file, small_folder, tmp_path, capsys):
    out = tmp_path / "back.pt"

    code = run(revert, [str(small_folder), str(out)])

    back, original = read_original(out), read_original(small_file)
    assert code == 0
    assert capsys.readouterr().out == f"wrote {out}\n"
    assert back.keys() == original.keys()
    assert all(torch.equal(back[name], original[name]) for name in original)


def test_a_folder_without_weights_is_one_line_and_exit_code_2(tmp_path, capsys):
    code = run(revert, [str(tmp_path), str(tmp_path / "back.pt")])

    assert code == 2
    assert capsys.readouterr().err.startswith("error: there is no file ")
    assert not [*tmp_path.iterdir()]
