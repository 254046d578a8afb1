"""Cases of videos, on a small model."""

from evaluation.speed_cases import video
from evaluation.speed_cases.video import VideoSubjects, moving_clip, time_policies
from sam2_hf.video.session_options import MEMORY_POLICIES
from tests.drawn_video import drawn_video_model


def test_every_memory_policy_is_timed_on_the_same_frames(monkeypatch):
    frames = moving_clip(video.NUM_FRAMES, 64)
    subjects = VideoSubjects(drawn_video_model(), None, frames)
    monkeypatch.setattr(VideoSubjects, "build", lambda size: subjects)

    results = time_policies("tiny")

    named = [result.case.rpartition(" ")[2] for result in results]
    assert named == [*MEMORY_POLICIES, "samurai+distractor"]
    assert all(result.ours > 0 and result.ratio is None for result in results)
