import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import ImageError
from sam2_hf.processing.images import to_rgb
from sam2_hf.processing.value_range import ValueScale, choose_scale, read_value_range

UNIT = torch.linspace(0, 1, 60).reshape(3, 4, 5)


def scaled(values, value_range=None):
    return choose_scale([values], value_range).apply(values)


@pytest.mark.parametrize("peak", [1.0, 1.001, 1.01, 1.4, -0.3])
def test_a_pixel_that_overshoots_turns_no_picture_black(peak):
    values = UNIT.clone()
    values[0, 0, 0] = peak

    assert torch.equal(scaled(values), values.clamp(0, 1))


def test_floats_up_to_255_are_recognized_by_their_bulk():
    night = torch.zeros(3, 20, 20)
    night[:, 5, 5:9] = 180  # all but a lamp is black

    assert scaled(UNIT * 255).max() == 1
    torch.testing.assert_close(scaled(night).max(), torch.tensor(180 / 255))


@pytest.mark.parametrize(
    "values",
    [
        torch.where(UNIT == 1, 200.0, UNIT),  # one hot pixel, or a lamp in linear light
        UNIT - 0.5,  # normalized already
        UNIT * 2 - 1,
        torch.full((3, 4, 5), 1.2),
        UNIT * 4095,
        UNIT * 255 - 100,
        torch.cat((UNIT, UNIT * 100)),
    ],
)
def test_floats_of_unknown_scale_are_refused_and_the_way_out_is_named(values):
    with pytest.raises(ImageError, match=r"fit no scale.*value_range=\(low, high\)"):
        scaled(values)


@pytest.mark.parametrize("value_range", [None, (0, 1), (0, 255), "percentile"])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_refused_whatever_the_range(bad, value_range):
    values = UNIT.clone()
    values[0, 0, 0] = bad

    with pytest.raises(ImageError, match="finite"):
        scaled(values, value_range)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floats_of_every_precision_become_float32(dtype):
    values = (torch.arange(6).reshape(1, 2, 3) / 8).to(dtype)

    assert torch.equal(scaled(values), values.to(torch.float32))
    assert scaled(values * 255, (0, 255)).dtype == torch.float32


def test_the_type_decides_for_whole_numbers():
    numbers = torch.tensor([[[0, 100, 255]]])

    assert torch.equal(scaled(numbers.to(torch.uint8)), numbers.to(torch.uint8))
    assert torch.equal(scaled(numbers), numbers.to(torch.uint8))
    assert torch.equal(scaled(numbers.to(torch.uint16)), numbers.to(torch.float32) / 65535)
    assert scaled(numbers > 0).tolist() == [[[0, 255, 255]]]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.int64, np.uint64])
def test_whole_numbers_that_are_no_bytes_are_refused_and_the_way_out_is_named(dtype):
    value = -5 if dtype == np.int8 else 4095

    with pytest.raises(ImageError, match=r"value_range=\(low, high\)"):
        scaled(torch.from_numpy(np.full((1, 2, 2), value, dtype)))


def test_a_12_bit_picture_in_16_bits_is_stretched_on_request_only():
    twelve = torch.from_numpy(np.array([[[0, 2047, 4095]]], np.uint16))

    assert scaled(twelve).max() == np.float32(4095) / np.float32(65535)
    assert torch.equal(scaled(twelve, (0, 4095)), twelve.to(torch.float32) / 4095)


def test_a_window_clips_what_lies_beyond_and_stays_exact_for_large_numbers():
    numbers = torch.tensor([[[2**30, 2**30 + 1, 2**30 + 2, 2**30 + 9]]], dtype=torch.int32)

    assert scaled(numbers, (2**30, 2**30 + 4)).tolist() == [[[0, 0.25, 0.5, 1]]]


def test_the_full_range_of_a_type_is_that_of_its_bits():
    signed = torch.tensor([[[-32768, 0, 32767]]], dtype=torch.int16)

    assert scaled(signed, "full")[0, 0, [0, 2]].tolist() == [0, 1]
    with pytest.raises(ImageError, match="full"):
        scaled(UNIT, "full")


def test_percentiles_leave_hot_pixels_out_and_are_those_of_all_pictures():
    deep = torch.arange(10_000).reshape(1, 100, 100).to(torch.int32)
    deep[0, 0, 0] = 10**6

    scale = choose_scale([deep, deep + 10_000], "percentile")

    low, high = np.percentile(np.r_[deep.flatten(), deep.flatten() + 10_000], (0.5, 99.5))
    assert scale.given == (low, high)
    assert scale.apply(deep).max() == 1


def test_an_even_picture_has_percentiles_too():
    assert scaled(torch.full((1, 4, 4), 7, dtype=torch.int32), "percentile").tolist() == [
        [[0] * 4] * 4
    ]


def test_a_range_is_meant_for_one_type():
    words = torch.ones(1, 2, 2, dtype=torch.uint16)

    with pytest.raises(ImageError, match=r"torch\.uint16 values and another torch\.uint8"):
        choose_scale([words, torch.ones(1, 2, 2, dtype=torch.uint8)], (0, 4095))
    with pytest.raises(ImageError, match="one type"):
        choose_scale([words], (0, 4095)).apply(torch.ones(1, 2, 2, dtype=torch.uint8))


def test_a_scale_that_was_chosen_holds_for_what_comes_later():
    scale = choose_scale([UNIT * 255])

    assert scale.apply(torch.ones(3, 2, 2)).max() == np.float32(1 / 255)
    with pytest.raises(ImageError, match="0 to 1 was expected"):
        choose_scale([UNIT]).apply(UNIT * 255)


def test_values_that_somebody_scaled_are_left_alone():
    assert torch.equal(ValueScale(floats=None).apply(UNIT * 7 - 3), UNIT * 7 - 3)


@pytest.mark.parametrize("good", [[0, 4095], (0.5, 1.5), np.array([0, 255]), torch.tensor([0, 9])])
def test_a_range_is_any_two_numbers(good):
    assert read_value_range(good) == (float(good[0]), float(good[1]))


@pytest.mark.parametrize(
    "bad", [(1, 0), (0, 0), 255, "0,255", (0, 1, 2), (0, float("nan")), ("a", "b"), (0, 10**400)]
)
def test_what_is_no_range_is_refused(bad):
    with pytest.raises(ImageError, match="value_range is"):
        read_value_range(bad)


def test_pil_pictures_of_floats_follow_the_same_rule():
    picture = Image.fromarray(UNIT[0].numpy() * 255)

    assert picture.mode == "F"
    torch.testing.assert_close(to_rgb(picture)[0], UNIT[0])
