"""Predictions beside the truth."""

import numpy as np
import pytest
from PIL import Image

from evaluation.comparison.model_answers import Pipelines
from evaluation.micro.pictures import distinct_segments, photo_row, spread, write_pictures
from evaluation.micro.sets import bsds_set, coco_set, davis_set
from tests.labeled_squares import square_mask


@pytest.fixture(scope="module")
def pipelines(tiny_checkpoint):
    return Pipelines.load(str(tiny_checkpoint), "cpu")


@pytest.mark.parametrize(
    ("count", "places"), [(0, []), (1, [0]), (2, [0, 9]), (4, [0, 3, 6, 9]), (99, list(range(10)))]
)
def test_items_are_chosen_at_even_distances(count, places):
    assert spread(range(10), count) == places


def test_a_thing_that_two_annotators_marked_is_drawn_once():
    square, moved, far = square_mask(), square_mask(1), square_mask(20)

    chosen = distinct_segments([square, moved, far])

    assert [mask_hw.tolist() for mask_hw in chosen] == [square.tolist(), far.tolist()]


def test_the_largest_segments_come_first_and_there_are_few():
    rows = [np.arange(24)[:, None] // (24 // 8) == n for n in range(8)]
    segments = [np.broadcast_to(row, (24, 36)).copy() for row in rows]
    segments[5][15:18, 10:] = False

    chosen = distinct_segments(segments)

    assert len(chosen) == 5
    assert not any((mask_hw == segments[5]).all() for mask_hw in chosen)


def test_a_photo_is_drawn_with_its_answers_its_truth_and_everything(pipelines, small_data):
    photo = next(iter(bsds_set(small_data)))

    answers, truth, everything = photo_row(photo, pipelines)

    assert answers.title.startswith("100: one click each, IoU ")
    assert answers.title.count(".") == 2  # two segments, two IoUs
    assert truth.title == "truth"
    assert everything.title.startswith("everything: ")
    assert (truth.picture_hw3 != photo.picture_hw3).any()


def test_there_is_a_sheet_for_each_set_and_each_clip(pipelines, small_data, tmp_path):
    sets = [bsds_set(small_data), coco_set(small_data)]

    paths = write_pictures(sets, davis_set(small_data), pipelines, 1, tmp_path)

    names = ["bsds500-val-1.png", "coco128-val-1.png", "blackswan.png", "kite-surf.png"]
    assert [path.name for path in paths] == names
    with Image.open(paths[-1]) as sheet:
        assert sheet.width > 2 * sheet.height / 3
