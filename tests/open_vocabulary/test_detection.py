"""What goes into a detector and what comes out."""

import numpy as np
import pytest

from sam2_hf.errors import DetectionError
from sam2_hf.open_vocabulary.detection import (
    Detection,
    cut_box,
    detect_objects,
    keep_best,
)

PICTURE = np.zeros((40, 60, 3), np.uint8)


class Answering:
    def __init__(self, *detections):
        self.detections = detections

    def detect(self, image, labels):
        return self.detections


def ask(*detections):
    return detect_objects(Answering(*detections), PICTURE, ("dog", "cat"))


def test_detections_come_best_first_and_end_at_the_pictures_edges():
    found = ask(Detection((-3, 5, 20, 30), "dog", 0.5), Detection((40, 20, 66.5, 41), "cat", 0.7))

    assert found == [
        Detection((40, 20, 60, 40), "cat", 0.7),
        Detection((0, 5, 20, 30), "dog", 0.5),
    ]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Detection((0, 0, 9, float("nan")), "dog", 0.5), "finite pixels"),
        (Detection((0, 0, 9, float("inf")), "dog", 0.5), "finite pixels"),
        (Detection((0, 0, 9), "dog", 0.5), "finite pixels"),
        (Detection((70, 0, 90, 20), "dog", 0.5), "no area in the picture of 60 x 40"),
        (Detection((20, 0, 10, 20), "dog", 0.5), "no area"),
        (Detection((0, 0, 9, 9), "bird", 0.5), "'bird', which was not asked for"),
        (Detection((0, 0, 9, 9), "dog", float("nan")), "the score nan"),
        (Detection((0, 0, 9, 9), "dog", None), "the score None"),
        ({"box": (0, 0, 9, 9)}, "Return Detection"),
    ],
)
def test_an_answer_that_cannot_be_used_says_why(answer, message):
    with pytest.raises(DetectionError, match=message):
        ask(answer)


def test_of_boxes_that_overlap_the_best_is_kept():
    best, worse, apart = (
        Detection((0, 0, 20, 20), "dog", 0.9),
        Detection((2, 0, 22, 20), "dog", 0.8),
        Detection((12, 0, 32, 20), "dog", 0.7),
    )

    assert keep_best([worse, apart, best], nms_threshold=0.5) == [best, apart]


def test_a_box_with_two_names_keeps_the_better_one_and_a_part_keeps_its_own():
    dog = Detection((0, 0, 20, 20), "dog", 0.9)
    same, part = Detection((0, 0, 20, 21), "cat", 0.8), Detection((0, 0, 20, 14), "cat", 0.7)

    assert keep_best([same, part, dog], nms_threshold=0.5) == [dog]
    assert keep_best([part, dog], nms_threshold=0.5) == [dog, part]


def test_unsure_detections_and_those_beyond_the_limit_are_left_out():
    many = [Detection((10 * n, 0, 10 * n + 5, 9), "dog", n / 10) for n in range(5)]

    assert keep_best(many, threshold=0.2, limit=2) == [many[4], many[3]]
    assert keep_best([], limit=2) == []


def test_a_box_outside_has_no_part_in_the_picture():
    assert cut_box((-5, -5, 0, 9), (40, 60)) is None
    assert cut_box((-5, -5, 1, 9), (40, 60)) == (0, 0, 1, 9)
