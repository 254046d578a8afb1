"""`--save` and `--name`."""

import json

import numpy as np
import pytest
from PIL import Image

from sam2_hf.cli import main
from sam2_hf.results.formats import PHOTO_FORMATS, VIDEO_FORMATS
from tests.cli.inputs.web_files import serve
from tests.results.readers import read_cvat, read_labelme, read_yolo

BOXES = ("--box", "5,5,60,50", "--box", "60,5,115,55")


def mask_of(path, number):
    return np.asarray(Image.open(path)) == number


def test_every_format_of_a_photo_holds_the_same_masks_names_and_own_prompts(
    model_folder, cup, tmp_path, capsys
):
    out = tmp_path / "out"
    (out / "cup_segment_crops").mkdir(parents=True)
    for name in ("003_earlier.png", "mine.png"):
        (out / "cup_segment_crops" / name).touch()
    command = ["segment", str(cup), "--model", model_folder, "--out", str(out), *BOXES]
    assert main([*command, "--save", ",".join(PHOTO_FORMATS), "--name", "2=cup"]) == 0

    told = capsys.readouterr().out
    masks = {number: mask_of(out / "cup_segment_mask.png", number) for number in (1, 2)}
    coco = json.loads((out / "cup_segment.json").read_text())
    assert [row["name"] for row in coco["categories"]] == ["object", "cup"]
    boxes = [annotation["prompt_boxes"] for annotation in coco["annotations"]]
    assert boxes == [[[5, 5, 60, 50]], [[60, 5, 115, 55]]]
    labelme = read_labelme(json.loads((out / "cup_segment_labelme.json").read_text()))
    assert (out / labelme_path(out)).resolve() == cup.resolve()
    cvat = dict(read_cvat((out / "cup_segment_cvat.xml").read_bytes())[1])
    yolo = dict(read_yolo((out / "yolo" / "labels" / "cup.txt").read_text(), (60, 120)))
    np.testing.assert_array_equal(labelme[2][1], cvat["cup"])
    np.testing.assert_array_equal(labelme[1][1], cvat["object"])
    np.testing.assert_array_equal(yolo[1], cvat["cup"])
    assert not (masks[1] & ~cvat["object"]).any()
    assert not (masks[2] & ~cvat["cup"]).any()
    crops = {path.name for path in (out / "cup_segment_crops").iterdir()}
    assert crops == {"001.png", "002_cup.png", "mine.png"}
    endings = [kind.ending for kind in PHOTO_FORMATS.values()]
    assert all(f"{ending}\n" in told for ending in endings)


def labelme_path(out):
    return json.loads((out / "cup_segment_labelme.json").read_text())["imagePath"]


def test_labelme_does_not_name_a_temporary_file(model_folder, stored_photo, tmp_path):
    out = tmp_path / "out"
    with serve({"/big%20cup.png": stored_photo.read_bytes()}) as web:
        photos = [f"{web}/big%20cup.png?w=9"]
        command = ["segment", *photos, "--point", "9,9", "--model", model_folder]
        assert main([*command, "--out", str(out), "--save", "labelme,coco"]) == 0

    labelme = json.loads((out / "big cup_segment_labelme.json").read_text())
    coco = json.loads((out / "big cup_segment.json").read_text())
    assert labelme["imagePath"] == coco["images"][0]["file_name"] == "big cup.png"


def test_everything_writes_only_what_is_asked(model_folder, cup, tmp_path):
    out = tmp_path / "out"
    options = ["--points-per-side", "4", "--pred-iou-thresh", "0", "--model", model_folder]
    options += ["--stability-score-thresh", "0", "--save", "yolo,cutout", "--out", str(out)]
    assert main(["everything", str(cup), *options]) == 0

    names = sorted(path.name for path in out.iterdir())
    assert names == ["cup_everything_cutout.png", "yolo"]
    assert read_yolo((out / "yolo" / "labels" / "cup.txt").read_text(), (60, 120))


@pytest.mark.parametrize(
    ("command", "formats"), [("segment", PHOTO_FORMATS), ("track", VIDEO_FORMATS)]
)
def test_an_unknown_format_lists_all(capsys, command, formats):
    assert main([command, "cup.jpg", "--save", "overlay,psd"]) != 0

    assert f"no format 'psd'. Choose from: {', '.join(formats)}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["truck", "1=", "one=truck", "=truck", "1=a\nb"])
def test_a_name_needs_an_object(capsys, text):
    assert main(["segment", "cup.jpg", "--point", "1,1", "--name", text]) != 0

    assert "is not OBJECT=NAME such as 1=truck" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["--name", "2=cup"], "names object 2, but the objects are 1."),
        (["--name", "1=cup", "--name", "1=can"], "object 1 is named 'cup' and 'can'"),
    ],
)
def test_a_name_of_no_object_or_two_of_one_are_refused(cup, one_error_line, names, message):
    assert main(["segment", str(cup), "--point", "1,1", *names]) != 0

    assert message in one_error_line()


def test_ids_that_a_format_cannot_hold_are_refused_before_the_work(track, one_error_line):
    assert track("--click", "0:0:30,20") != 0

    line = one_error_line()
    assert "davis cannot hold object 0; its ids are 1 to 255" in line
    assert "overlay, objects, sav" in line


def test_tracked_objects_have_names_in_every_format(track, tmp_path):
    prompts = ("--click", "0:0:30,20", "--box", "2:300:5,5,30,40", "--name", "300=cup")
    assert track(*prompts, "--limit", "2", "--save", "coco-video,mot,yolo,cutout-gif") == 0

    out = tmp_path / "out"
    coco = json.loads((out / "clip_coco.json").read_text())
    assert [row["name"] for row in coco["categories"]] == ["object", "cup"]
    prompts = [annotation["prompts"] for annotation in coco["annotations"]]
    assert [entry["points"] for entry in prompts[0]] == [[[30, 20, 1]]]
    assert [entry["boxes"] for entry in prompts[1]] == [[[5, 5, 30, 40]]]
    ids = {line.split(",")[1] for line in (out / "clip_mot.txt").read_text().splitlines()}
    assert ids <= {"0", "300"}
    assert '"cup"' in (out / "clip_yolo" / "data.yaml").read_text()
    assert not list(out.glob(".*"))
