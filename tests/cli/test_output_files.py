"""Names and contents of result files."""

import json

import numpy as np
import pytest
import torch

from sam2_hf import OutputError
from sam2_hf.cli.output_files import (
    annotation,
    as_picture,
    prepare_folder,
    unique_stems,
    with_ending,
    write_coco,
)

RLE = {"size": [4, 6], "counts": "abc"}


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (["a/cat.jpg", "b/dog.jpg"], ["cat", "dog"]),
        (["a/cat.jpg", "b/cat.jpg"], ["a_cat", "b_cat"]),
        (["cat.jpg", "cat.png"], ["cat_jpg", "cat_png"]),
        (["a/x/cat.jpg", "b/x/cat.jpg"], ["a_x_cat", "b_x_cat"]),
        (["cat.jpg", "sub/cat.jpg"], ["cat", "sub_cat"]),
        (["a/Cat.jpg", "b/cat.JPG"], ["a_Cat", "b_cat"]),
        (["cat.jpg", "cat.jpg"], ["cat", "cat_2"]),
        (["a/cat.jpg", "b/cat.jpg", "a_cat.png"], ["a_cat", "b_cat", "a_cat_2"]),
        (["../cat.jpg", "./cat.jpg"], ["cat", "cat_2"]),
        (["photo.of.a.cat.jpg"], ["photo.of.a.cat"]),
        ([], []),
    ],
)
def test_every_photo_gets_a_name_of_its_own(photos, expected):
    assert unique_stems(photos) == expected


def test_a_dot_in_a_name_stays(tmp_path):
    assert with_ending(tmp_path / "photo.1", "_mask.png").name == "photo.1_mask.png"


def test_json_is_readable_and_whole(tmp_path):
    masks = [annotation(RLE, (1.0, 2.0, 3.0, 1.0), area=5, predicted_iou=0.123456789)] * 2

    path = write_coco(tmp_path / "a" / "b.json", "photos/cat.jpg", (4, 6), masks, "some-model")

    text = path.read_text()
    content = json.loads(text)
    assert content["info"]["model"] == "some-model"
    assert content["images"][0]["file_name"] == "cat.jpg"
    assert [one["id"] for one in content["annotations"]] == [1, 2]
    assert content["annotations"][0]["predicted_iou"] == 0.123457
    assert len(text.splitlines()) == 13  # one line per mask


def test_a_box_counts_its_outermost_pixels_as_coco_does():
    assert annotation(RLE, (1.0, 2.0, 3.0, 1.0), area=5)["bbox"] == [1, 2, 4, 2]
    assert annotation(RLE, (0.0, 0.0, 0.0, 0.0), area=0)["bbox"] == [0, 0, 0, 0]


def test_no_masks_are_valid_json(tmp_path):
    path = write_coco(tmp_path / "none.json", "cat.jpg", (4, 6), [], "some-model")

    assert json.loads(path.read_text())["annotations"] == []


def test_a_photo_of_floats_becomes_one_of_bytes():
    floats = torch.full((3, 2, 5), 0.5)

    assert np.array_equal(as_picture(floats), np.full((2, 5, 3), 128, np.uint8))


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(OutputError, match="Choose another --out"):
        prepare_folder(tmp_path / "taken" / "deeper")
