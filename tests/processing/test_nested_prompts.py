import numpy as np
import pytest
import torch

from sam2_hf.errors import PromptError
from sam2_hf.processing.nested_prompts import BOXES, LABELS, POINTS, read_masks, read_nested

NESTED = [[[[1, 2], [3, 4]], [[5, 6], [7, 8]]]]


@pytest.mark.parametrize(
    "data",
    [
        NESTED,
        tuple(tuple(objects) for objects in NESTED),
        np.array(NESTED),
        torch.tensor(NESTED, dtype=torch.bfloat16),
        [np.array(NESTED[0])],
        [[torch.tensor(points) for points in NESTED[0]]],
        [[[np.array([1, 2]), (np.float32(3), 4)], [[5, 6], torch.tensor([7, 8])]]],
    ],
)
def test_lists_arrays_and_tensors_are_read_alike(data):
    objects = read_nested(data, POINTS)

    assert [[points.tolist() for points in image] for image in objects] == NESTED


def test_every_object_may_have_its_own_number_of_points():
    objects = read_nested([[[[1, 2]], []], [[[3, 4], [5, 6]]]], POINTS)

    assert [[tuple(points.shape) for points in image] for image in objects] == [
        [(1, 2), (0, 2)],
        [(2, 2)],
    ]


def test_labels_and_boxes_have_a_level_less():
    assert read_nested([[[1, 0], [1]]], LABELS)[0][1].tolist() == [1]
    assert read_nested([[[1, 2, 3, 4]]], BOXES)[0][0].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("data", "nesting", "words"),
    [
        ([500, 375], POINTS, r"input_points has 1 levels of nesting, it needs 4"),
        ([[[500, 375]]], POINTS, r"\[image\]\[object\]\[point\]\[x, y\].*\[\[\[\[500, 375\]\]\]\]"),
        ([[[[[500, 375]]]]], POINTS, "has 5 levels"),
        ([[[[1, 2]], [3, 4]]], POINTS, "has 3 and 4 levels"),
        (np.zeros((1, 1, 2)), POINTS, "has 3 levels"),
        ([1], LABELS, "input_labels has 1 levels of nesting, it needs 3"),
        ([[1, 2, 3, 4]], BOXES, "input_boxes has 2 levels of nesting, it needs 3"),
        (7, BOXES, "has 0 levels"),
    ],
)
def test_wrong_nesting_is_counted_and_an_example_is_shown(data, nesting, words):
    with pytest.raises(PromptError, match=words):
        read_nested(data, nesting)


@pytest.mark.parametrize(
    ("data", "counts"),
    [
        ([], []),
        ([[]], [0]),
        ([[[]]], [1]),
        (np.zeros((1, 0, 0, 2)), [0]),
        (np.zeros((2, 0, 3)), [0, 0]),
    ],
)
def test_an_image_may_have_no_object_and_an_object_no_point(data, counts):
    read = read_nested(data, POINTS)

    assert [len(objects) for objects in read] == counts
    assert all(points.shape == (0, 2) for objects in read for points in objects)


@pytest.mark.parametrize(
    ("data", "nesting", "words"),
    [
        ([[[[1, 2, 3]]]], POINTS, r"\[1, 2, 3\] where 2 numbers are needed: \(x, y\)"),
        ([[[1, 2, 3]]], BOXES, r"where 4 numbers are needed"),
        ([[[]]], BOXES, r"where 4 numbers are needed"),
        ([[[[]]]], POINTS, r"where 2 numbers are needed"),
        ([[[["a", 2]]]], POINTS, "'a', which is not a number"),
        ([[[None]]], LABELS, "None, which is not a number"),
    ],
)
def test_a_place_of_another_length_or_kind_is_named(data, nesting, words):
    with pytest.raises(PromptError, match=words):
        read_nested(data, nesting)


def test_what_the_caller_gave_is_left_alone():
    data = [[[[1, 2]], []], [[[3, 4], [5, 6]]]]

    read_nested(data, POINTS)

    assert data == [[[[1, 2]], []], [[[3, 4], [5, 6]]]]


@pytest.mark.parametrize(
    "masks",
    [
        torch.ones(1, 2, 8, 8),
        torch.ones(1, 2, 1, 8, 8),
        torch.ones(2, 8, 8),
        np.ones((1, 2, 8, 8)),
        [torch.ones(2, 8, 8)],
        [[torch.ones(8, 8), np.ones((1, 8, 8))]],
        [[np.ones((8, 8)).tolist(), np.ones((8, 8))]],
    ],
)
def test_masks_are_read_from_any_nesting(masks):
    objects = read_masks(masks, 1)

    assert [[tuple(mask.shape) for mask in image] for image in objects] == [[(8, 8), (8, 8)]]
    assert objects[0][0].dtype == torch.float32


def test_one_map_serves_one_image():
    assert len(read_masks(torch.ones(8, 8), 1)[0]) == 1


@pytest.mark.parametrize("masks", [[[["a"]]], torch.ones(1, 2, 3, 8, 8), [[[1.0, 2.0], [3.0]]]])
def test_what_is_no_map_is_refused(masks):
    with pytest.raises(PromptError, match="mask"):
        read_masks(masks, 1)
