"""Labelme JSON, checked against the keys and types of its documentation."""

import json

import numpy as np

from sam2_hf.results.labelme import write_labelme
from tests.results.readers import SIZE, objects, plain_mask, read_labelme, ring_mask


def test_parts_of_an_object_share_a_group_and_give_the_mask_back(tmp_path):
    path = write_labelme(tmp_path / "street.json", "street.png", SIZE, objects())

    content = json.loads(path.read_text())
    masks = read_labelme(content)
    assert {group: label for group, (label, _) in masks.items()} == {0: "truck & co", 300: "object"}
    np.testing.assert_array_equal(masks[0][1], ring_mask())
    np.testing.assert_array_equal(masks[300][1], plain_mask())
    assert [shape["group_id"] for shape in content["shapes"]] == [0, 0, 300]


def test_the_photo_is_found_from_the_file(tmp_path):
    photo = tmp_path / "photos" / "street.png"
    photo.parent.mkdir()
    photo.touch()

    path = write_labelme(tmp_path / "out" / "street.json", str(photo), SIZE, [])

    assert json.loads(path.read_text())["imagePath"] == "../photos/street.png"
