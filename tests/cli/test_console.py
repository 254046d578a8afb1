"""What is shown, and what `--quiet` and `--json` hold back."""

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
