"""`sam2-hf everything`."""

import errno
import json
import os
import resource

import numpy as np
import pytest
from PIL import Image

from sam2_hf import MaskGenerationPipeline, rle
from sam2_hf.cli import everything as everything_command, main
from sam2_hf.pipelines import loading

QUICK = ["--points-per-side", "4"]


@pytest.fixture
def everything(model_folder, tmp_path):
    """Run the command on photos; results go to `out`."""

    def run(*arguments):
        out = ["--out", str(tmp_path / "out"), "--model", model_folder]
        return main(["everything", *map(str, arguments), *QUICK, *out])

    return run


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_photo_gives_three_files(everything, cup, tmp_path, capsys):
    assert everything(cup) == 0

    names = ["cup_everything.json", "cup_everything_masks.png", "cup_everything_overlay.png"]
    assert names_in(tmp_path / "out") == names
    captured = capsys.readouterr()
    assert captured.out.startswith("cup.png: ")
    assert captured.err == ""


def test_the_json_holds_the_masks_of_the_pipeline(everything, cup, model_folder, tmp_path):
    everything(cup, "--pred-iou-thresh", "0.1", "--stability-score-thresh", "0.1")

    thresholds = {"pred_iou_thresh": 0.1, "stability_score_thresh": 0.1}
    model = loading.load_model(model_folder)
    pipeline = MaskGenerationPipeline(model, points_per_side=4, **thresholds)
    content = json.loads((tmp_path / "out" / "cup_everything.json").read_text())
    expected = pipeline(cup)
    assert content["images"] == [{"id": 1, "file_name": "cup.png", "width": 120, "height": 60}]
    assert len(content["annotations"]) == len(expected) > 0
    for annotation, mask in zip(content["annotations"], expected, strict=True):
        decoded = rle.decode(rle.from_coco(annotation["segmentation"]))
        np.testing.assert_array_equal(decoded, mask.segmentation)
        rows, columns = np.nonzero(decoded)
        x, y, width, height = annotation["bbox"]
        assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)


def test_options_of_the_search_reach_it(everything, cup, tmp_path, capsys):
    everything(cup, "--pred-iou-thresh", "1", "--use-m2m", "--min-mask-region-area", "9")

    assert "lower --pred-iou-thresh" in capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "cup_everything.json").read_text())
    assert content["annotations"] == []
    assert not np.asarray(Image.open(tmp_path / "out" / "cup_everything_masks.png")).any()


def test_photos_of_the_same_name_do_not_overwrite_each_other(everything, cup, tmp_path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        Image.open(cup).save(tmp_path / folder / "cup.png")

    assert everything(tmp_path / "first" / "cup.png", tmp_path / "second" / "cup.png") == 0

    assert len(names_in(tmp_path / "out")) == 6
    assert "second_cup_everything.json" in names_in(tmp_path / "out")


def test_a_photo_that_cannot_be_read_does_not_stop_the_others(everything, cup, tmp_path, capsys):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 cut short")

    assert everything(tmp_path / "broken.jpg", cup, tmp_path / "none.jpg") == 2

    missing, broken, summary = capsys.readouterr().err.splitlines()
    assert "there is no image file" in missing
    assert "none.jpg" in missing
    assert "broken.jpg" in broken
    assert "2 of 3 failed" in summary
    assert len(names_in(tmp_path / "out")) == 3


def test_an_interruption_keeps_what_is_finished(everything, cup, tmp_path, monkeypatch, capsys):
    Image.open(cup).save(tmp_path / "second.png")
    find, begun = MaskGenerationPipeline.__call__, []

    def interrupted_in_the_second(self, photo, **options):
        begun.append(photo)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return find(self, photo, **options)

    monkeypatch.setattr(MaskGenerationPipeline, "__call__", interrupted_in_the_second)

    assert everything(cup, tmp_path / "second.png") == 130

    assert "1 of 2 photos are done" in capsys.readouterr().err
    assert len(names_in(tmp_path / "out")) == 3


def test_an_option_that_cannot_be_used_is_refused_before_the_model_is_loaded(
    everything, cup, one_error_line, monkeypatch
):
    monkeypatch.setattr(everything_command, "choose_model", None)

    assert everything(cup, "--crop-n-layers", "13") == 2

    assert "crop_n_layers is 13" in one_error_line()


def test_a_full_disk_is_one_line_and_leaves_nothing(everything, cup, tmp_path, one_error_line):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        assert everything(cup) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert "cannot write" in one_error_line()
    assert names_in(tmp_path / "out") == []


def test_a_disk_that_fills_up_later_leaves_whole_files(
    everything, cup, tmp_path, one_error_line, monkeypatch
):
    written = []

    def full_at_the_third(descriptor):
        written.append(descriptor)
        if len(written) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full_at_the_third)

    assert everything(cup) == 2

    assert "No space left on device" in one_error_line()
    assert names_in(tmp_path / "out") == [
        "cup_everything_masks.png",
        "cup_everything_overlay.png",
    ]


def test_an_out_that_is_a_file_is_one_line(everything, cup, tmp_path, one_error_line):
    (tmp_path / "out").write_bytes(b"")

    assert everything(cup) == 2

    assert "cannot make the folder" in one_error_line()
