"""What a command reports."""

import json
from pathlib import Path

import pytest

import sam2_hf
from sam2_hf.cli.report import CommandReport, failure_text, object_facts
from sam2_hf.results.found_object import FoundObject


def test_the_json_is_one_line_with_every_result(capsys):
    report = CommandReport("segment")
    report.model = "tiny"
    report.add("cup.jpg", [Path("out/cup.json")], width=9, seconds=0.123456789)
    report.fail("no such file", "größe.jpg")

    text = report.as_json(report.code)

    assert "\n" not in text
    content = json.loads(text)
    assert content.pop("seconds") >= 0
    assert content == {
        "command": "segment",
        "version": sam2_hf.__version__,
        "model": "tiny",
        "exit_code": 2,
        "error": None,
        "results": [
            {"source": "cup.jpg", "files": ["out/cup.json"], "width": 9, "seconds": 0.123457}
        ],
        "failed": [{"source": "größe.jpg", "error": "no such file"}],
    }
    assert capsys.readouterr().err == "sam2-hf: error: no such file\n"


def test_an_error_of_the_whole_command_is_in_the_json(capsys):
    report = CommandReport("track")
    report.fail("the model is not there")

    assert json.loads(report.as_json(2))["error"] == "the model is not there"
    report.summarize()
    assert capsys.readouterr().err.count("\n") == 1


def test_many_failures_are_counted_and_some_are_named(capsys):
    report = CommandReport("everything")
    report.total = 40
    for number in range(12):
        report.fail("broken", f"{number}.jpg")
    capsys.readouterr()

    report.summarize()

    told = capsys.readouterr().err
    assert "12 of 40 failed: 0.jpg, 1.jpg" in told
    assert told.endswith("9.jpg and 2 more\n")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (sam2_hf.ImageError("no\n picture"), "no picture"),
        (MemoryError(), "MemoryError"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out of memory. Try"),
        (RuntimeError("shapes do not fit"), ""),
        (KeyError("a bug"), ""),
    ],
)
def test_bugs_have_no_text(error, told):
    assert failure_text(error).startswith(told)
    assert bool(failure_text(error)) == bool(told)


def test_facts_of_objects_leave_the_masks_out():
    rle = {"size": [2, 3], "counts": [2, 2, 2]}
    found = FoundObject(7, rle, 0.5, "cup", {"stability_score": 0.25, "prompt_points": []})

    assert object_facts([found]) == [
        {
            **{"id": 7, "name": "cup", "area": 2, "box": [1, 0, 2, 2]},
            **{"predicted_iou": 0.5, "stability_score": 0.25},
        }
    ]
