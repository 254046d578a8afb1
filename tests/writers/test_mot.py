"""MOTChallenge text."""

from sam2_hf.writers.mot import write_mot
from tests.pipelines.tracked import tracked_frame, tracked_object


def test_frames_count_from_one_and_hidden_objects_have_no_line(tmp_path):
    frames = [
        tracked_frame(0, tracked_object(0, 1), tracked_object(300, -1)),
        tracked_frame(4, tracked_object(0, 2, iou=0.5), tracked_object(300, 7)),
    ]

    path = write_mot(tmp_path / "clip.txt", frames)

    rows = [line.split(",") for line in path.read_text().splitlines()]
    assert rows == [
        ["1", "0", "1", "2", "2", "3", "0.900000", "-1", "-1", "-1"],
        ["5", "0", "2", "2", "2", "3", "0.500000", "-1", "-1", "-1"],
        ["5", "300", "7", "2", "2", "3", "0.900000", "-1", "-1", "-1"],
    ]


def test_objects_that_are_never_seen_leave_an_empty_file(tmp_path):
    path = write_mot(tmp_path / "clip.txt", [tracked_frame(0, tracked_object(1, -1))])

    assert path.read_text() == ""
