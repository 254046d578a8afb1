import pytest
import torch
from seeded_inputs import photo
from torch.nn import functional

from sam2_hf.errors import ImageError
from sam2_hf.processing.pixel_values import PixelRules, to_pixel_values

needs_avx = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="torchvision resizes floats on this CPU",
)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def rules(**changes):
    usual = {
        "size": (64, 64),
        "resampling": "bilinear",
        "rescale_factor": 1 / 255,
        "mean": MEAN,
        "std": STD,
        "compat": "official",
    }
    return PixelRules(**{**usual, **changes})


def column(numbers):
    return torch.tensor(numbers)[:, None, None]


@pytest.fixture(scope="module")
def pixels():
    return torch.from_numpy(photo(120, 180, 1)).permute(2, 0, 1).contiguous()


def test_pixels_are_prepared_as_the_original_prepares_them(pixels):
    floats = pixels.float().div(255)[None]
    resized = functional.interpolate(
        floats, (64, 64), mode="bilinear", antialias=True, align_corners=False
    )[0]

    values = to_pixel_values(pixels, rules())

    assert torch.equal(values, resized.sub(column(MEAN)).div(column(STD)))
    assert values.is_contiguous()
    assert values.dtype == torch.float32


def bytes_resized(pixels, size, mode):
    """What torchvision hands bytes to; there it rounds floats on a CPU without AVX2."""
    return functional.interpolate(
        pixels[None], size, mode=mode, antialias=True, align_corners=False
    )[0]


def test_transformers_way_resizes_bytes_and_differs_by_a_gray_level_at_most(pixels):
    bare = rules(mean=None, std=None)
    official = to_pixel_values(pixels, bare) * 255
    found = to_pixel_values(pixels, rules(mean=None, std=None, compat="transformers")) * 255

    torch.testing.assert_close(found, found.round(), rtol=0, atol=1e-4)
    assert 0.3 < (official - found).abs().max() < 1.001


@needs_avx
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("mean", [MEAN, (0.5, 0.4, 0.3)])
def test_transformers_way_gives_its_pixels_to_the_bit(pixels, mode, mean):
    resized = bytes_resized(pixels, (64, 48), mode).to(torch.float32)
    fused_mean, fused_std = (torch.tensor(one) * (1.0 / (1 / 255)) for one in (mean, STD))
    expected = (resized - fused_mean[:, None, None]) / fused_std[:, None, None]

    asked = rules(size=(64, 48), resampling=mode, mean=mean, compat="transformers")

    assert torch.equal(to_pixel_values(pixels, asked), expected)


@needs_avx
def test_transformers_way_multiplies_what_is_only_rescaled(pixels):
    asked = rules(mean=None, std=None, compat="transformers")

    expected = bytes_resized(pixels, (64, 64), "bilinear") * (1 / 255)

    assert torch.equal(to_pixel_values(pixels, asked), expected)


@needs_avx
def test_transformers_way_leaves_bytes_that_are_only_resized(pixels):
    asked = rules(mean=None, std=None, rescale_factor=None, compat="transformers")

    expected = bytes_resized(pixels, (64, 64), "bilinear")

    assert torch.equal(to_pixel_values(pixels, asked), expected)


def test_transformers_way_takes_the_nearest_pixel_by_its_center(pixels):
    expected = functional.interpolate(pixels[None], (64, 64), mode="nearest-exact")[0]

    asked = rules(resampling="nearest", rescale_factor=None, mean=None, compat="transformers")

    assert torch.equal(to_pixel_values(pixels, asked), expected)


@pytest.mark.parametrize("compat", ["official", "transformers"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_the_callers_pixels_stay_as_they_are(pixels, compat, dtype):
    given = pixels.to(dtype)

    to_pixel_values(given, rules(size=None, compat=compat))

    assert torch.equal(given, pixels.to(dtype))


@pytest.mark.parametrize(
    "change",
    [
        {"std": (0.2, 0.0, 0.2)},
        {"std": float("nan")},
        {"mean": (float("inf"), 0.0, 0.0)},
        {"rescale_factor": 0.0},
        {"mean": "none"},
        {"mean": ("a", "b", "c")},
    ],
)
def test_numbers_that_leave_no_picture_are_refused(change):
    with pytest.raises(ImageError, match="number"):
        rules(**change)


def test_floats_are_taken_to_be_scaled_already(pixels):
    torch.testing.assert_close(
        to_pixel_values(pixels.float() / 255, rules()), to_pixel_values(pixels, rules())
    )


def test_each_step_can_be_left_out(pixels):
    alone = rules(size=None, rescale_factor=None, mean=None, std=None)

    assert torch.equal(to_pixel_values(pixels, alone), pixels.float())


def test_another_factor_multiplies_bytes(pixels):
    doubled = rules(size=None, rescale_factor=2.0, mean=None, std=None)

    assert torch.equal(to_pixel_values(pixels, doubled), pixels.float() * 2)


def test_nearest_invents_no_value(pixels):
    values = to_pixel_values(pixels, rules(resampling="nearest", rescale_factor=None, mean=None))

    assert set(values.unique().tolist()) <= set(pixels.unique().tolist())


def test_one_number_serves_all_channels_and_a_wrong_count_is_refused(pixels):
    assert to_pixel_values(pixels, rules(mean=0.5, std=2.0)).shape == (3, 64, 64)
    with pytest.raises(ImageError, match="2 means"):
        to_pixel_values(pixels, rules(mean=(0.1, 0.2)))
