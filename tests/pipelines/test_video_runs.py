"""Runs of the video pipeline by name, with a stand-in for the detector."""

import numpy as np
import pytest

from sam2_hf import PromptError, Reference, VideoPrompt, VideoSegmentationPipeline
from sam2_hf.errors import DetectionError
from sam2_hf.pipelines.video_runs import RunOptions
from sam2_hf.video.session import VideoSession
from tests.fakes import FakeModel, fake_clip, fake_session_on
from tests.stand_in_detector import KnownBoxes

LEFT, RIGHT = (5, 20, 25, 40), (30, 20, 50, 40)


@pytest.fixture
def track(tiny_video_model, monkeypatch):
    """A function from known boxes to a pipeline that tracks them with the fake model."""
    monkeypatch.setattr(
        VideoSegmentationPipeline, "open", lambda self, video: VideoSession.open(video, FakeModel())
    )

    def make(boxes):
        return VideoSegmentationPipeline(tiny_video_model, detector=KnownBoxes(boxes))

    return make


def test_a_video_is_tracked_by_name_and_names_are_categories(track):
    found = track({0: {"dog": [LEFT]}, 4: {"cat": [RIGHT]}})(
        fake_clip(8), text=["dog", "cat"], detect_every=4
    )

    assert found.names == {1: "dog", 2: "cat"}
    assert found.masklets[1].frames == list(range(8))
    assert found.masklets[2].frames == [4, 5, 6, 7]
    by_hand = fake_session_on(8)
    by_hand.box(0, 1, LEFT)
    for result in by_hand.propagate():
        np.testing.assert_array_equal(found.masklets[1].mask(result.frame), result.masks[1])
    assert [row["name"] for row in found.to_coco()["categories"]] == ["dog", "cat"]


def test_a_video_in_which_nothing_is_found_has_no_masklets(track):
    found = track({})(fake_clip(4), text="dog")

    assert (found.object_ids, found.frames) == ((), [])
    assert found.num_frames == 4


def test_progress_counts_every_frame_once(track):
    counted = []

    track({0: {"dog": [LEFT]}, 2: {"dog": [RIGHT]}})(
        fake_clip(4), text="dog", detect_every=2, on_progress=lambda *done: counted.append(done)
    )

    assert counted == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_names_do_not_go_with_prompts_or_backward(track):
    pipeline = track({})

    with pytest.raises(PromptError, match="both text 'dog' and prompts"):
        pipeline(fake_clip(2), [VideoPrompt(0, 1, clicks=(9, 9))], text="dog")
    with pytest.raises(PromptError, match="forward in time"):
        pipeline(fake_clip(2), text="dog", direction="backward")
    with pytest.raises(PromptError, match="text is empty"):
        pipeline(fake_clip(2), text=[])
    with pytest.raises(PromptError, match="every is 0"):
        pipeline(fake_clip(2), text="dog", detect_every=0)


def test_a_detector_that_answers_nonsense_ends_the_run(track):
    with pytest.raises(DetectionError, match="no area"):
        track({0: {"dog": [(90, 90, 99, 99)]}})(fake_clip(2), text="dog")


def test_references_of_one_object_have_one_name():
    picture, mask = np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), bool)
    given = [Reference(picture, mask, 1, name=name) for name in ("cup", None, "mug")]

    with pytest.raises(PromptError, match="object 1 have the names 'cup' and 'mug'"):
        RunOptions("both", False, None, given)
    assert RunOptions("both", False, None, given[:2]).names == {1: "cup"}
