from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from seeded_inputs import clip
from torch.nn import functional

from sam2_hf.errors import ImageError
from sam2_hf.frames.preprocessing import FramePixels, read_only, to_picture
from sam2_hf.processing.pixel_values import RELEASED_PIXELS

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def original_formula(picture_hw3, size):
    """What the original does to a JPEG, in its float64 and its order."""
    resized = np.array(Image.fromarray(picture_hw3).convert("RGB").resize((size, size)))
    values = torch.from_numpy(resized / 255.0).permute(2, 0, 1).to(torch.float32)
    values -= torch.tensor(MEAN)[:, None, None]
    values /= torch.tensor(STD)[:, None, None]
    return values


def test_frames_become_the_originals_numbers_to_the_bit():
    pixels = FramePixels(256)
    picture = clip(1, 270, 480, 3)[0]

    values = pixels.normalize(pixels.shrink(picture))

    assert torch.equal(values, original_formula(picture, 256))
    assert values.is_contiguous()


def test_every_byte_is_divided_as_in_float64():
    bytes_311 = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)

    values = FramePixels(1).normalize(bytes_311)

    wide = torch.arange(256, dtype=torch.float64).div(255).to(torch.float32)
    assert torch.equal(values[0, 0], (wide - MEAN[0]) / STD[0])


@pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="torchvision resizes floats on this CPU",
)
def test_the_other_compat_gives_the_pixels_of_transformers_video_processor():
    picture = clip(1, 135, 240, 3)[0]
    bytes_13hw = torch.from_numpy(picture).permute(2, 0, 1)[None]
    pixels = FramePixels(64, "transformers")

    bytes_3ss = pixels.shrink(picture)

    expected = functional.interpolate(bytes_13hw, (64, 64), mode="bilinear", antialias=True)[0]
    mean, std = ((torch.tensor(one) * 255.0)[:, None, None] for one in (MEAN, STD))
    assert torch.equal(bytes_3ss, expected)
    assert torch.equal(pixels.normalize(bytes_3ss), (expected.float() - mean) / std)
    assert not torch.equal(bytes_3ss, FramePixels(64).shrink(picture))


@pytest.mark.parametrize("compat", ["official", "transformers"])
def test_a_checkpoint_may_have_a_normalization_of_its_own(compat):
    rules = replace(RELEASED_PIXELS, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    bytes_311 = torch.arange(256, dtype=torch.uint8).expand(3, 1, 256)

    values = FramePixels(1, compat, rules).normalize(bytes_311)

    expected = bytes_311.double() / 127.5 - 1
    torch.testing.assert_close(values, expected.float(), rtol=0, atol=1e-6)


def test_frames_are_floats_also_where_nothing_is_done_to_them():
    rules = replace(RELEASED_PIXELS, rescale_factor=None, mean=None, std=None)

    values = FramePixels(1, "transformers", rules).normalize(torch.ones(3, 1, 1, dtype=torch.uint8))

    assert values.dtype == torch.float32


def test_shrinking_leaves_the_picture_as_it_is():
    picture = clip(1, 40, 60, 3)[0]
    before = picture.copy()

    for compat in ("official", "transformers"):
        FramePixels(32, compat).shrink(read_only(picture))

    assert np.array_equal(picture, before)
    assert picture.flags.writeable


def test_bytes_are_not_changed_by_normalizing_them_twice():
    pixels = FramePixels(16)
    bytes_3ss = pixels.shrink(clip(1, 40, 60, 3)[0])

    assert torch.equal(pixels.normalize(bytes_3ss), pixels.normalize(bytes_3ss, "cpu"))


RGB = clip(1, 30, 45, 3)[0]
GRAY = RGB[..., 0]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (RGB, RGB),
        (Image.fromarray(RGB), RGB),
        (torch.from_numpy(RGB), RGB),
        (torch.from_numpy(RGB).permute(2, 0, 1), RGB),
        (RGB.astype(np.float32) / 255, RGB),
        (RGB.astype(np.float64) / 255, RGB),
        (RGB[:, ::-1], RGB[:, ::-1]),
        (GRAY, np.stack([GRAY] * 3, -1)),
        (GRAY.astype(np.uint16) * 257, np.stack([GRAY] * 3, -1)),
        (Image.fromarray(GRAY), np.stack([GRAY] * 3, -1)),
        (np.dstack([RGB, np.full_like(GRAY, 255)]), RGB),
        (np.dstack([RGB, np.zeros_like(GRAY)]), np.full_like(RGB, 255)),
        (torch.from_numpy(RGB).float().div(255).requires_grad_(), RGB),
    ],
)
def test_a_picture_of_any_kind_becomes_rgb_bytes(source, expected):
    picture = to_picture(source)

    assert picture.dtype == np.uint8
    assert np.array_equal(picture, expected)
    assert not picture.flags.writeable


def test_a_palette_picture_with_a_see_through_color_is_laid_on_white(tmp_path):
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 200, 0, 0])
    palette.save(tmp_path / "a.png", transparency=1)

    assert (to_picture(tmp_path / "a.png") == 255).all()


def test_a_photo_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)

    assert np.array_equal(to_picture(tmp_path / "a.png"), np.rot90(RGB, -1))


def test_an_array_without_pixels_is_no_picture():
    with pytest.raises(ImageError, match="no pixels"):
        to_picture(np.zeros((0, 4, 3), np.uint8))


def test_a_read_only_picture_of_input_size_that_lies_channels_first_is_copied():
    """Such a picture needs neither resizing nor another order, and torch cannot hold what it is."""
    picture = read_only(np.zeros((3, 8, 8), np.uint8).transpose(1, 2, 0))

    bytes_3ss = FramePixels(8).shrink(picture)

    bytes_3ss.fill_(1)
    assert not picture.any()
