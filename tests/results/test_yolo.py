"""Data sets for ultralytics, checked by the rules of its label format."""

import numpy as np
import pytest
import yaml
from PIL import Image

from sam2_hf.errors import OutputError
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


@pytest.mark.parametrize(
    ("names", "nc"),
    [
        ("names:\n  0: person  # first\n  1: no\n\n# after", ""),
        ("names: [person, 'no']", "nc: 2\n"),
        ("names:\n- person\n- no", "nc: 2  # count\n"),
        ("names: {1: no, 0: person}", ""),
    ],
)
def test_a_data_set_of_another_program_keeps_its_class_numbers_and_keys(tmp_path, names, nc):
    about = f"# my cups\npath: ../cups\n{nc}{names}\ntrain: images\nval: images/val\n"
    (tmp_path / "data.yaml").write_text(about)

    add_yolo_picture(tmp_path, "a", picture(), [found(1, plain_mask(), "no")])
    assert (tmp_path / "data.yaml").read_text() == about
    add_yolo_picture(tmp_path, "b", picture(), [found(1, plain_mask(), "cup: \u00e9")])

    text = (tmp_path / "data.yaml").read_text()
    read = yaml.safe_load(text)
    assert read.pop("names") == {0: "person", 1: "no", 2: "cup: \u00e9"}
    assert read.pop("nc", 3) == 3
    assert read == {"path": "../cups", "train": "images", "val": "images/val"}
    assert text.count("#") == about.count("#") - about.count("# first")
    labels = [(tmp_path / "labels" / f"{name}.txt").read_text()[0] for name in "ab"]
    assert labels == ["1", "2"]


@pytest.mark.parametrize(
    "about",
    [
        "names: [a",
        "train: images",
        "names: {0: a, 2: b}",
        "names: {a: 0}",
        "- a",
        "names: [[a]]",
        "x: &x [a]\nnames: *x",
        "names: &x [a]\nalso: *x",
        b"\xff\xfe\xfa",
    ],
)
def test_a_file_of_names_that_cannot_be_extended_is_refused_and_stays(tmp_path, about):
    content = about if isinstance(about, bytes) else about.encode()
    (tmp_path / "data.yaml").write_bytes(content)

    with pytest.raises(OutputError, match=r"data\.yaml"):
        add_yolo_picture(tmp_path, "a", picture(), objects())

    assert (tmp_path / "data.yaml").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["data.yaml"]


def test_another_picture_of_the_same_name_gets_a_number_and_the_same_one_is_replaced(tmp_path):
    for folder, name in (("images", "cup.jpg"), ("labels", "cup.txt")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text("mine")

    for objects_of_it in (objects(), []):
        add_yolo_picture(tmp_path, "cup", picture(), objects_of_it)
    add_yolo_picture(tmp_path, "cup", 255 - picture(), objects())

    images = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert images == ["cup.jpg", "cup_2.png", "cup_3.png"]
    texts = [(tmp_path / "labels" / f"cup{end}.txt").read_text() for end in ("", "_2")]
    assert texts == ["mine", ""]
