"""Frames whose scores are low give way to older ones."""

from sam2_hf.video.policies.memory_policy import TrackingStep
from sam2_hf.video.policies.score import ScorePolicy
from tests.video.policies.hand_made import RULES, Remembered, seen


def test_the_nearest_trusted_frames_take_the_places_of_doubtful_ones():
    memories = Remembered(seen(range(1, 30)) | seen((24, 26), score=-1.0) | seen((22, 27), iou=0.5))

    found = ScorePolicy(RULES).select(TrackingStep(30), memories)

    assert found == [(0, 7), (20, 6), (21, 5), (23, 4), (25, 3), (28, 2), (29, 1)]


def test_the_previous_frame_is_read_even_if_it_is_doubtful():
    memories = Remembered(seen(range(1, 9)) | seen([8], score=-2.0))

    assert ScorePolicy(RULES).select(TrackingStep(9), memories)[-2:] == [(7, 2), (8, 1)]


def test_pointers_of_doubtful_frames_are_left_out():
    memories = Remembered(seen(range(1, 9)) | seen((3, 5), score=-2.0) | seen([8], iou=0.1))

    frames = [frame for frame, _ in ScorePolicy(RULES).select_pointers(TrackingStep(9), memories)]

    assert frames == [0, 8, 7, 6, 4, 2, 1, 0]


def test_backward_in_time_the_trusted_frames_are_later_ones():
    memories = Remembered(seen(range(10, 40)) | seen((12, 13), score=-2.0), prompted=(39,))

    found = ScorePolicy(RULES).select(TrackingStep(10, "backward", 40), memories)

    assert found == [(39, 7), (18, 6), (17, 5), (16, 4), (15, 3), (14, 2), (11, 1)]


def test_only_so_many_frames_are_searched():
    memories = Remembered(seen(range(1, 5)) | seen(range(5, 320), score=-1.0))

    assert ScorePolicy(RULES).select(TrackingStep(304), memories) == [(0, 7), (4, 2), (303, 1)]
    assert ScorePolicy(RULES).select(TrackingStep(305), memories) == [(0, 7), (304, 1)]
