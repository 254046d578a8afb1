"""`sam2-hf label`: what it prints, how it ends, what it refuses at once."""

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from sam2_hf.cli import main
from sam2_hf.cli.labeling import label as label_module
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_queue import QueuedVideo
from tests.engine.clips import content, write_clip, write_prompts
from tests.engine.conftest import clips, tiny_folder  # noqa: F401 - fixtures


@pytest.fixture
def three(tmp_path, tiny_folder):  # noqa: F811
    """Three clips, the second unreadable, and options to label them."""
    for number in range(3):
        write_clip(tmp_path / "clips", number)
    for path in (tmp_path / "clips/clip01").iterdir():
        path.write_bytes(b"no picture")
    prompts = write_prompts(tmp_path / "squares.json", 3)
    out = str(tmp_path / "set")
    return [
        str(tmp_path / "clips"),
        "--out",
        out,
        "--prompts",
        str(prompts),
        "--model",
        tiny_folder,
    ]


def run(arguments, capsys):
    """Run the command with --json; returns its code, its object, and stderr."""
    code = main(["label", *map(str, arguments), "--json"])
    written = capsys.readouterr()
    return code, json.loads(written.out), written.err


def test_an_unreadable_video_is_listed_and_the_others_are_labeled(three, capsys):
    code, report, errors = run(three, capsys)

    assert code == report["exit_code"] == 2
    (failed,) = report["failed"]
    assert Path(failed["source"]).name == "clip01"
    assert failed["error"] in errors
    assert "1 of 3 failed" in errors
    counts = report["results"][0]["statistics"]
    assert (counts["labeled"], counts["failed"], counts["videos"]) == (2, 1, 3)
    assert (Path(report["results"][0]["source"]) / "statistics.html").is_file()


def test_the_same_command_continues_when_the_video_is_mended(three, tmp_path, capsys):
    run(three, capsys)
    before = content(tmp_path / "set")
    shutil.rmtree(tmp_path / "clips/clip01")
    write_clip(tmp_path / "clips", 1)

    code, report, _ = run(three, capsys)

    assert code == 0
    after = content(tmp_path / "set")
    assert before.items() <= after.items()
    assert len(after) == 3
    code, report, _ = run(["--out", tmp_path / "set", "--status"], capsys)
    assert (code, report["results"][0]["statistics"]["labeled"]) == (0, 3)


def test_prompts_for_a_video_that_is_not_there_are_listed(three, tmp_path, capsys):
    shutil.rmtree(tmp_path / "clips/clip01")

    code, report, _ = run(three, capsys)

    assert code == 2
    (failed,) = report["failed"]
    assert failed["source"] == three[4]
    assert "there are prompts for clip01, which is not in the queue" in failed["error"]
    assert len(SetFolder(tmp_path / "set").done()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "nowhere"], "there is no video, and no set in nowhere"),
        (["a.mp4", "--prompts", "gone.json"], "there is no file of prompts gone.json"),
        (["a.mp4", "--review", "gone.json"], "--review is applied by --retrack"),
        (["a.mp4", "--phase", "phase4"], "invalid choice: 'phase4'"),
        (["a.mp4", "--export", "avi"], "there is no format 'avi'"),
        (["a.mp4", "--workers", "0"], "at least 1"),
        (["x*.mp4"], "nothing matches x*.mp4"),
        (["a.mp4", "--model", "./gone"], "there is no file or folder ./gone"),
    ],
)
def test_mistakes_are_named_before_a_model_is_loaded(
    arguments, said, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    assert main(["label", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_other_options_do_not_continue_a_set(three, capsys):
    run(three, capsys)

    assert main(["label", *three, "--phase", "phase2", "-q"]) == 2
    assert "was begun with phase 'phase3', not 'phase2'" in capsys.readouterr().err


def test_options_without_videos_are_not_ignored(three, tmp_path, capsys):
    run(three, capsys)
    out = ["label", "--out", str(tmp_path / "set"), "-q", "--status"]

    assert main([*out, "--min-iou", "0.75", "--phase", "phase3"]) == 2  # only the broken clip
    for option in (["--min-iou", "0.5"], ["--phase", "phase1"], ["--prompts", three[4]]):
        assert main([*out, *option]) == 2
        assert f"{option[0]} is for videos that are to be labeled" in capsys.readouterr().err


def test_options_of_the_search_do_not_go_with_prompts(three, capsys):
    assert main(["label", *three, "--points-per-side", "4"]) == 2
    assert "--points-per-side is for masklets that are found" in capsys.readouterr().err


def test_several_workers_need_ray(three, capsys, monkeypatch):
    found = importlib.util.find_spec
    without = lambda name, *rest: None if name == "ray" else found(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", without)

    assert main(["label", *three, "--workers", "2"]) == 2
    assert "pip install 'sam2-hf[engine]'" in capsys.readouterr().err


def test_names_do_not_go_with_a_file_of_prompts_or_options_of_the_search(three, capsys):
    assert main(["label", *three, "--text", "a cup"]) == 2
    assert "there is --text, and there is --prompts as well" in capsys.readouterr().err
    without = [word for word in three if word not in ("--prompts", three[4])]
    assert main(["label", *without, "--text", "a cup", "--points-per-side", "4"]) == 2
    assert "--text names the objects" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "option", "said"),
    [
        ("--prompts", ["--max-objects", "2"], "--prompts says which objects"),
        ("--text", ["--max-objects", "2"], "--text says which objects"),
        ("--prompts", ["--split-frames", "2"], "end where the part of its prompt ends"),
        ("--text", ["--phase", "phase1"], "phase1 does not track"),
    ],
)
def test_what_a_source_would_ignore_is_refused(source, option, said, three, capsys):
    without = [word for word in three if word not in ("--prompts", three[4])]
    given = three if source == "--prompts" else [*without, "--text", "a cup"]

    assert main(["label", *given, *option]) == 2
    assert said in capsys.readouterr().err


def test_options_of_the_detector_are_not_ignored_when_a_set_continues(tmp_path, capsys):
    options = {"text": ["a cup"], "detector": "x", "detection_threshold": 0.5, "detect_every": 4}
    settings = LabelSettings(str(tmp_path), source="text", options=options)
    SetFolder(tmp_path / "set").begin(settings, [])
    out = ["label", "--out", str(tmp_path / "set"), "-q", "--status", "--text", "a cup"]
    same = ["--detector", "x", "--detection-threshold", "0.5", "--detect-every", "4"]

    assert main([*out, *same]) == 0
    assert main(out) == 0
    for flag, value in zip(same[::2], ("y", "0.25", "5"), strict=True):
        assert main([*out, flag, value]) == 2
        assert f"{flag} is for videos that are to be labeled" in capsys.readouterr().err


def test_a_queued_video_whose_size_changed_is_still_one_video(three, tmp_path, monkeypatch):
    video = QueuedVideo.at(str(tmp_path / "clips/clip00"), "clip00", 5)
    monkeypatch.setattr(label_module, "list_videos", lambda texts: [video])
    monkeypatch.setattr(label_module, "work_here", lambda *_, **__: None)
    SetFolder(tmp_path / "set").begin(
        LabelSettings(three[-1], source="prompts"), [replace(video, num_bytes=4)]
    )
    write_prompts(tmp_path / "squares.json", 1)

    assert main(["label", *three, "-q"]) == 0
