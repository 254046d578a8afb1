"""`sam2-hf track --resume`: what is interrupted goes on as if nothing had happened."""

import os
import signal
import subprocess
import sys

import pytest
from seeded_inputs import photo

from sam2_hf.cli import main
from sam2_hf.cli.tracking import track_run
from sam2_hf.errors import OutputError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.writers.frame_journal import FrameJournal
from sam2_hf.writers.mp4 import video_writer

PROMPTS = ("--click", "3:1:30,20", "--click", "3:2:10,40", "--box", "6:2:4,4,30,40")
KINDS = ("--outputs", "mp4,png,objects,json,csv")
# Saves after every frame, and dies like a process that is killed: no line of cleaning up runs.
KILLED = """
import os, sys
from sam2_hf.cli import main
from sam2_hf.cli.tracking import track_run
from sam2_hf.writers.frame_journal import FrameJournal
from sam2_hf.writers.track_files import TrackFiles

place, owner, name = int(sys.argv[1]), *sys.argv[2].split(".")
track_run.SAVE_EVERY, track_run.SAVE_SHARE = 0.0, 1e9
kind = {"journal": FrameJournal, "writer": TrackFiles}[owner]
original, calls = getattr(kind, name), []

def die(*arguments, **options):
    calls.append(name)
    if len(calls) == place:
        os.kill(os.getpid(), 9)
    return original(*arguments, **options)

setattr(kind, name, die)
main(sys.argv[3:])
"""


def contents(folder):
    """Every file below a folder, by name."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def uninterrupted(model_folder, clip, tmp_path_factory):
    """The files of a run that nothing disturbs."""
    out = tmp_path_factory.mktemp("whole") / "out"
    command = ["track", str(clip), "--model", model_folder, "--out", str(out)]
    assert main([*command, *PROMPTS, *KINDS]) == 0
    return contents(out)


@pytest.fixture
def kill(model_folder, clip, tmp_path):
    """Run the command in a process that is killed at the n-th call of a method."""

    def run(place, method):
        command = ["track", str(clip), "--model", model_folder, *PROMPTS, *KINDS]
        code = [sys.executable, "-c", KILLED, str(place), method]
        done = subprocess.run([*code, *command, "--out", str(tmp_path / "out")], check=False)
        assert done.returncode == -signal.SIGKILL

    return run


@pytest.mark.parametrize(("place", "method"), [(7, "journal.add"), (5, "writer.write")])
def test_a_killed_run_goes_on_to_the_same_bytes(
    track, kill, tmp_path, uninterrupted, place, method
):
    kill(place, method)  # on the way back, and while results are written

    assert track(*PROMPTS, *KINDS, "--resume") == 0

    assert contents(tmp_path / "out") == uninterrupted


def test_a_save_that_was_made_but_not_noted_counts(track, tmp_path, monkeypatch, uninterrupted):
    monkeypatch.setattr(track_run, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(track_run, "SAVE_SHARE", 1e9)
    interrupt_after(monkeypatch, 4)
    track(*PROMPTS, *KINDS)
    folder = tmp_path / "out" / ".clip.state"
    os.rename(folder / "progress.json", folder / "next.json")

    assert track(*PROMPTS, *KINDS, "--resume") == 0

    assert contents(tmp_path / "out") == uninterrupted


def interrupt_after(monkeypatch, frames):
    """Press Ctrl-C when that many frames are in the journal."""
    add = FrameJournal.add

    def press(self, tracked):
        add(self, tracked)
        if len(self) == frames:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(FrameJournal, "add", press)


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    track, tmp_path, monkeypatch, capsys, uninterrupted
):
    interrupt_after(monkeypatch, 5)

    assert track(*PROMPTS, *KINDS) == 130

    (line,) = capsys.readouterr().err.splitlines()
    assert "5 frames are kept in" in line
    assert "--resume" in line
    assert track(*PROMPTS, *KINDS, "--resume") == 0
    assert contents(tmp_path / "out") == uninterrupted


def test_only_what_was_not_done_is_tracked_again(track, monkeypatch):
    interrupt_after(monkeypatch, 6)
    track(*PROMPTS)
    asked = []
    propagate = Sam2VideoInferenceSession.propagate

    def note(self, start, limit, direction):
        asked.append((start, limit, direction))
        return propagate(self, start, limit, direction)

    monkeypatch.setattr(Sam2VideoInferenceSession, "propagate", note)
    track(*PROMPTS, "--resume")

    assert asked == [(1, 2, "backward")]  # 3 to 7 and 2 are done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*PROMPTS, "--click", "0:1:1,1"), "new is --click 0:1:1,1"),
        (PROMPTS[2:], "--click 3:1:30,20 is gone"),
        ((*PROMPTS, "--no-overlap"), "no overlap was False, is True"),
        ((*PROMPTS, "--limit", "2"), "limit was None, is 2"),
        ((*PROMPTS, "--memory-policy", "tree"), "memory policy was sam2, is tree"),
    ],
)
def test_another_command_is_not_resumed(
    track, monkeypatch, capsys, one_error_line, arguments, message
):
    interrupt_after(monkeypatch, 2)
    track(*PROMPTS)
    capsys.readouterr()

    assert track(*arguments, "--resume") == 2

    assert message in one_error_line()


def test_without_resume_an_unfinished_run_is_dropped_and_said_so(track, monkeypatch, capsys):
    interrupt_after(monkeypatch, 2)
    track(*PROMPTS)
    monkeypatch.undo()
    capsys.readouterr()

    assert track(*PROMPTS, "--outputs", "json") == 0

    (line,) = capsys.readouterr().err.splitlines()
    assert "--resume would have continued it" in line


def test_with_nothing_to_resume_it_begins_and_says_so(track, tmp_path, capsys):
    assert track(*PROMPTS, "--outputs", "json", "--resume") == 0

    assert "there is nothing to resume" in capsys.readouterr().err
    assert (tmp_path / "out" / "clip_masklets.json").exists()


def test_a_damaged_state_is_one_line(track, tmp_path, monkeypatch, capsys, one_error_line):
    interrupt_after(monkeypatch, 2)
    track(*PROMPTS)
    (tmp_path / "out" / ".clip.state" / "progress.json").write_text("{")
    capsys.readouterr()

    assert track(*PROMPTS, "--resume") == 2

    assert "is damaged" in one_error_line()


def test_a_full_disk_leaves_the_last_save(track, tmp_path, monkeypatch, capsys, uninterrupted):
    add = FrameJournal.add

    def fill(self, tracked):
        if len(self) == 5:
            raise OutputError("cannot write results.jsonl: No space left on device.")
        add(self, tracked)

    monkeypatch.setattr(track_run, "SAVE_EVERY", 0.0)
    monkeypatch.setattr(track_run, "SAVE_SHARE", 1e9)
    monkeypatch.setattr(FrameJournal, "add", fill)
    assert track(*PROMPTS, *KINDS) == 2
    monkeypatch.undo()

    assert "No space left" in capsys.readouterr().err
    assert track(*PROMPTS, *KINDS, "--resume") == 0
    assert contents(tmp_path / "out") == uninterrupted


@pytest.fixture
def other_clip(clip, tmp_path):
    """A video of the same name, size and length, with other pictures."""
    path = tmp_path / "other" / clip.name
    path.parent.mkdir()
    wide = photo(48, 96, 9)
    with video_writer(path, fps=10) as writer:
        for frame in range(8):
            writer.write(wide[:, 4 * frame : 4 * frame + 64])
    return path


def test_another_video_of_the_same_name_and_size_is_not_resumed(
    track, monkeypatch, capsys, one_error_line, other_clip
):
    interrupt_after(monkeypatch, 4)
    track(*PROMPTS)
    capsys.readouterr()

    assert track(*PROMPTS, "--resume", video=other_clip) == 2

    assert "frame 0 of the video is not that of the saved session" in one_error_line()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("progress.json", "[]"),
        ("progress.json", '{"run": "first"}'),
        ("progress.json", '{"done": -3}'),
        ("progress.json", '{"done": 900}'),
        ("progress.json", '{"journal_bytes": 1e400}'),
        ("progress.json", "[" * 100_000),
        ("progress.json", '{"walked": 1}'),
        ("plan.json", "null"),
        ("plan.json", '{"video": 3}'),
        ("results.jsonl", '{"frame": 0, "time_s": 0, "objects": 7}\n'),
        ("results.jsonl", "[1, 2]\n"),
        ("session/current.json", '{"format": 1}'),
    ],
)
def test_a_state_that_somebody_changed_is_one_line(
    track, tmp_path, monkeypatch, capsys, one_error_line, name, content
):
    interrupt_after(monkeypatch, 2)
    track(*PROMPTS)
    path = tmp_path / "out" / ".clip.state" / name
    path.write_text(content.ljust(path.stat().st_size) if name.endswith("jsonl") else content)
    capsys.readouterr()

    assert track(*PROMPTS, "--resume") == 2

    one_error_line()
