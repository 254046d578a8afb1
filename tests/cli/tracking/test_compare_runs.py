"""`sam2-hf compare`."""

import json

import numpy as np
from PIL import Image

from sam2_hf.cli.program import main


def write_labels(folder, widths):
    folder.mkdir()
    for frame, width in enumerate(widths):
        labels_hw = np.zeros((6, 8), np.uint8)
        labels_hw[:, :width] = 1
        Image.fromarray(labels_hw).save(folder / f"{frame:05d}.png")
    return str(folder)


def test_two_folders_are_compared(tmp_path, capsys):
    before, after = (write_labels(tmp_path / name, w) for name, w in (("a", [4, 4]), ("b", [4, 2])))
    picture = tmp_path / "changes.png"

    assert main(["compare", before, after, "--picture", str(picture)]) == 0

    out = capsys.readouterr().out
    assert "object 1: 1 of 2 frames differ, on frame 1; mean IoU 0.750" in out
    assert str(picture) in out
    assert picture.read_bytes()[1:4] == b"PNG"


def test_json_has_the_iou_of_every_frame(tmp_path, capsys):
    before, after = (write_labels(tmp_path / name, w) for name, w in (("a", [4, 4]), ("b", [4, 2])))

    assert main(["compare", before, after, "--json"]) == 0

    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["objects"][0]["iou"] == {"0": 1.0, "1": 0.5}


def test_a_folder_without_results_is_an_error_of_one_line(tmp_path, capsys):
    assert main(["compare", str(tmp_path), str(tmp_path)]) == 2

    assert "no results of sam2-hf track" in capsys.readouterr().err
