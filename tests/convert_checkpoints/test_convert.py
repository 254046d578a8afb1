"""The command that converts to the Hub's format, and pushes."""

import json

import pytest
import torch
from safetensors.torch import load

from convert_checkpoints.command_line import run
from convert_checkpoints.convert import convert
from sam2_hf import Sam2Model
from sam2_hf.model.checkpoints.checkpoint_names import to_ours
from tests.hub.conftest import hub as hub
from tests.small_checkpoint import small_original


def test_a_checkpoint_is_converted(small_file, small_folder, tmp_path, capsys):
    code = run(convert, [str(small_file), str(tmp_path / "out"), "--config", str(small_folder)])

    assert code == 0
    assert "config.json, model.safetensors" in capsys.readouterr().out
    assert Sam2Model.from_pretrained(tmp_path / "out").config.mask_decoder_config.hidden_size == 32


def test_what_cannot_be_converted_is_one_line_and_exit_code_2(small_file, tmp_path, capsys):
    code = run(convert, [str(small_file), str(tmp_path / "out")])

    told = capsys.readouterr()
    assert code == 2
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "error: " in told.err
    assert "none of the released models" in told.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("config", ["absent", "broken.json"])
def test_a_config_that_cannot_be_read_is_one_line_and_exit_code_2(
    small_file, tmp_path, capsys, config
):
    (tmp_path / "broken.json").write_text("{")

    arguments = [str(small_file), str(tmp_path / "out"), "--config", str(tmp_path / config)]
    code = run(convert, arguments)

    assert code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_converted_checkpoint_is_pushed_with_its_card(
    hub, small_file, small_folder, tmp_path, capsys
):
    arguments = [str(small_file), str(tmp_path / "out"), "--config", str(small_folder)]

    code = run(convert, [*arguments, "--push", "me/my-sam", "--private"])

    assert code == 0
    assert f"pushed to {hub.url}/me/my-sam/commit/" in capsys.readouterr().out
    _, files = hub.find("me/my-sam", "main")
    assert 'from_pretrained("me/my-sam")' in files["README.md"].decode()
    assert json.loads(files["config.json"])["model_type"] == "sam2_video"
    pushed, expected = load(files["model.safetensors"]), to_ours(small_original())
    assert all(torch.equal(pushed[name], expected[name]) for name in expected)


def test_what_was_pushed_loads_from_the_hub(hub, small_file, small_folder, tmp_path):
    arguments = [str(small_file), str(tmp_path / "out"), "--config", str(small_folder)]
    run(convert, [*arguments, "--push", "me/my-sam"])

    model = Sam2Model.from_pretrained("me/my-sam")

    assert model.config.prompt_encoder_config.image_size == 64
