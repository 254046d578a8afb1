"""What is shown, and what `--quiet` and `--json` hold back."""

import io
import json
import os
import sys

import pytest

from sam2_hf.cli import main
from sam2_hf.cli.console import complain, note, say, showing


def speak(capsys):
    say("result")
    note("note")
    complain("wrong")
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_results_messages_and_errors_have_their_places(capsys):
    assert speak(capsys) == ("result\n", "sam2-hf: note\nsam2-hf: error: wrong\n")


def test_errors_are_always_shown(capsys):
    with showing(results=False, notes=False):
        assert speak(capsys) == ("", "sam2-hf: error: wrong\n")
    with showing(results=False, notes=True):
        assert speak(capsys) == ("", "sam2-hf: note\nsam2-hf: error: wrong\n")
    assert speak(capsys)[0] == "result\n"


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_names_that_are_no_text_are_shown_and_stay_in_the_json(monkeypatch, encoding):
    name = "größe-\udcff.png"
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)

    say(name)
    assert main(["segment", name, "--point", "1,1", "--json"]) == 2

    shown, answer = stream.buffer.getvalue().decode(encoding).splitlines()
    assert shown.endswith("-\\udcff.png")
    assert json.loads(answer)["failed"][0]["source"] == name


def test_a_reader_that_has_left_is_no_error(monkeypatch):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)

        assert main(["segment", "none.png", "--point", "1,1", "--json"]) == 2
        say("more")
