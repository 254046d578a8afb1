"""What is kept of every tracked frame."""

import numpy as np
import pytest
import torch

from sam2_hf import OutputError
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.writers.frame_journal import FrameJournal, TrackedFrame
from tests.pipelines.tracked import square, tracked_frame, tracked_object


def result():
    logits = torch.full((2, 16, 16), -5.0)
    logits[0, 4:8, 2:6] = 5.0
    iou, score = torch.tensor([0.75, 0.5]), torch.tensor([3.0, -2.0])
    return FrameResult(4, (9, 2), logits, iou, score, (32, 48), frozenset({9}))


def test_a_result_is_compressed_without_loss():
    tracked = TrackedFrame.from_result(result(), time_s=0.5)

    assert (tracked.frame, tracked.time_s) == (4, 0.5)
    assert [one.object_id for one in tracked.objects] == [2, 9]
    for object_id, mask in tracked.masks().items():
        np.testing.assert_array_equal(mask, result().masks[object_id])
    nine = tracked.objects[1]
    assert (nine.predicted_iou, nine.object_score, nine.prompted) == (0.75, 3.0, True)
    assert nine.area == result().masks[9].sum()
    assert not tracked.objects[0].prompted


def test_json_keeps_every_digit():
    tracked = tracked_frame(3, tracked_object(1, 2, iou=0.1 + 0.2, score=-1 / 3), time_s=1 / 7)

    assert TrackedFrame.from_json(tracked.to_json()) == tracked


def test_a_journal_gives_frames_back_in_order(tmp_path):
    journal = FrameJournal(tmp_path / "results.jsonl")
    for frame in (5, 6, 4, 3):
        journal.add(tracked_frame(frame, tracked_object(1, frame)))

    assert [tracked.frame for tracked in journal] == [3, 4, 5, 6] == journal.frames
    np.testing.assert_array_equal(list(journal)[2].masks()[1], square(5))
    assert (len(journal), 4 in journal, 9 in journal) == (4, True, False)
    journal.close()


def test_a_frame_that_comes_again_replaces_the_earlier_one(tmp_path):
    journal = FrameJournal(tmp_path / "results.jsonl")
    journal.add(tracked_frame(0, tracked_object(1, 2)))
    journal.add(tracked_frame(0, tracked_object(1, 6)))

    (only,) = journal
    assert only.masks()[1].argmax(axis=1).max() == 6
    journal.close()


def test_a_journal_is_opened_at_the_length_that_counts(tmp_path):
    journal = FrameJournal(tmp_path / "results.jsonl")
    journal.add(tracked_frame(0, tracked_object(1, 2)))
    length = journal.secure()
    journal.add(tracked_frame(1, tracked_object(1, 3)))
    journal.close()

    again = FrameJournal(tmp_path / "results.jsonl", length=length)
    again.add(tracked_frame(2, tracked_object(1, 4)))
    assert again.frames == [0, 2]
    again.secure()
    again.close()
    last = FrameJournal(tmp_path / "results.jsonl")
    assert last.frames == [0, 2]
    last.close()


def test_a_damaged_journal_is_an_error_of_ours(tmp_path):
    (tmp_path / "results.jsonl").write_text("{broken")

    with pytest.raises(OutputError, match=r"results\.jsonl cannot be used"):
        FrameJournal(tmp_path / "results.jsonl")
