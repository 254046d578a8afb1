import time

import numpy as np
import pytest
import torch

from sam2_hf.errors import DataError
from sam2_hf.rle import area, decode, encode, encode_all, from_coco, to_coco


def read_column_by_column(mask):
    """The definition, slowly: lengths of alternating runs, starting with 0."""
    counts, value, length = [], False, 0
    for pixel in mask.T.reshape(-1):
        if pixel == value:
            length += 1
        else:
            counts.append(length)
            value, length = bool(pixel), 1
    return [*counts, length]


def random_masks(count=40):
    rng = np.random.default_rng(0)
    for _ in range(count):
        height, width = rng.integers(1, 14, 2)
        yield rng.random((height, width)) < rng.choice([0.0, 0.1, 0.5, 0.9, 1.0])


def test_counts_are_read_column_by_column_and_start_with_zeros():
    mask = np.array([[0, 1, 1], [0, 0, 1]], dtype=bool)

    assert encode(mask) == {"size": [2, 3], "counts": [2, 1, 1, 2]}


def test_counts_equal_their_definition():
    for mask in random_masks():
        assert encode(mask)["counts"] == read_column_by_column(mask)


def test_an_empty_and_a_full_mask_have_the_counts_of_the_original():
    assert encode(np.zeros((3, 4), bool))["counts"] == [12]
    assert encode(np.ones((3, 4), bool))["counts"] == [0, 12]


def test_a_mask_comes_back():
    for mask in random_masks():
        assert np.array_equal(decode(encode(mask)), mask)


def test_area_counts_the_pixels_inside():
    for mask in random_masks():
        assert area(encode(mask)) == mask.sum()


def test_tensors_numbers_and_mirrored_arrays_are_taken_too():
    mask = np.array([[0, 1], [1, 1]], dtype=bool)

    for same in (torch.from_numpy(mask), mask.astype(np.uint8), mask[:, ::-1][:, ::-1]):
        assert encode(same) == encode(mask)


def test_many_masks_are_encoded_one_by_one():
    masks = torch.rand(3, 5, 7) > 0.5

    assert encode_all(masks) == [encode(mask) for mask in masks]


def test_cocos_form_is_text_and_comes_back():
    for mask in random_masks():
        coco = to_coco(encode(mask))

        assert isinstance(coco["counts"], str)
        assert from_coco(coco) == encode(mask)


def test_long_runs_survive_cocos_form():
    rle = {"size": [1200, 1800], "counts": [7, 500_000, 1_000_000, 16, 31, 659_946]}

    assert from_coco(to_coco(rle)) == rle


def test_cocos_form_is_what_cocos_tools_read():
    coco_mask = pytest.importorskip("pycocotools.mask")
    mask = np.random.default_rng(1).random((20, 30)) > 0.5
    coco = to_coco(encode(mask))

    assert coco_mask.area({**coco, "counts": coco["counts"].encode()}) == mask.sum()


def slowly_from_coco(text):
    """The definition: digit by digit, as rleFrString of cocoapi does."""
    counts, value, shift = [], 0, 0
    for letter in text.encode():
        digit = letter - 48
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        value -= (1 << shift) if digit & 16 else 0
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return counts


def test_compressed_text_is_read_as_its_definition_says():
    for mask in [*random_masks(), np.random.default_rng(1).random((300, 200)) < 0.5]:
        coco = to_coco(encode(mask))

        assert from_coco(coco)["counts"] == slowly_from_coco(coco["counts"])
        assert from_coco({**coco, "counts": coco["counts"].encode()}) == encode(mask)


DAMAGED = {
    "a number without an end": {"size": [4, 5], "counts": "o" * 400_000},
    "letters of other alphabets": {"size": [4, 5], "counts": "d\u00e4"},
    "a letter beyond the last": {"size": [4, 5], "counts": "\x7f"},
    "a number that COCO cannot write": {"size": [4, 5], "counts": "oooooooo0"},
    "a negative run": {"size": [4, 5], "counts": "L8"},
    "too few pixels": {"size": [4, 5], "counts": "1"},
    "a size beyond all pictures": {"size": [10**6, 10**6], "counts": "P`f0PbPZ1"},
    "an endless size": {"size": [10**400, 1], "counts": "1"},
    "a size that is no number": {"size": [float("inf"), 1], "counts": "1"},
    "three sides": {"size": [1, 1, 1], "counts": "1"},
    "no size": {"counts": "1"},
    "no text": {"size": [1, 1], "counts": None},
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_text_is_refused_at_once(what):
    """400,000 letters without an end took six seconds, ten times as many ten minutes."""
    started = time.process_time()

    with pytest.raises(DataError):
        from_coco(DAMAGED[what])

    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    "counts", [[21], [-1, 21], [2**70], [20.0], ["20"], [[20]], [], None, [float("nan")]]
)
@pytest.mark.parametrize("use", [decode, to_coco])
def test_damaged_run_lengths_are_refused(counts, use):
    with pytest.raises(DataError):
        use({"size": [4, 5], "counts": counts})
