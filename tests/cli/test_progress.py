"""The progress bar."""

import io
import sys

from sam2_hf.cli.progress import PhotoProgress


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


def test_a_file_sees_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    with PhotoProgress(1) as progress:
        progress.begin("sea.jpg")
        progress.clicks(1, 2)
        progress.end()

    assert sys.stderr.getvalue() == ""
