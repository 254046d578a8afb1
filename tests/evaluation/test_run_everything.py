"""`python -m evaluation.run_everything`, from data to table."""

import json

import pytest

from evaluation import report, run_everything
from evaluation.everything import methods
from evaluation.run_everything import main
from tests.small_sets import write_davis

QUICK = ("points_per_side=2", "pred_iou_thresh=0.0", "stability_score_thresh=0.0", "max_objects=3")


@pytest.fixture
def run(tiny_checkpoint, tmp_path):
    """Run on a small set; results go to `out`."""
    root = write_davis(tmp_path / "davis", frames=5)

    def call(*more, dataset="davis17-val", out="out"):
        given = ["--model", str(tiny_checkpoint), "--out", str(tmp_path / out)]
        quick = [word for option in QUICK for word in ("--with", option)]
        return main([*given, "--dataset", dataset, "--root", str(root), *quick, *more])

    return call


def scores(tmp_path, out="out"):
    return json.loads((tmp_path / out / "scores.json").read_text())


def test_every_method_has_a_row_and_the_truth_scores_100(run, tmp_path, capsys):
    assert run("--methods", "tracked", "linked", "perfect") == 0

    found = scores(tmp_path)
    assert found["protocol"] == "everything"
    assert found["options"]["points_per_side"] == 2
    summaries = {name: method["summary"] for name, method in found["methods"].items()}
    assert set(summaries) == {"tracked", "linked", "perfect"}
    perfect = summaries["perfect"]
    assert (perfect["j_and_f"], perfect["recall"], perfect["switches"]) == (100, 100, 0)
    assert summaries["linked"]["num_objects"] == 4
    table = capsys.readouterr().out
    assert "| tracked by a model that reads the truth | **100.0** |" in table
    assert "| each frame alone, linked by IoU | **" in table
    assert len(list((tmp_path / "out/masklets/tracked").glob("*.jsonl"))) == 2

    page = tmp_path / "page.md"
    report.write_report([tmp_path / "out"], page)
    assert "### Each object, linked" in page.read_text()


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(run, tmp_path, monkeypatch, capsys):
    assert run("--methods", "linked", out="whole") == 0
    calls = []

    def stopping(video, *rest):
        for tracked in methods.linked(video, *rest):
            calls.append(video.name)
            if len(calls) == 7:
                raise KeyboardInterrupt
            yield tracked

    with monkeypatch.context() as patch:
        patch.setitem(run_everything.METHODS, "linked", stopping)
        assert run("--methods", "linked") == 130
    assert "Run it again to continue" in capsys.readouterr().err

    assert run("--methods", "linked") == 0
    assert scores(tmp_path)["methods"] == scores(tmp_path, "whole")["methods"]


def test_mistakes_are_one_line(run, capsys):
    for arguments, message in (
        (("--with", "point_per_side=3"), "Did you mean points_per_side"),
        (("--with", "layout=flat"), "layout is 'flat'"),
    ):
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err
    assert run(dataset="davis17-test-dev") == 2
