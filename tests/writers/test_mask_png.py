"""Masks as palette PNGs."""

import numpy as np
import pytest
from PIL import Image

from sam2_hf import PromptError
from sam2_hf.writers.mask_png import davis_palette, label_frame, write_label_png, write_object_png

SIZE = (4, 6)


def columns(first, last):
    mask = np.zeros(SIZE, bool)
    mask[:, first:last] = True
    return mask


def test_the_palette_is_that_of_davis():
    colors = np.frombuffer(davis_palette(), np.uint8).reshape(256, 3).tolist()

    first = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128]]
    assert colors[:6] == first
    assert colors[8] == [64, 0, 0]
    assert colors[255] == [224, 224, 192]


def test_labels_are_object_ids():
    labels = label_frame({7: columns(0, 2), 255: columns(3, 4)}, SIZE)

    assert labels[0].tolist() == [7, 7, 0, 255, 0, 0]


def test_the_smaller_id_wins_where_objects_overlap():
    for masks in ({1: columns(0, 3), 2: columns(1, 5)}, {2: columns(1, 5), 1: columns(0, 3)}):
        assert label_frame(masks, SIZE)[0].tolist() == [1, 1, 1, 2, 2, 0]


def test_a_frame_without_objects_is_background():
    assert not label_frame({}, SIZE).any()


@pytest.mark.parametrize("object_id", [0, -1, 256])
def test_ids_that_a_label_picture_cannot_hold_are_named(object_id):
    with pytest.raises(PromptError, match=f"davis cannot hold object {object_id}"):
        label_frame({object_id: columns(0, 1)}, SIZE)


def test_the_png_has_labels_for_pixels_and_colors_for_eyes(tmp_path):
    path = write_label_png(tmp_path / "00000.png", {2: columns(0, 3)}, SIZE)

    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert np.asarray(picture)[0].tolist() == [2, 2, 2, 0, 0, 0]
        assert picture.convert("RGB").getpixel((0, 0)) == (0, 128, 0)


def test_a_single_object_is_zero_and_one(tmp_path):
    path = write_object_png(tmp_path / "001" / "00000.png", columns(2, 4))

    with Image.open(path) as picture:
        assert np.asarray(picture)[0].tolist() == [0, 0, 1, 1, 0, 0]
