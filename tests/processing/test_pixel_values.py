import pytest
import torch
from seeded_inputs import photo
from torch.nn import functional

from sam2_hf.errors import ImageError
from sam2_hf.processing.pixel_values import PixelRules, to_pixel_values

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


def test_transformers_way_rounds_to_bytes_and_moves_a_value_by_half_a_grey_level(pixels):
    bare = rules(mean=None, std=None)
    official = to_pixel_values(pixels, bare) * 255
    rounded = to_pixel_values(pixels, rules(mean=None, std=None, compat="transformers")) * 255

    assert 0.3 < (official - rounded).abs().max() < 0.501
    torch.testing.assert_close(rounded, official.round(), rtol=0, atol=1e-4)


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
