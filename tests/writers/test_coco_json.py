"""Contents of a photo's result files."""

import json

import numpy as np
import torch

from sam2_hf.writers.coco_json import annotation, as_picture, write_coco

RLE = {"size": [4, 6], "counts": "abc"}


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
