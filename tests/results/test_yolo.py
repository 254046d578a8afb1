"""Data sets for ultralytics, checked by the rules of its label format."""

import numpy as np
import yaml
from PIL import Image

from sam2_hf.results.yolo import add_yolo_picture
from tests.results.readers import SIZE, found, objects, picture, plain_mask, read_yolo, ring_mask


def test_a_line_is_class_and_polygon_and_gives_the_mask_back(tmp_path):
    add_yolo_picture(tmp_path, "street", picture(), objects())

    about = yaml.safe_load((tmp_path / "data.yaml").read_text())
    assert about["names"] == {0: "truck & co", 1: "object", 2: "gone"}
    assert (about["train"], about["val"]) == ("images", "images")
    first, second = read_yolo((tmp_path / "labels" / "street.txt").read_text(), SIZE)
    assert (first[0], second[0]) == (0, 1)
    np.testing.assert_array_equal(first[1], ring_mask())  # parts and hole joined
    np.testing.assert_array_equal(second[1], plain_mask())
    stored = np.asarray(Image.open(tmp_path / "images" / "street.png"))
    np.testing.assert_array_equal(stored, picture())


def test_a_picture_without_objects_is_background(tmp_path):
    add_yolo_picture(tmp_path, "empty", picture(), [])

    assert (tmp_path / "labels" / "empty.txt").read_text() == ""
    assert yaml.safe_load((tmp_path / "data.yaml").read_text())["names"] == {0: "object"}


def test_names_of_later_pictures_are_added_and_earlier_labels_stay_valid(tmp_path):
    add_yolo_picture(tmp_path, "a", picture(), [found(1, plain_mask(), "cup")])
    add_yolo_picture(tmp_path, "b", picture(), [found(1, plain_mask(), 'a "plate": 2')])
    add_yolo_picture(tmp_path, "c", picture(), [found(1, plain_mask(), "cup")])

    names = yaml.safe_load((tmp_path / "data.yaml").read_text())["names"]
    assert names == {0: "cup", 1: 'a "plate": 2'}
    classes = [(tmp_path / "labels" / f"{name}.txt").read_text().split()[0] for name in "abc"]
    assert classes == ["0", "1", "0"]
