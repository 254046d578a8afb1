"""`python -m evaluation.run_image`, from data to table."""

import json

import pytest

from evaluation import run_image
from evaluation.run_image import main
from tests.evaluation.programs import all_files, run_in_two_processes
from tests.labeled_squares import write_photos


@pytest.fixture
def sets(tmp_path):
    write_photos(tmp_path / "data")
    coco = tmp_path / "data" / "coco128" / "instances_val.json"
    return f"coco=coco:{coco}", f"bsds=pairs:{tmp_path / 'data' / 'bsds500' / 'val'}"


@pytest.fixture
def run(tiny_checkpoint, tmp_path, sets):
    def call(*more, out="out", data=sets):
        given = ["--model", str(tiny_checkpoint), "--data", *data, "--out", str(tmp_path / out)]
        return main([*given, *more])

    return call


def test_scores_of_each_set_and_their_mean_are_written(run, tmp_path, capsys):
    assert run("--min-area", "0.01") == 0

    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert {name: one["objects"] for name, one in found["sets"].items()} == {"coco": 2, "bsds": 8}
    for clicks in ("1", "3", "5"):
        values = [one["miou"][clicks] for one in found["sets"].values()]
        assert found["miou"][clicks] == pytest.approx(sum(values) / 2)
    assert "| **mean over sets** |" in capsys.readouterr().out
    assert (tmp_path / "out" / "worst.png").is_file()


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(run, tmp_path, monkeypatch):
    run(out="whole")
    clicked = []

    def stopping(model, photo):
        clicked.append(photo.name)
        if len(clicked) == 3:
            raise KeyboardInterrupt
        return click_photo(model, photo)

    click_photo = run_image.click_photo
    monkeypatch.setattr(run_image, "click_photo", stopping)

    assert run() == 130
    assert run() == 0

    assert len(clicked) == 5  # four photos, one of them twice
    assert all_files(tmp_path / "out") == all_files(tmp_path / "whole")


def test_two_processes_write_what_one_does(run, tmp_path, tiny_checkpoint, sets):
    run(out="one")
    given = ["--model", tiny_checkpoint, "--data", *sets, "--out", tmp_path / "two"]

    run_in_two_processes("evaluation.run_image", *given)

    assert all_files(tmp_path / "one") == all_files(tmp_path / "two")


def test_damaged_scores_of_a_photo_are_made_again(run, tmp_path):
    run()
    before = all_files(tmp_path / "out")
    (tmp_path / "out" / "photos" / "coco" / "100.json").write_text("[[0.1")

    assert run() == 0
    assert all_files(tmp_path / "out") == before


def test_photos_without_objects_that_count_leave_nothing_to_measure(run, capsys):
    assert run("--min-area", "0.99") == 2
    assert "Lower --min-area" in capsys.readouterr().err


def test_a_damaged_photo_ends_the_run_with_its_name(run, tmp_path, capsys):
    (tmp_path / "data" / "coco128" / "images" / "200.jpg").write_bytes(b"no")

    assert run() == 2
    assert "200" in capsys.readouterr().err
    assert (tmp_path / "out" / "photos" / "coco" / "100.json").is_file()
