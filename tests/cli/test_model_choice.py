"""Which model the command line uses where the default one cannot be had."""

import json

import pytest

from sam2_hf.cli import main, model_choice
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL as NAME
from sam2_hf.pipelines.loading import DEFAULT_MODEL


@pytest.fixture
def segment(cup, tmp_path):
    """Run `sam2-hf segment`; returns the name of the model in its results."""

    def run(*arguments):
        out = tmp_path / "out"
        assert main(["segment", str(cup), "--point", "30,20", "--out", str(out), *arguments]) == 0
        return json.loads((out / "cup_segment.json").read_text())["info"]["model"]

    return run


def test_without_the_default_model_there_is_an_error_with_the_two_ways_out(
    cup, no_network, one_error_line, tmp_path
):
    assert main(["segment", str(cup), "--point", "3,2", "--out", str(tmp_path / "out")]) == 2

    line = one_error_line()
    assert f"the default model {DEFAULT_MODEL} is not on this machine" in line
    assert f"--model {NAME}" in line
    assert "--model with the path" in line


@pytest.mark.parametrize("command", ["everything", "track"])
def test_no_command_takes_another_model_in_place_of_the_default_one(
    command, cup, clip, no_network, one_error_line, tmp_path
):
    what = [str(cup)] if command == "everything" else [str(clip), "--click", "0:1:30,20"]

    assert main([command, *what, "--out", str(tmp_path / "out")]) == 2

    assert f"--model {NAME}" in one_error_line()


def test_a_default_model_that_breaks_off_is_an_error_too(
    cup, monkeypatch, one_error_line, tmp_path
):
    def broken(*_, **__):
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(model_choice, "load_model", broken)

    assert main(["segment", str(cup), "--point", "3,2", "--out", str(tmp_path / "out")]) == 2

    line = one_error_line()
    assert "could not be fetched (reset by peer)" in line
    assert f"--model {NAME}" in line


def test_whoever_asks_for_the_bundled_model_hears_once_that_there_are_better_ones(
    segment, no_network, capsys
):
    assert segment("--model", NAME) == NAME

    (line,) = capsys.readouterr().err.splitlines()
    assert "use a released checkpoint" in line


def test_another_model_is_used_without_a_word(segment, no_network, model_folder, capsys):
    assert segment("--model", model_folder) == model_folder

    assert capsys.readouterr().err == ""


def test_videos_are_tracked_with_the_bundled_model_too(no_network, track, tmp_path):
    assert track("--click", "0:1:30,20", "--limit", "1", "--outputs", "json", model=NAME) == 0

    content = json.loads((tmp_path / "out" / "clip_masklets.json").read_text())
    assert content["model"] == NAME


def test_a_model_that_cannot_be_reached_is_an_error_that_names_the_bundled_one(
    cup, no_network, one_error_line
):
    assert main(["segment", str(cup), "--point", "3,2", "--model", "some/model"]) == 2

    assert f"'{NAME}' needs no network" in one_error_line()
