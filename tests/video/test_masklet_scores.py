"""Scores of an object, frame by frame."""

import sys

import pytest
import torch

from sam2_hf.video.masklet import FrameScore, FrameScores

THIRD = torch.tensor(1 / 3).item()  # a float32, as the decoder gives


def table(*frames):
    scores = FrameScores()
    for frame in frames:
        scores[frame] = FrameScore(THIRD, frame - 5.5, frame * 1000)
    return scores


def test_scores_of_a_frame_come_back_exactly():
    assert table(7)[7] == (THIRD, 1.5, 7000)


def test_frames_come_in_order_of_time():
    assert list(table(9, 3, 5)) == [3, 5, 9]


def test_a_later_score_replaces_an_earlier_one():
    scores = table(3)

    scores[3] = FrameScore(0.5, 0.5, 1)

    assert (scores[3], len(scores)) == ((0.5, 0.5, 1), 1)


def test_a_dropped_frame_is_gone_and_its_row_is_used_again():
    scores = table(*range(10))
    for frame in range(10, 1000):
        del scores[frame - 10]
        scores[frame] = FrameScore(THIRD, 0.0, frame)

    assert list(scores) == list(range(990, 1000))
    assert all(scores[frame].area == frame for frame in scores)
    assert len(scores._area) == 10


def test_a_frame_that_is_not_there_is_a_key_error():
    assert 4 not in table(3)
    with pytest.raises(KeyError):
        table(3)[4]


def test_columns_bring_the_table_back():
    scores = table(2, 400, 30)

    columns = scores.tensors()
    again = FrameScores.from_tensors(columns)

    assert columns["frame"].tolist() == [2, 30, 400]
    assert columns["iou"].dtype == torch.float32
    assert [again[frame] for frame in again] == [scores[frame] for frame in (2, 30, 400)]


def test_an_empty_table_comes_back_empty():
    assert len(FrameScores.from_tensors(FrameScores().tensors())) == 0


def test_numbers_are_kept_in_arrays():
    scores = table(*range(10_000))

    columns = (scores._iou, scores._object_score, scores._area)
    assert sum(map(sys.getsizeof, columns)) < 20 * 10_000
