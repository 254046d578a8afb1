"""`--text` and `--labels`: the commands by name, with stand-ins for detector and scorer."""

import json
import signal

import numpy as np
import pytest
from PIL import Image
from seeded_inputs import photo

from sam2_hf import ImageSegmentationPipeline, VideoSegmentationPipeline, rle
from sam2_hf.cli import main, model_choice
from sam2_hf.open_vocabulary.mask_scorer import ZeroShotScorer
from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector
from sam2_hf.pipelines import loading
from sam2_hf.writers.frame_journal import FrameJournal
from tests.stand_in_detector import KnownBoxes, KnownBrightness

DOG, CAT = (8, 6, 30, 40), (36, 4, 60, 30)
ON_FRAMES = {0: {"a dog": [DOG]}, 4: {"a dog": [DOG], "a cat": [CAT]}}


@pytest.fixture
def detector(monkeypatch, tmp_path):
    """What `--detector` loads: it knows where things are in photos and on frames."""
    made = KnownBoxes({})
    for default in ("DEFAULT_DETECTOR", "DEFAULT_SCORER"):
        monkeypatch.setattr(model_choice, default, str(tmp_path))
    monkeypatch.setattr(ZeroShotDetector, "from_pretrained", lambda *source, **options: made)
    monkeypatch.setattr(ZeroShotScorer, "from_pretrained", lambda *_, **__: KnownBrightness())
    return made


@pytest.fixture
def frames(tmp_path):
    """A video of 6 pictures of 48 x 64 pixels, whose first pixel tells their number."""
    folder, wide = tmp_path / "frames", photo(48, 96, 1)
    folder.mkdir()
    for frame in range(6):
        picture = wide[:, 4 * frame : 4 * frame + 64].copy()
        picture[0, 0] = frame
        Image.fromarray(picture).save(folder / f"{frame:05d}.png")
    return folder


@pytest.fixture(scope="module")
def tiny_folder(tiny_video_model, video_processor, tmp_path_factory):
    """A folder with the tiny model; its mask of the cat is not that of the dog."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_video_model.save_pretrained(folder)
    video_processor.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def run(tiny_folder, tmp_path):
    """Run a command; its detector is a folder that is there."""

    def command(name, source, *arguments, out="out"):
        common = ["--model", tiny_folder, "--out", str(tmp_path / out)]
        return main([name, str(source), *common, *arguments])

    return command


def test_photos_are_segmented_by_name(run, detector, cup, tiny_folder, tmp_path, capsys):
    detector.boxes = {"a dog": [DOG], "a cat": [CAT]}
    named = ("--text", "a dog", "--text", "a cat", "--detector", str(tmp_path))

    assert run("segment", cup, *named, "--save", "overlay,coco,mask") == 0

    coco = json.loads((tmp_path / "out/cup_segment.json").read_text())
    assert [row["name"] for row in coco["categories"]] == ["a dog", "a cat"]
    segment = ImageSegmentationPipeline(loading.load_model(tiny_folder))
    expected = segment(cup, boxes=[DOG, CAT], multimask=False)
    for annotation, result in zip(coco["annotations"], expected, strict=True):
        mask = rle.decode(rle.from_coco(annotation["segmentation"]))
        np.testing.assert_array_equal(mask, result.best)
    assert "1 x a dog, 1 x a cat; predicted IoU" in capsys.readouterr().out


def test_a_photo_in_which_nothing_is_found_is_no_failure(run, detector, cup, tmp_path, capsys):
    assert run("segment", cup, "--text", "a bird", "--save", "overlay,coco,mask,crop,yolo") == 0

    assert json.loads((tmp_path / "out/cup_segment.json").read_text())["annotations"] == []
    assert "cup.png: nothing found" in capsys.readouterr().out


def test_masks_of_everything_get_names(run, detector, cup, tmp_path):
    search = ("--points-per-side", "2", "--pred-iou-thresh", "0", "--stability-score-thresh", "0")

    assert run("everything", cup, "--labels", "bright, dark", *search, "--save", "coco") == 0

    (file,) = (tmp_path / "out").iterdir()
    coco = json.loads(file.read_text())
    assert {row["name"] for row in coco["categories"]} <= {"bright", "dark"}
    assert all(0 < annotation["name_score"] <= 1 for annotation in coco["annotations"])


def test_a_video_is_tracked_by_name_as_in_python(run, detector, frames, tiny_folder, tmp_path):
    detector.boxes = ON_FRAMES
    named = ("--text", "a dog", "--text", "a cat", "--detect-every", "2")

    assert run("track", frames, *named, "--save", "coco-video,overlay,davis") == 0

    coco = json.loads((tmp_path / "out/frames_coco.json").read_text())
    assert {row["name"] for row in coco["categories"]} == {"a dog", "a cat"}
    track = VideoSegmentationPipeline(loading.load_video_model(tiny_folder), detector=detector)
    expected = track(frames, text=["a dog", "a cat"], detect_every=2).to_coco()
    assert coco["annotations"] == expected["annotations"]


def test_an_interrupted_search_goes_on_to_the_same_bytes(
    run, detector, frames, tmp_path, monkeypatch
):
    detector.boxes = ON_FRAMES
    named = (
        "--text",
        "a dog",
        "--text",
        "a cat",
        "--detect-every",
        "2",
        "--save",
        "coco-video,sav",
    )
    assert run("track", frames, *named, out="whole") == 0
    add = FrameJournal.add

    def press(self, tracked):
        add(self, tracked)
        if tracked.frame in {1, 4}:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(FrameJournal, "add", press)

    codes = [run("track", frames, *named, "--resume") for _ in range(3)]

    assert codes == [130, 130, 0]
    files = sorted(path.name for path in (tmp_path / "whole").iterdir() if path.is_file())
    assert len(files) == 2
    for name in files:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_name_is_another_run(run, detector, frames, monkeypatch, capsys):
    detector.boxes = ON_FRAMES
    add = FrameJournal.add

    def press(self, tracked):
        add(self, tracked)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(FrameJournal, "add", press)
    assert run("track", frames, "--text", "a dog") == 130

    assert run("track", frames, "--text", "a cat", "--resume") == 2

    assert "new is --text 'a cat'" in capsys.readouterr().err


def test_a_video_in_which_nothing_is_found_is_written_without_objects(
    run, detector, frames, tmp_path
):
    kinds = "overlay,davis,objects,sav,scores,coco-video,yolo,mot,alpha,cutout-gif"

    assert run("track", frames, "--text", "a bird", "--save", kinds) == 0

    assert json.loads((tmp_path / "out/frames_coco.json").read_text())["annotations"] == []


def test_a_detector_that_is_not_there_is_one_line(tiny_folder, cup, no_network, one_error_line):
    main(["segment", str(cup), "--model", tiny_folder, "--text", "a dog"])

    assert "the zero-shot detector IDEA-Research/grounding-dino-tiny is not on" in one_error_line()
