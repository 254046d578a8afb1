"""`python -m evaluation.run_interactive`, from data to curves."""

import csv
import json

import pytest

from evaluation import run_interactive
from evaluation.interactive.protocol import ClickRound, InteractiveRules
from evaluation.interactive.results import ObjectRounds, curve
from evaluation.metrics.masklets import MaskletValues
from evaluation.run_interactive import main
from sam2_hf.errors import DataError
from tests.evaluation.programs import all_files, run_in_two_processes
from tests.small_sets import write_davis


@pytest.fixture
def davis(tmp_path):
    return write_davis(tmp_path / "davis", ("cat",), frames=4)


@pytest.fixture
def run(tiny_checkpoint, tmp_path, davis):
    def call(*more, out="out"):
        given = ["--model", str(tiny_checkpoint), "--out", str(tmp_path / out)]
        few = ["--frames", "2", "--clicks", "2"]
        return main([*given, "--dataset", "davis17-val", "--root", str(davis), *few, *more])

    return call


def rounds(*j_and_f, num_frames=300):
    """Rounds in which every frame scores the same."""
    found = [
        ClickRound(frame, MaskletValues.from_lists({"j": [j], "f": [f]}))
        for frame, (j, f) in enumerate(j_and_f)
    ]
    return ObjectRounds(num_frames, tuple(found))


def test_a_curve_is_the_mean_over_objects_and_one_that_is_done_stays_as_it_is():
    rules = InteractiveRules("offline", frames=3)

    points = curve([rounds((0.5, 0.7), (0.8, 0.8)), rounds((1.0, 0.9))], rules)

    assert [one.j for one in points] == pytest.approx([75, 90, 90])
    assert [one.f for one in points] == pytest.approx([80, 85, 85])
    # 30 s to watch 300 frames, 1 s to find the object, 1.5 s a click
    assert [one.seconds for one in points] == pytest.approx([35.5, (71 + 35.5) / 2, 53.25])


def test_a_curve_of_nothing_is_refused():
    with pytest.raises(DataError, match="no object was measured"):
        curve([], InteractiveRules())


def test_both_protocols_are_scored_and_drawn(run, tmp_path, capsys):
    assert run() == 0

    found = json.loads((tmp_path / "out" / "scores.json").read_text())["modes"]
    assert set(found["offline"]["objects"]) == {"cat-1", "cat-2"}
    with (tmp_path / "out" / "curve-online.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frames"] for row in rows] == ["1", "2"]
    mean = sum(float(row["j_and_f"]) for row in rows) / 2
    assert found["online"]["j_and_f"] == pytest.approx(mean)
    assert (tmp_path / "out" / "curves.png").is_file()
    assert "| offline |" in capsys.readouterr().out


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(run, tmp_path, monkeypatch):
    run(out="whole")
    done = []

    def stopping(session, video, number, rules):
        done.append((rules.mode, number))
        if len(done) == 3:
            raise KeyboardInterrupt
        return interact(session, video, number, rules)

    interact = run_interactive.interact
    monkeypatch.setattr(run_interactive, "interact", stopping)

    assert run() == 130
    assert run() == 0

    assert done[2:] == [("online", 1), ("online", 1), ("online", 2)]
    assert all_files(tmp_path / "out") == all_files(tmp_path / "whole")


def test_two_processes_write_what_one_does(run, tmp_path, tiny_checkpoint, davis):
    run("--modes", "online", out="one")
    given = ["--model", tiny_checkpoint, "--dataset", "davis17-val", "--root", davis]
    more = ["--frames", "2", "--clicks", "2", "--modes", "online", "--out", tmp_path / "two"]

    run_in_two_processes("evaluation.run_interactive", *given, *more)

    assert all_files(tmp_path / "one") == all_files(tmp_path / "two")


def test_no_clicks_are_refused(run, capsys):
    assert run("--clicks", "0") == 2
    assert "--clicks is 0" in capsys.readouterr().err
