"""`sam2-hf everything` on a clip, or on a folder that `--video` takes as one."""

import json
import signal

import numpy as np
import pytest
from PIL import Image
from seeded_inputs import photo

from sam2_hf import VideoMaskGenerationPipeline
from sam2_hf.cli import main
from sam2_hf.cli.tracking import track_run
from sam2_hf.everything.tracks import EverythingState
from sam2_hf.pipelines import loading
from sam2_hf.writers.frame_journal import FrameJournal

QUICK = {"points_per_side": 3, "pred_iou_thresh": 0.1, "stability_score_thresh": 0.0}
FLAGS = ("--points-per-side", "3", "--pred-iou-thresh", "0.1", "--stability-score-thresh", "0")
KEYS = ("--key-frame-every", "3", "--max-objects", "3", "--no-scene-cuts")


@pytest.fixture
def everything(model_folder, clip, tmp_path):
    """Run the command on the clip; results go to `out`."""

    def run(*arguments, source=clip):
        out = ["--out", str(tmp_path / "out"), "--model", model_folder]
        return main(["everything", str(source), *FLAGS, *KEYS, *out, *arguments])

    return run


@pytest.fixture
def frames(tmp_path):
    """A folder of six frames."""
    folder = tmp_path / "frames"
    folder.mkdir()
    wide = photo(48, 96, 1)
    for frame in range(6):
        Image.fromarray(wide[:, 4 * frame : 4 * frame + 64]).save(folder / f"{frame:02d}.png")
    return folder


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_clip_gives_the_results_of_a_video_with_the_masks_of_the_pipeline(
    everything, tmp_path, capsys, clip, model_folder
):
    assert everything("--save", "davis,sav,coco-video,overlay,scores") == 0

    out = tmp_path / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "clip_everything_coco.json",
        "clip_everything_masklets.json",
        "clip_everything_masks",
        "clip_everything_overlay.mp4",
        "clip_everything_scores.csv",
    ]
    assert capsys.readouterr().out.startswith("clip: 8 frames, ")
    generate = VideoMaskGenerationPipeline(
        loading.load_video_model(model_folder),
        **QUICK,
        key_frame_every=3,
        max_objects=3,
        scene_cuts=False,
    )
    for result in generate.stream(clip):
        labels = np.asarray(Image.open(out / "clip_everything_masks" / f"{result.frame:05d}.png"))
        expected = np.zeros_like(labels)
        for number in sorted(result.masks, reverse=True):
            expected[result.masks[number]] = number
        np.testing.assert_array_equal(labels, expected)


def test_a_folder_of_frames_is_a_video_if_so_asked_and_photos_otherwise(
    everything, frames, tmp_path, model_folder
):
    assert everything("--video", "--save", "davis", source=frames) == 0
    names = sorted(path.name for path in (tmp_path / "out" / "frames_everything_masks").iterdir())
    assert names == [f"{frame:02d}.png" for frame in range(6)]

    photos = ["--out", str(tmp_path / "photos"), "--model", model_folder, "--save", "coco"]
    assert main(["everything", str(frames), *FLAGS, *photos]) == 0
    assert len(list((tmp_path / "photos").glob("*_everything.json"))) == 6


def test_what_is_interrupted_goes_on_to_the_same_files(everything, tmp_path, monkeypatch, capsys):
    saved = ("--save", "davis,sav,scores")
    assert everything(*saved) == 0
    expected = contents(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "whole")
    add = FrameJournal.add

    def press(self, tracked):
        add(self, tracked)
        if len(self) == 5:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(FrameJournal, "add", press)
        patch.setattr(track_run, "SAVE_EVERY", 0.0)
        assert everything(*saved) == 130
    assert "5 frames are kept in" in capsys.readouterr().err

    assert everything(*saved, "--resume", "--max-objects", "2") == 2
    assert "max_objects=2" in capsys.readouterr().err
    assert everything(*saved, "--resume") == 0
    assert contents(tmp_path / "out") == expected


def test_a_clip_in_which_nothing_is_found_says_what_to_lower(everything, tmp_path, capsys):
    assert everything("--pred-iou-thresh", "1", "--save", "davis,scores") == 0

    captured = capsys.readouterr()
    assert "lower --pred-iou-thresh" in captured.err
    assert "8 frames, 0 objects" in captured.out
    masks = [np.asarray(Image.open(p)) for p in (tmp_path / "out").rglob("*.png")]
    assert len(masks) == 8
    assert not np.any(masks)


def test_json_lists_scene_cuts_and_frames_to_review(everything, capsys):
    assert everything("--json", "--save", "scores") == 0

    (video,) = json.loads(capsys.readouterr().out)["results"]
    assert video["scene_cuts"] == []
    assert isinstance(video["frames_to_review"], list)
    assert video["tracked_frames"] == 8


def test_an_unreadable_frame_keeps_what_was_found_before_it(everything, frames, tmp_path, capsys):
    (frames / "04.png").write_bytes(b"no picture")

    assert everything("--video", "--save", "davis", source=frames) == 2

    assert "What could be tracked is written: 4 frames" in capsys.readouterr().err
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_ids_beyond_a_format_leave_out_that_format_alone(everything, tmp_path, monkeypatch, capsys):
    original = EverythingState.add

    def add(self, frame):
        self.next_id = max(self.next_id, 300)
        return original(self, frame)

    monkeypatch.setattr(EverythingState, "add", add)

    assert everything("--save", "davis,objects") == 2

    assert "davis cannot hold object 300" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip_everything_objects"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cup.png", "--layout", "panoptic"], "--layout is for videos"),
        (["cup.png", "--no-scene-cuts"], "--no-scene-cuts is for videos"),
        (["cup.png", "--save", "davis"], "there is no format 'davis'. Choose from: overlay, mask"),
        (["a.mp4", "b.mp4", "--video"], "there are 2 sources"),
        (["a.mp4"], "there is no video file or folder a.mp4"),
        (["empty", "--video"], "the folder empty has no picture"),
        (["clip.mp4", "--save", "cvat"], "there is no format 'cvat'. Choose from: overlay, davis"),
        (["clip.mp4", "--key-frame-every", "0"], "at least 1, not 0"),
        (["clip.mp4", "--layout", "flat"], "invalid choice: 'flat'"),
        (["clip.mp4", "--save", "nothing"], "there is no format 'nothing'"),
    ],
)
def test_mistakes_are_one_line_before_a_model_is_loaded(
    tmp_path, monkeypatch, cup, clip, one_error_line, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "clip.mp4").write_bytes(clip.read_bytes())

    assert main(["everything", *arguments]) == 2

    assert message in one_error_line()
