"""Precisions and input sizes on one photo, in turn."""

import json

import numpy as np
import pytest
from PIL import Image

from evaluation.approximations.__main__ import main
from evaluation.approximations.approximations import (
    APPROXIMATIONS,
    BASE,
    ApproximationScores,
    as_table,
    measure_photo,
)
from evaluation.images.photos import open_photo_sets

MODEL = "sam2-hiera-micro"


@pytest.fixture
def photos(tmp_path):
    """Two photos with a square each, in COCO's format."""
    (tmp_path / "images").mkdir()
    about = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "square"}]}
    for number in (1, 2):
        picture = np.full((96, 128, 3), 30, np.uint8)
        picture[20:70, 30 * number : 30 * number + 40] = 220
        Image.fromarray(picture).save(tmp_path / "images" / f"{number}.png")
        about["images"].append(
            {"id": number, "file_name": f"{number}.png", "height": 96, "width": 128}
        )
        x = 30 * number
        corners = [x, 20, x + 40, 20, x + 40, 70, x, 70]
        about["annotations"].append(
            {
                **{"id": number, "image_id": number, "category_id": 1, "iscrowd": 0},
                **{"segmentation": [corners], "area": 2000, "bbox": [x, 20, 40, 50]},
            }
        )
    (tmp_path / "instances.json").write_text(json.dumps(about), encoding="utf-8")
    return f"squares=coco:{tmp_path / 'instances.json'}"


def test_each_case_is_compared_with_float32(photos):
    (photo_set,) = open_photo_sets([photos], 0.01)
    models = {name: APPROXIMATIONS[name].load(MODEL) for name in (BASE, "int8", "1/2 input size")}
    found = {name: ApproximationScores() for name in models}

    for turn in range(2):
        measure_photo(photo_set.photo(turn), models, found, turn)

    assert found[BASE].same == [1.0, 1.0]
    assert found["int8"].same == pytest.approx([1.0, 1.0], abs=0.1)
    assert all(len(measured.seconds) == len(measured.true) == 2 for measured in found.values())
    assert models["1/2 input size"].image_size == models[BASE].image_size // 2
    assert as_table(found).splitlines()[2].startswith("| float32 | 1.00 | 1.000 | 0.0% |")


def test_the_program_prints_a_table(photos, capsys):
    assert main(["--model", MODEL, "--set", photos, "--cases", "bfloat16"]) == 0

    printed = capsys.readouterr().out
    assert "2 photos" in printed
    assert [row.split(" | ")[0] for row in printed.splitlines()[-2:]] == ["| float32", "| bfloat16"]


def test_a_set_that_does_not_exist_and_a_wrong_limit_are_reported(capsys):
    assert main(["--set", "coco:/none"]) != 0
    assert "/none" in capsys.readouterr().err
    assert main(["--set", "coco:/none", "--limit", "0"]) != 0
    assert "--limit is 0" in capsys.readouterr().err
