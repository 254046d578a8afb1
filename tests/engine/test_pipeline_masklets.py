"""A pipeline for videos as a source of masklets."""

import numpy as np
import pytest

from sam2_hf import VideoPrompt, VideoSegmentationPipeline
from sam2_hf.engine.labeling import label_clip
from sam2_hf.engine.pipeline_masklets import FrameRange, PipelineMasklets
from sam2_hf.engine.settings import AcceptRules
from sam2_hf.frames.open import open_frames
from tests.engine.test_tracked_objects import LENGTH, centers, clip
from tests.fakes import fake_clip

DISC = [VideoPrompt(0, 7, clicks=(20.0, 30.0), name="disc")]


def finds_a_disc(model):
    """A pipeline that finds one object on the first frame of whatever it gets."""
    track = VideoSegmentationPipeline(model)
    return lambda video, on_progress: track(video, DISC, on_progress=on_progress)


def test_frames_of_a_range_are_a_video_of_their_own():
    with open_frames(fake_clip(LENGTH), image_size=64) as frames:
        part = FrameRange(frames, range(2, 5))

        assert [int(picture.mean()) for picture in part] == [2, 3, 4]
        assert (len(part), int(part[-1].mean()), len(part[1:])) == (3, 4, 2)


@pytest.mark.parametrize("frames", [range(LENGTH), range(2, 5)])
def test_masklets_have_the_frames_of_the_video(frames):
    found = PipelineMasklets(finds_a_disc).find(clip(frames=frames), [])

    shown = centers(found, 7)
    assert sorted(shown) == list(frames)
    assert shown[frames.start] == (20, 30)
    assert found.names == {7: "disc"}


def test_an_object_without_a_prompt_can_be_tracked_again_from_its_first_mask():
    (masklet,), frames = label_clip(clip(), PipelineMasklets(finds_a_disc), [], AcceptRules())

    (prompt,) = masklet.prompts
    assert (prompt.frame, prompt.by) == (0, "automatic")
    assert prompt.mask == frames[0].objects[0].segmentation
    assert np.isfinite(masklet.scores["agreement"])
