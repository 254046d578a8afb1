"""Pictures among the result files of a photo."""

import json

import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import OutputError
from sam2_hf.results.formats import PHOTO_FORMATS
from sam2_hf.results.found_object import Origin
from sam2_hf.results.photo_files import PhotoToWrite
from sam2_hf.results.pictures import write_picture
from tests.results.readers import SIZE, Scene, found, objects, picture, plain_mask, ring_mask


def to_write(given):
    scene = Scene(given)
    return PhotoToWrite(given, SIZE, "street.png", picture, lambda: scene.plot(picture()))


def test_a_cutout_keeps_the_pixels_of_the_objects_and_nothing_else(tmp_path):
    to_write(objects()).write("cutout", tmp_path / "cut.png")

    cut = np.asarray(Image.open(tmp_path / "cut.png"))
    inside = ring_mask() | plain_mask()
    np.testing.assert_array_equal(cut[..., 3], inside * 255)
    np.testing.assert_array_equal(cut[inside, :3], picture()[inside])
    assert not cut[~inside].any()


def test_a_crop_is_the_box_of_each_object_that_is_seen(tmp_path):
    to_write([*objects(), found(8, ring_mask(), "a/b")]).write("crop", tmp_path / "crops")

    crops = {path.name: np.asarray(Image.open(path)) for path in (tmp_path / "crops").iterdir()}
    assert set(crops) == {"000_truck-co.png", "300.png", "008_a-b.png"}
    np.testing.assert_array_equal(crops["300.png"], picture()[33:40, 2:39])


def test_crops_leave_all_other_pictures_of_a_folder_alone(tmp_path):
    mine = ["00000.png", "007.png", "123_holiday.png", "2024-cup.png"]
    for name in mine:
        (tmp_path / name).write_bytes(b"mine")

    to_write([found(1, plain_mask())]).write("crop", tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*mine, "001.png"])
    assert all((tmp_path / name).read_bytes() == b"mine" for name in mine)


@pytest.mark.parametrize("kind", ["crop", "yolo"])
def test_a_file_in_place_of_a_folder_is_an_output_error(tmp_path, kind):
    (tmp_path / "file").touch()

    for folder in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutputError, match="file"):
            to_write(objects()).write(kind, folder)


@pytest.mark.parametrize(
    ("photo", "name"),
    [
        ("https://x.org/a/my%20cup.jpg?w=9#top", "my cup.jpg"),
        ("photos/cup?.jpg", "cup?.jpg"),
        ("data:image/png;base64,AAAA/BBBB", ""),
        ("", ""),
    ],
)
def test_a_photo_has_the_same_name_in_every_format(tmp_path, photo, name):
    origin = Origin(photo, picture)
    shown = Scene([found(1, plain_mask())], origin)

    shown.save(tmp_path / "a.json")
    shown.save(tmp_path / "a_labelme.json", kind="labelme")
    shown.save(tmp_path / "data", kind="yolo")

    coco = json.loads((tmp_path / "a.json").read_text())
    assert coco["images"] == shown.to_coco()["images"]
    assert (coco["images"][0]["file_name"], origin.name) == (name, name)
    assert json.loads((tmp_path / "a_labelme.json").read_text())["imagePath"] == name
    stem = name.rpartition(".")[0] or "picture"
    assert [path.stem for path in (tmp_path / "data" / "labels").iterdir()] == [stem]


def test_a_mask_is_black_and_white_for_one_object_and_labels_for_several(tmp_path):
    to_write([found(5, ring_mask())]).write("mask", tmp_path / "one.png")
    to_write(objects()).write("mask", tmp_path / "several.png")

    one, several = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("one", "several"))
    np.testing.assert_array_equal(one, ring_mask() * 255)
    np.testing.assert_array_equal(several, ring_mask() + 2 * plain_mask())


@pytest.mark.parametrize("kind", PHOTO_FORMATS)
def test_nothing_found_can_be_written_in_every_format(tmp_path, kind):
    path = to_write([]).write(kind, tmp_path / f"none{PHOTO_FORMATS[kind].ending}")

    assert path.exists()


def test_an_unknown_ending_of_a_picture_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"no picture ends in \.txt\. Use \.png, \.jpg"):
        write_picture(tmp_path / "why.txt", Image.new("RGB", (2, 2)))
    assert not list(tmp_path.iterdir())
