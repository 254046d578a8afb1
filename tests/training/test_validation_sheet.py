import numpy as np

from sam2_hf.contact_sheet import GAP, TITLE
from sam2_hf.data.clip import Clip
from sam2_hf.training.validation import CELL, Prediction, prediction_sheet
from tests.training.drawn_data import HEIGHT, WIDTH, moving_clip


def prediction(num_frames, *, clicks=()):
    clip = moving_clip(num_frames)
    return Prediction(clip, np.zeros_like(clip.masks_othw), clicks)


def row_height(height=HEIGHT, width=WIDTH):
    return round(height * min(CELL[0] / width, CELL[1] / height)) + TITLE + GAP


def test_a_photo_takes_a_row_of_picture_truth_and_prediction():
    sheet = prediction_sheet([prediction(1, clicks=((20.0, 20.0),))])

    assert sheet.shape == (row_height() + GAP, 3 * (CELL[0] + GAP) + GAP, 3)
    below_titles = sheet[GAP + TITLE :, GAP:]
    picture, truth, found = np.split(below_titles, 3, axis=1)
    assert not np.array_equal(picture, truth)  # a mask is drawn
    assert not np.array_equal(picture, found)  # a click is drawn, but no mask
    assert np.count_nonzero(picture != found) < np.count_nonzero(picture != truth)


def test_a_clip_takes_a_row_for_each_of_three_frames():
    assert len(prediction_sheet([prediction(9)])) == 3 * row_height() + GAP
    assert len(prediction_sheet([prediction(2)])) == row_height() + GAP


def test_rows_of_several_sizes_fit_below_each_other():
    masks = np.ones((1, 1, 90, 30), np.bool_)
    tall = Prediction(Clip(np.zeros((1, 90, 30, 3), np.uint8), masks, "tall"), masks)

    sheet = prediction_sheet([prediction(1), tall])

    assert len(sheet) == row_height() + row_height(90, 30) + GAP


def test_nothing_to_draw_gives_no_sheet():
    assert prediction_sheet([]) is None
