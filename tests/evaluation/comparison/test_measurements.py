"""Means over segments and clips."""

import numpy as np
import pytest

from evaluation.comparison.baselines import Guess, Track
from evaluation.comparison.measurements import (
    ALL_CLIPS,
    ClipScore,
    PhotoScore,
    best_clip_scores,
    best_photo_scores,
    measure_clips,
    measure_photos,
)
from evaluation.micro.sets import bsds_set, davis_set
from tests.labeled_squares import HEIGHT, WIDTH, square_mask

PICTURE = HEIGHT * WIDTH


def whole_and_square(picture_hw3, clicks):
    """One method that takes the whole picture, one that makes two guesses."""
    whole, empty = np.ones((HEIGHT, WIDTH), bool), np.zeros((HEIGHT, WIDTH), bool)
    for _ in clicks:
        two = [Guess("two", "", square_mask()), Guess("two", "", empty)]
        yield [Guess("whole", "a", whole), Guess("whole", "b", empty), *two]


def still_and_true(frames_thw3, first_hw):
    """A track that stays and one that is right, since the square moves one pixel a frame."""
    yield Track("still", "", np.repeat(first_hw[None], len(frames_thw3), axis=0))
    yield Track("true", "", np.stack([square_mask(t) for t in range(len(frames_thw3))]))


def test_the_mean_iou_is_over_all_segments_of_all_annotators(small_data):
    found = measure_photos(bsds_set(small_data), whole_and_square, "test")

    scores = {(one.method, one.setting): one.mean_iou for one in found.scores}
    areas = np.array([PICTURE - 64, 64, PICTURE - 65, 64]) / PICTURE
    assert (found.photos, found.segments) == (2, 8)
    assert scores["whole", "a"] == pytest.approx(areas.mean())
    assert scores["whole", "b"] == 0


def test_of_several_guesses_with_one_setting_the_best_counts(small_data):
    found = measure_photos(bsds_set(small_data), whole_and_square, "test")

    scores = {one.method: one.mean_iou for one in found.scores}
    assert scores["two"] == 0.5  # right on the squares, wrong on what is around them


def test_segments_with_one_click_ask_once(small_data):
    asked = []

    def guess(picture_hw3, clicks):
        asked.append(list(clicks))
        return whole_and_square(picture_hw3, clicks)

    measure_photos(bsds_set(small_data), guess, "test")

    assert [len(clicks) for clicks in asked] == [2, 2]


def test_clips_are_scored_without_their_ends_one_by_one_and_in_the_mean(small_data):
    found = measure_clips(davis_set(small_data), still_and_true, "test")

    scores = {(one.method, one.clip): one for one in found.scores}
    ious = [8 * (8 - t) / (64 + 8 * t) for t in (1, 2, 3)]
    assert (found.clips, found.frames) == (2, 10)
    assert scores["still", "blackswan"].j == pytest.approx(100 * np.mean(ious))
    assert scores["still", ALL_CLIPS].j == pytest.approx(scores["still", "kite-surf"].j)
    assert scores["true", ALL_CLIPS].j_and_f == 100


def test_the_best_setting_of_each_method_is_kept():
    scores = [
        PhotoScore("a", "1", 0.2),
        PhotoScore("a", "2", 0.4),
        PhotoScore("b", "", 0.3),
        PhotoScore("a", "3", 0.3),
    ]

    assert [one.setting for one in best_photo_scores(scores).values()] == ["2", ""]


def test_the_best_setting_on_clips_is_that_with_the_best_mean():
    scores = [
        ClipScore("flow", "1", "goat", 90, 90, 90),
        ClipScore("flow", "1", ALL_CLIPS, 50, 50, 50),
        ClipScore("flow", "2", ALL_CLIPS, 60, 60, 60),
    ]

    assert best_clip_scores(scores) == {"flow": scores[2]}
