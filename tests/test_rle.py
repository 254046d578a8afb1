import numpy as np
import pytest
import torch

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
