import io

import numpy as np
import pytest
from PIL import Image

from sam2_hf.data.frame_annotations import open_label_map, open_picture, open_rgb
from sam2_hf.errors import DataError, ImageError
from tests.training.drawn_data import photo, save, save_palette, square


def as_bytes(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("form", ["path", "bytes", "picture"])
def test_a_picture_is_read_from_any_form(tmp_path, form):
    path = str(save(photo(), tmp_path / "photo.png"))
    stored = {"path": path, "bytes": as_bytes(photo()), "picture": Image.fromarray(photo())}[form]

    assert np.array_equal(np.asarray(open_rgb(stored)), photo())


def test_gray_becomes_rgb():
    gray = Image.fromarray(photo()[..., 0])

    assert np.asarray(open_rgb(gray)).shape == photo().shape


def test_a_palette_gives_its_indices(tmp_path):
    save_palette(square() * 9, tmp_path / "map.png")

    labels_hw = open_label_map(str(tmp_path / "map.png"))

    assert labels_hw.dtype == np.uint8
    assert np.array_equal(labels_hw, square() * 9)


@pytest.mark.parametrize("kind", [np.uint16, np.int32])
def test_numbers_above_a_byte_are_kept(kind):
    labels_hw = open_label_map(Image.fromarray(square().astype(kind) * 4000))

    assert labels_hw.max() == 4000


def test_black_and_white_is_a_label_map():
    labels_hw = open_label_map(Image.fromarray(square()))

    assert np.array_equal(labels_hw, square())


def test_colors_are_no_label_map(tmp_path):
    path = str(save(photo(), tmp_path / "photo.png"))

    with pytest.raises(DataError, match=r"photo.png holds colors \(mode RGB\)"):
        open_label_map(path)


@pytest.mark.parametrize("wrong", [b"nothing", as_bytes(photo())[:80], 5])
def test_what_is_no_picture_is_refused(wrong):
    with pytest.raises(ImageError, match="stored picture"):
        open_picture(wrong)


def test_a_missing_file_is_named():
    with pytest.raises(ImageError, match=r"nowhere.png"):
        open_picture("nowhere.png")
