"""`sam2-hf segment`."""

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_hf import ImageSegmentationPipeline, rle
from sam2_hf.cli import main
from sam2_hf.pipelines import loading


@pytest.fixture
def segment(model_folder, cup, tmp_path):
    """Run the command on the photo; results go to `out`."""

    def run(*arguments, model=model_folder):
        chosen = [] if model is None else ["--model", model]
        out = ["--out", str(tmp_path / "out")]
        return main(["segment", str(cup), *chosen, *out, *arguments])

    return run


def read_json(path):
    return json.loads(path.read_text())


def test_a_click_gives_three_files(segment, tmp_path, capsys):
    assert segment("--point", "30,20") == 0

    out = tmp_path / "out"
    names = ["cup_segment.json", "cup_segment_mask.png", "cup_segment_overlay.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    told = capsys.readouterr().out
    assert "predicted IoU 0." in told
    assert all(str(out / name) in told for name in names)


def test_the_files_hold_the_mask_of_the_pipeline(segment, model_folder, cup, tmp_path):
    segment("--point", "30,20")

    result = ImageSegmentationPipeline(loading.load_model(model_folder))(cup, points=(30, 20))
    mask = np.asarray(Image.open(tmp_path / "out" / "cup_segment_mask.png"))
    np.testing.assert_array_equal(mask > 0, result.best)
    (annotation,) = read_json(tmp_path / "out" / "cup_segment.json")["annotations"]
    decoded = rle.decode(rle.from_coco(annotation["segmentation"]))
    np.testing.assert_array_equal(decoded, result.best)
    assert annotation["area"] == result.best.sum()
    assert annotation["predicted_iou"] == pytest.approx(result.best_score, abs=1e-5)
    assert 0 <= annotation["stability_score"] <= 1
    assert annotation["prompt_points"] == [[30, 20, 1]]


def test_the_overlay_has_the_photos_size_and_shows_the_click(segment, cup, tmp_path):
    segment("--point", "30,20")

    overlay = np.asarray(Image.open(tmp_path / "out" / "cup_segment_overlay.png")).astype(int)
    assert overlay.shape == (60, 120, 3)
    red, green, blue = overlay[20, 30]
    assert green > max(red, blue)


def test_one_click_is_ambiguous_and_more_prompts_are_not(segment, monkeypatch):
    asked = []
    answer = ImageSegmentationPipeline.__call__

    def note(self, images, objects, *, multimask):
        asked.append(multimask)
        return answer(self, images, objects, multimask=multimask)

    monkeypatch.setattr(ImageSegmentationPipeline, "__call__", note)

    segment("--point", "30,20")
    segment("--point", "30,20", "--point", "100,50,-")
    segment("--box", "10,10,60,50")
    segment("--box", "10,10,60,50", "--point", "30,20")

    assert asked == [True, False, False, False]


def test_all_writes_every_mask(segment, tmp_path):
    assert segment("--point", "30,20", "--all") == 0

    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {f"cup_segment_{number}_mask.png" for number in (1, 2, 3)} < names
    assert len(names) == 9


def test_several_boxes_are_several_objects(segment, tmp_path):
    assert segment("--box", "5,5,60,50", "--box", "50,10,115,55") == 0

    content = read_json(tmp_path / "out" / "cup_segment.json")
    assert [one["id"] for one in content["annotations"]] == [1, 2]
    with Image.open(tmp_path / "out" / "cup_segment_mask.png") as mask:
        assert mask.mode == "P"  # numbered colors


def test_other_weights_types_are_understood(segment):
    assert segment("--point", "30,20", "--dtype", "bfloat16", "--device", "cpu") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no prompt"),
        (["--point", "130,20"], "lies outside the picture"),
        (["--box", "50,10,20,50"], "ends before it begins"),
        (["--point", "1,1", "--box", "1,1,9,9", "--box", "2,2,9,9"], "2 boxes"),
        (["--point", "1,1", "--device", "tpu"], "device 'tpu' cannot be used"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_one_line(segment, one_error_line, arguments, message):
    assert segment(*arguments) == 2

    assert message in one_error_line()


def test_a_model_that_is_not_there_is_one_line(segment, one_error_line, no_network):
    assert segment("--point", "1,1", model="someone/none") == 2

    assert "the model someone/none is not on this machine" in one_error_line()


def test_a_folder_without_weights_is_one_line(segment, one_error_line, tmp_path):
    (tmp_path / "empty").mkdir()

    assert segment("--point", "1,1", model=str(tmp_path / "empty")) == 2

    assert "has no weights" in one_error_line()


def test_a_damaged_checkpoint_is_one_line(segment, one_error_line, tmp_path):
    (tmp_path / "broken.pt").write_bytes(b"PK\x03\x04 not really")

    assert segment("--point", "1,1", model=str(tmp_path / "broken.pt")) == 2

    assert "broken.pt" in one_error_line()


def test_a_deep_photo_is_stretched_as_the_option_says(model_folder, tmp_path, cup):
    gray = np.asarray(Image.open(cup).convert("L")).astype(np.uint16)
    Image.fromarray(gray * 16).save(tmp_path / "deep.png")  # 12 bits of 16
    Image.fromarray(gray.astype(np.int32) - 500).save(tmp_path / "ct.tif")
    Image.fromarray(gray.astype(np.uint8)).save(tmp_path / "plain.png")

    def overlay(photo, *arguments):
        out = tmp_path / "out"
        options = ["--model", model_folder, "--out", str(out), "--point", "30,20", *arguments]
        assert main(["segment", str(tmp_path / photo), *options]) == 0
        return np.asarray(Image.open(out / f"{photo[:-4]}_segment_overlay.png")).astype(int)

    plain = overlay("plain.png")
    assert np.abs(overlay("deep.png", "--value-range", "0,4080") - plain).max() <= 1
    assert np.abs(overlay("ct.tif", "--value-range=-500,-245") - plain).max() <= 1
    assert np.abs(overlay("deep.png") - plain).max() > 100


def test_a_signed_photo_is_refused_in_one_line_that_names_the_option(tmp_path, capsys):
    Image.fromarray(np.full((8, 8), -500, np.int32)).save(tmp_path / "ct.tif")

    assert main(["segment", str(tmp_path / "ct.tif"), "--point", "3,3"]) == 2

    told = capsys.readouterr().err
    assert "-500" in told
    assert "value_range" in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("text", ["5,1", "5", "a,b", "0,nan", "minmax", "1,2,3"])
def test_what_is_no_range_is_refused_in_one_line(text, capsys):
    assert main(["segment", "a.png", "--point", "3,3", f"--value-range={text}"]) == 2

    assert "LOW,HIGH" in capsys.readouterr().err


def test_several_photos_share_the_prompts_and_the_json_names_the_one_that_failed(
    model_folder, cup, tmp_path, capsys
):
    Image.open(cup).resize((40, 30)).save(tmp_path / "small.png")
    Image.open(cup).save(tmp_path / "cup2.png")
    photos, options = [str(tmp_path / "*.png")], ["--model", model_folder, "--json", "--quiet"]

    assert main(["segment", *photos, *options, "--point", "90,20", "--out", str(tmp_path)]) == 2

    captured = capsys.readouterr()
    report = json.loads(captured.out)
    done = {Path(result["source"]).name: result for result in report["results"]}
    assert set(done) == {"cup.png", "cup2.png"}
    (mask,) = done["cup.png"]["masks"]
    (annotation,) = read_json(tmp_path / "cup_segment.json")["annotations"]
    assert mask["area"] == annotation["area"]
    assert mask["predicted_iou"] == annotation["predicted_iou"]
    assert all(Path(file).is_file() for file in done["cup2.png"]["files"])
    (failed,) = report["failed"]
    assert failed["source"] == str(tmp_path / "small.png")
    assert "lies outside the picture" in failed["error"]
    assert captured.err.splitlines()[-1].startswith("sam2-hf: error: 1 of 3 failed: ")


def test_a_photo_may_come_from_stdin(model_folder, cup, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(cup).read_bytes())))
    options = ["--model", model_folder, "--out", str(tmp_path / "out"), "--quiet"]

    assert main(["segment", "-", "--box", "-10,-5,60,50", *options]) == 0

    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")
    assert (tmp_path / "out" / "stdin_segment_mask.png").is_file()
