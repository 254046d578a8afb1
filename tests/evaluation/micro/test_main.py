"""The program that measures the bundled model, on photos and clips of a few pixels."""

import pytest

from evaluation.comparison.score_file import load_scores
from evaluation.micro import __main__
from evaluation.micro.__main__ import main


@pytest.fixture
def arguments(small_data, tiny_checkpoint, tmp_path):
    model = ["--model", str(tiny_checkpoint), "--device", "cpu"]
    return ["--data", str(small_data), "--out", str(tmp_path / "out"), *model]


def test_it_measures_the_model_and_the_baselines_on_all_sets(arguments, tmp_path, capsys):
    assert main(arguments) == 0

    scores = load_scores(tmp_path / "out")
    measured = {(part.data_set, part.subject) for part in scores.parts}
    names = ("bsds500/val", "coco128 val", "davis16 blackswan + kite-surf")
    assert measured == {(name, subject) for name in names for subject in ("model", "baselines")}
    assert scores.model.name == "sam2-tiny"
    assert "| **sam2-tiny** |" in capsys.readouterr().out


def test_flood_fill_is_right_on_squares_of_one_color(arguments, tmp_path):
    main([*arguments, "--baselines-only"])

    scores = {one.method: one for one in load_scores(tmp_path / "out").photo_scores("coco128 val")}
    assert scores["flood fill"].mean_iou == 1
    assert load_scores(tmp_path / "out").model is None


def test_a_second_run_keeps_everything_and_changes_nothing(arguments, tmp_path, capsys):
    main(arguments)
    before = (tmp_path / "out/scores.json").read_bytes()
    capsys.readouterr()

    main(arguments)

    assert capsys.readouterr().err.count("kept from an earlier run") == 6
    assert (tmp_path / "out/scores.json").read_bytes() == before


def test_pictures_are_drawn_instead(arguments, tmp_path, capsys):
    assert main([*arguments, "--pictures", "1"]) == 0

    lines = capsys.readouterr().out.split()
    assert str(tmp_path / "out/blackswan.png") in lines
    assert not (tmp_path / "out/scores.json").exists()


def test_ctrl_c_ends_with_a_word_about_what_is_kept(arguments, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(__main__, "carry_out", interrupted)

    assert main(arguments) == 130
    assert "finished sets are kept in" in capsys.readouterr().err


def test_missing_data_is_an_error_in_one_line(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err.startswith("error: ")


def test_a_missing_model_is_an_error_in_one_line(arguments, capsys):
    assert main([*arguments, "--model", "/nowhere/at/all"]) == 2

    assert capsys.readouterr().err.startswith("error: ")
