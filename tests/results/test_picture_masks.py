"""What every result can do."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import FrameError, ImageError, PromptError
from sam2_hf.results.found_object import Origin
from sam2_hf.results.frame_masks import FrameMasks
from sam2_hf.results.pictures import as_picture
from tests.results.readers import (
    SIZE,
    Scene,
    fill,
    objects,
    picture,
    ring_mask,
    scene,
)

JPEG = b"\xff\xd8\xff"


def test_a_plot_shows_the_picture_with_masks_of_each_color():
    plot = np.asarray(scene().plot())

    assert plot.shape == (*SIZE, 3)
    assert (plot[38, 57] == picture()[38, 57]).all()
    assert (plot[20, 46] != picture()[20, 46]).any()


def test_without_a_picture_masks_are_on_gray_and_a_given_one_is_taken():
    bare = Scene(objects())

    assert np.asarray(bare.plot())[0, 0].tolist() == [48, 48, 48]
    given = bare.plot(Image.fromarray(picture()))
    np.testing.assert_array_equal(np.asarray(given), np.asarray(scene().plot()))


def test_a_picture_of_another_size_is_refused():
    with pytest.raises(ImageError, match=r"the picture is \(9, 9, 3\)"):
        scene().plot(np.zeros((9, 9, 3), np.uint8))


def test_a_notebook_shows_the_plot():
    shown = Image.open(io.BytesIO(scene()._repr_png_()))

    np.testing.assert_array_equal(np.asarray(shown), np.asarray(scene().plot()))


def test_a_notebook_shows_masks_on_gray_when_the_picture_is_gone():
    def gone():
        raise FrameError("gone")

    shown = Scene(objects(), Origin("", gone))._repr_png_()

    assert shown == Scene(objects())._repr_png_()


def test_a_repr_is_short():
    assert repr(scene()) == "Scene(3 objects (truck & co, gone), 60 x 40 pixels)"
    one = Scene(objects()[1:2])
    assert repr(one) == "Scene(object 300, IoU 0.750, area 259, 60 x 40 pixels)"


def test_polygons_are_given_by_id():
    polygons = scene().polygons()

    assert list(polygons) == [0, 300, 7]
    np.testing.assert_array_equal(fill(polygons[0], SIZE), ring_mask())
    assert polygons[7] == []


def test_the_ending_of_a_file_says_what_is_saved(tmp_path):
    scene().save(tmp_path / "a.jpg")
    scene().save(tmp_path / "a.json")
    scene().save(tmp_path / "b.json", "labelme")

    assert (tmp_path / "a.jpg").read_bytes().startswith(JPEG)
    assert json.loads((tmp_path / "a.json").read_text())["images"][0]["file_name"] == "street.png"
    assert json.loads((tmp_path / "b.json").read_text())["imagePath"] == "street.png"


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("a.doc", None, r"no format has the ending '.doc'. Endings: .png"),
        ("a.png", "davis", "'davis'"),
    ],
)
def test_what_cannot_be_saved_is_named(tmp_path, name, kind, message):
    with pytest.raises(PromptError, match=message):
        scene().save(tmp_path / name, kind)

    assert not list(tmp_path.iterdir())


def test_a_frame_of_a_video_is_such_a_result_and_can_be_named():
    frame = FrameMasks(3, SIZE, tuple(objects()), Origin("", picture)).named({300: "cup"})

    names = [category["name"] for category in frame.to_coco()["categories"]]
    assert names == ["truck & co", "cup", "gone"]
    assert np.asarray(frame.cutout())[36, 5, 3] == 255


def test_a_photo_of_floats_becomes_one_of_bytes():
    floats = torch.full((3, 2, 5), 0.5)

    np.testing.assert_array_equal(as_picture(floats), np.full((2, 5, 3), 128, np.uint8))
