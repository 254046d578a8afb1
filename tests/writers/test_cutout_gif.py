"""GIFs of cutouts, read by Pillow."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import OutputError
from sam2_hf.writers.cutout_gif import gif_writer
from tests.writers.clips import half_masks


def write(path, masks, box=None, aspect=Fraction(1), step=0.1):
    with gif_writer(path, box, aspect) as writer:
        for number, mask in enumerate(masks):
            cutout = np.zeros((*mask.shape, 4), np.uint8)
            cutout[mask] = (30 * number, 200, 90, 255)
            writer.write(cutout, 5 + step * number)
    return path


def read(path):
    with Image.open(path) as picture:
        frames = []
        for number in range(picture.n_frames):
            picture.seek(number)
            frames.append((picture.info["duration"], np.asarray(picture.convert("RGBA"))))
        return picture.info["loop"], frames


def test_each_frame_shows_its_own_pixels_and_nothing_of_earlier_ones(tmp_path):
    masks = half_masks(5)

    loop, frames = read(write(tmp_path / "cut.gif", masks, box=(0, 8, 44, 40)))

    assert (loop, len(frames), frames[0][0]) == (0, 5, 100)
    for number, ((_, frame), mask) in enumerate(zip(frames, masks, strict=True)):
        np.testing.assert_array_equal(frame[..., 3] > 0, mask[8:40, :44])
        assert (frame[frame[..., 3] > 0][:, :3] == (30 * number, 200, 90)).all()


def test_a_frame_without_objects_is_empty(tmp_path):
    masks = half_masks(3)
    masks[1] = False

    _, frames = read(write(tmp_path / "cut.gif", masks))

    assert [int((frame[..., 3] > 0).sum()) for _, frame in frames] == [768, 0, 768]


def test_frames_faster_than_viewers_show_are_left_out(tmp_path):
    _, frames = read(write(tmp_path / "cut.gif", half_masks(9), step=0.01))

    assert len(frames) == 3


def test_wide_pixels_and_large_pictures_are_resized(tmp_path):
    _, frames = read(write(tmp_path / "cut.gif", half_masks(1), aspect=Fraction(2)))
    assert frames[0][1].shape == (49, 130, 4)
    _, frames = read(write(tmp_path / "cut.gif", half_masks(1, (50, 960))))
    assert frames[0][1].shape == (25, 480, 4)


def test_no_frame_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(OutputError, match="has no frame to write"):
        write(tmp_path / "cut.gif", [])

    assert not list(tmp_path.iterdir())
