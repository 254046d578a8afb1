"""The progress bars."""

import io
import sys

import pytest

from sam2_hf.cli.console import showing
from sam2_hf.cli.progress import FrameProgress, PhotoProgress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_terminal_sees_which_photo_it_is_and_how_far(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with PhotoProgress(4) as progress:
        progress.begin("holiday/sea.jpg")
        progress.end()
        progress.begin("holiday/beach.jpg")
        progress.clicks(32, 64)
        progress._bar.refresh()

    shown = terminal.getvalue()
    assert "2/4 beach.jpg" in shown
    assert " 38%" in shown  # one and a half of four
    assert progress.done == 1


def test_bars_have_no_color(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with PhotoProgress(2) as progress:
        progress.begin("sea.jpg")
        progress.clicks(1, 2)
        progress._bar.refresh()

    assert "sea.jpg" in terminal.getvalue()
    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("notes", [True, False])
def test_a_terminal_without_a_cursor_and_a_quiet_command_have_no_bars(monkeypatch, notes):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "dumb" if notes else "xterm")

    with showing(results=True, notes=notes), PhotoProgress(1) as progress:
        progress.begin("sea.jpg")
        progress.clicks(1, 2)

    assert terminal.getvalue() == ""


def test_a_file_sees_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    with PhotoProgress(1) as progress:
        progress.begin("sea.jpg")
        progress.clicks(1, 2)
        progress.end()

    assert sys.stderr.getvalue() == ""


def test_a_terminal_sees_how_many_frames_there_are_in_a_second(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with FrameProgress("tracking", 40, done=30) as progress:
        progress.advance()
        progress._bar.refresh()

    shown = terminal.getvalue()
    assert "tracking" in shown
    assert "31/40" in shown
    assert " frames/s" in shown


def test_frames_of_an_earlier_run_do_not_count_as_speed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    with FrameProgress("tracking", 40, done=30) as progress:
        progress._began -= 2.0
        for _ in range(4):
            progress.advance()

    assert 1.5 < progress.rate < 2.1
    assert sys.stderr.getvalue() == ""


def test_a_stream_shows_frames_without_an_end(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with FrameProgress("tracking", None) as progress:
        progress.advance()
        progress._bar.refresh()

    assert "tracking 1 frames [" in terminal.getvalue()
