import contextlib
import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import ImageError
from sam2_hf.processing.images import list_images, load_image, read_values, rgb_of, scale_of, to_rgb

RED = (200, 30, 10)


def picture(height=5, width=7):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def channels_first(array):
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


@pytest.mark.parametrize(
    "kind",
    [
        lambda array: array,
        Image.fromarray,
        torch.from_numpy,
        channels_first,
        lambda array: array.transpose(2, 0, 1),
        lambda array: array[:, ::-1][:, ::-1],
        lambda array: array.astype(np.int64),
        lambda array: np.frombuffer(array.tobytes(), np.uint8).reshape(array.shape),
    ],
)
def test_every_way_to_hold_a_picture_gives_the_same_bytes(kind):
    array = picture()

    assert torch.equal(to_rgb(kind(array)), channels_first(array))


def test_arrays_read_channels_last_and_tensors_first_unless_told():
    ambiguous = picture(3, 3)

    assert torch.equal(to_rgb(ambiguous), channels_first(ambiguous))
    assert torch.equal(to_rgb(torch.from_numpy(ambiguous)), torch.from_numpy(ambiguous))
    assert torch.equal(to_rgb(ambiguous, "channels_first"), torch.from_numpy(ambiguous))


@pytest.mark.parametrize(
    ("mode", "color", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", 77, (77, 77, 77)),
        ("RGB", RED, RED),
        ("RGBA", (*RED, 255), RED),
        ("RGBA", (*RED, 0), (255, 255, 255)),
        ("LA", (77, 255), (77, 77, 77)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (128, 128, 128), (128, 128, 128)),
    ],
)
def test_pils_modes_become_rgb(mode, color, expected):
    pixels = to_rgb(Image.new(mode, (2, 3), color))

    assert pixels.dtype == torch.uint8
    assert pixels.shape == (3, 3, 2)
    assert tuple(pixels[:, 0, 0].tolist()) == expected


def test_a_palette_image_gives_its_colors_and_its_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([*RED, 1, 2, 3])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1

    assert to_rgb(image)[:, 0].T.tolist() == [list(RED), [255, 255, 255]]


def test_sixteen_bit_pictures_keep_their_precision():
    """PIL's own conversion clips everything above 255 to white."""
    pixels = to_rgb(Image.fromarray(np.array([[0, 1000, 65535]], dtype=np.uint16)))

    assert pixels.dtype == torch.float32
    torch.testing.assert_close(pixels[0], torch.tensor([[0, 1000 / 65535, 1]]))


@pytest.mark.parametrize("ending", ["png", "pgm"])
def test_a_file_whose_kind_is_at_most_16_bit_has_words_in_any_version_of_pil(tmp_path, ending):
    words = np.array([[0, 257, 65535]], dtype=np.uint16)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(words).save(path)

    assert torch.equal(to_rgb(path), to_rgb(words))
    with Image.open(path) as image:
        assert torch.equal(to_rgb(image), to_rgb(words))


HOUNSFIELD = np.linspace(-1024, 3071, 48).reshape(6, 8).astype(np.int32)


@pytest.mark.parametrize(
    "numbers",
    [HOUNSFIELD, HOUNSFIELD.astype(np.int16), HOUNSFIELD - 5000, HOUNSFIELD + 10**6],
    ids=["32 bit", "16 bit", "negative", "beyond 16 bit"],
)
def test_a_signed_file_is_refused_like_the_array_it_holds(tmp_path, numbers):
    Image.fromarray(numbers.astype(np.int32)).save(tmp_path / "ct.tif")

    for source in (numbers, tmp_path / "ct.tif"):
        with pytest.raises(ImageError, match=rf"from {numbers.min()} to {numbers.max()}.*value_ra"):
            to_rgb(source)


def test_a_range_makes_a_file_and_its_array_the_same_picture(tmp_path):
    Image.fromarray(HOUNSFIELD).save(tmp_path / "ct.tif")

    pixels = to_rgb(tmp_path / "ct.tif", value_range=(-1000, 1000))

    assert torch.equal(pixels, to_rgb(HOUNSFIELD, value_range=(-1000, 1000)))
    expected = (torch.from_numpy(HOUNSFIELD).double() + 1000).div(2000).clamp(0, 1)
    torch.testing.assert_close(pixels[0], expected.float())


def test_pictures_of_one_call_are_equally_bright_where_their_numbers_are_equal():
    bright, dark = np.full((4, 5, 3), 100, np.float32), np.zeros((4, 5, 3), np.float32)
    dark[0, 0] = 1

    values = [read_values(bright), read_values(dark)]
    first, second = (rgb_of(one, scale_of(values)) for one in values)

    assert first[0, 0, 0] == np.float32(100 / 255)
    assert second[0, 0, 0] == np.float32(1 / 255)
    with pytest.raises(ImageError, match="value_range"):
        scale_of([values[0], read_values(np.full((4, 5, 3), 0.5, np.float32))])


@pytest.mark.parametrize("scale", [1, 255])
def test_floats_may_run_to_one_or_to_255(scale):
    array = picture()

    pixels = to_rgb((array / 255 * scale).astype(np.float32))

    torch.testing.assert_close(pixels, channels_first(array) / 255)


def test_gray_boolean_and_single_channel_arrays_are_repeated():
    mask = np.array([[True, False]])

    for array in (mask, mask[..., None], mask[None]):
        assert to_rgb(array).tolist() == [[[255, 0]]] * 3


def test_transparency_of_arrays_is_laid_on_white():
    half = np.full((1, 1, 4), 0.5, dtype=np.float32)

    assert to_rgb(half).flatten().tolist() == [0.75] * 3
    assert to_rgb((half * 255).astype(np.uint8)).flatten().tolist() == [191] * 3


@pytest.mark.parametrize("value_range", [(0, 100), "percentile"])
@pytest.mark.parametrize(
    ("dtype", "opaque"),
    [
        *((np.uint8, 255), (np.int16, 255), (np.uint16, 65535), (np.int32, 255)),
        *((np.float32, 1), (np.float64, 255)),
    ],
)
def test_opacity_is_not_seen_through_the_window_of_the_colors(dtype, opaque, value_range):
    picture = np.full((4, 5, 4), 50, dtype)
    picture[:2, ..., :3], picture[2:, ..., :3] = 0, 100
    picture[..., 3] = opaque * 3 / 5
    share = float(picture[0, 0, 3]) / opaque

    rgb = to_rgb(picture, value_range=value_range)

    assert torch.allclose(rgb[:, 0, 0], torch.tensor(1 - share))
    assert torch.allclose(rgb[:, 3, 0], torch.tensor(1.0))


def test_opacity_with_a_window_has_the_value_worked_out_by_hand():
    picture = np.full((4, 5, 4), 50, np.uint8)
    picture[..., 3] = 60

    rgb = to_rgb(picture, value_range=(0, 100))

    assert torch.allclose(rgb, torch.tensor(0.5 * 60 / 255 + 195 / 255))


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int8, np.uint16, np.uint32])
def test_the_full_range_of_a_type_is_that_of_its_opacity_too(dtype):
    most = True if dtype is np.bool_ else np.iinfo(dtype).max

    rgb = to_rgb(np.full((4, 5, 4), most, dtype), value_range="full")
    black = np.full((4, 5, 4), False if dtype is np.bool_ else np.iinfo(dtype).min, dtype)
    black[..., 3] = most

    assert (rgb / rgb.max() == 1).all()
    assert not to_rgb(black, value_range="full").any()


@pytest.mark.parametrize("opaque", [1.0, 255.0])
def test_float_colors_up_to_255_may_have_opacity_up_to_either(opaque):
    picture = np.full((4, 5, 4), 102, np.float32)
    picture[..., 3] = opaque
    assert torch.allclose(to_rgb(picture), torch.tensor(0.4))

    picture[..., 3] = opaque * 0.8
    assert torch.allclose(to_rgb(picture), torch.tensor(0.4 * 0.8 + 0.2))


@pytest.mark.parametrize(
    ("color", "opacity", "value_range"),
    [(0.5, 200.0, None), (102.0, np.nan, None), (102.0, 4095.0, (0, 255)), (102, 300, (0, 255))],
)
def test_what_is_no_opacity_is_refused(color, opacity, value_range):
    picture = np.full((4, 5, 4), color, np.int32 if isinstance(opacity, int) else np.float32)
    picture[..., 3] = opacity

    with pytest.raises(ImageError, match="opacity"):
        to_rgb(picture, value_range=value_range)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((5, 7, 2), np.uint8), r"\(5, 7, 2\)"),
        (np.zeros((7, 6, 5), np.uint8), r"\(7, 6, 5\)"),
        (np.zeros((2, 3, 4, 3), np.uint8), "several images as a list"),
        (np.zeros((0, 4, 3), np.uint8), "no pixels"),
        (np.full((4, 6, 3), np.nan), "nan"),
        (np.full((4, 6, 3), 300), "300"),
        (np.full((4, 6, 3), 1j), "complex"),
        (np.full((4, 6, 3), -0.5), "-0.5"),
        (np.full((4, 6, 3), "x"), "values"),
        (42, "int"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_reason(image, words):
    with pytest.raises(ImageError, match=words):
        to_rgb(image)


def test_a_file_is_turned_as_its_camera_says(tmp_path):
    image, exif = Image.new("RGB", (6, 4), RED), Image.Exif()
    exif[0x0112] = 6  # orientation: turned by a quarter
    image.save(tmp_path / "turned.png", exif=exif)

    assert load_image(tmp_path / "turned.png").size == (4, 6)
    assert to_rgb(str(tmp_path / "turned.png")).shape == (3, 6, 4)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_an_unreadable_file_is_named(tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)

    with pytest.raises(ImageError, match=r"broken\.png"):
        to_rgb(path)


def test_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "half.png"
    Image.fromarray(picture(50, 50)).save(path)
    path.write_bytes(path.read_bytes()[:-2000])

    with pytest.raises(ImageError, match=r"half\.png"):
        load_image(path)


def test_a_pipe_or_a_device_is_refused_before_it_is_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")

    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(ImageError, match="pipe or a device"):
            load_image(path)


def png_of(width, height):
    """A file that says it is so large, and holds almost nothing."""

    def chunk(name, data):
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 100_000])  # where PIL warns, and where it refuses
def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of(side, side))

    with pytest.raises(ImageError, match=r"bomb\.png is too large to open safely"):
        load_image(path)


def test_damage_of_any_kind_is_one_error(tmp_path):
    whole = io.BytesIO()
    Image.fromarray(picture(20, 20)).save(whole, format="TIFF", compression="tiff_lzw")
    generator = np.random.default_rng(0)

    for _ in range(60):
        data = bytearray(whole.getvalue())
        for place in generator.integers(0, len(data), 8):
            data[place] = generator.integers(256)
        (tmp_path / "a.tif").write_bytes(data)
        with contextlib.suppress(ImageError), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the reader about odd entries
            to_rgb(tmp_path / "a.tif")


def test_of_a_file_with_several_pages_the_first_is_the_picture(tmp_path):
    first, second = (Image.fromarray(picture(4, 5) // part) for part in (1, 2))
    first.save(tmp_path / "stack.tif", save_all=True, append_images=[second])

    assert torch.equal(to_rgb(tmp_path / "stack.tif"), to_rgb(first))


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "nothing.png", tmp_path):
        with pytest.raises(ImageError, match=path.name):
            load_image(path)


def test_an_unreachable_address_is_named():
    with pytest.raises(ImageError, match=r"http://127\.0\.0\.1:9/x\.png"):
        load_image("http://127.0.0.1:9/x.png")


def test_pictures_are_listed_from_any_nesting():
    array = picture()

    assert len(list_images(array)) == 1
    assert len(list_images([array, [array, array]])) == 3
    assert len(list_images(np.stack([array, array]))) == 2
    with pytest.raises(ImageError, match="empty"):
        list_images([])


def test_values_are_read_without_being_judged():
    wide = np.full((2, 2, 3), -7.0)

    assert read_values(wide).min() == -7
    with pytest.raises(ImageError, match="-7"):
        to_rgb(wide)
