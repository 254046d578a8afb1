"""Frames of another owner: read as they are, for another input size, and left open."""

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError
from sam2_hf.frames.borrowed import borrow_frames
from sam2_hf.frames.open import open_frames
from sam2_hf.frames.preprocessed import PreparedFrames
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.video.video_processing_sam2_video import Sam2VideoVideoProcessor
from tests.drawn_video import noise_clip

CLIP = noise_clip(3)


def test_they_are_resized_for_the_borrower_and_stay_open():
    with open_frames(CLIP, image_size=32) as owned:
        with borrow_frames(owned, image_size=64) as frames, open_frames(CLIP, image_size=64) as own:
            assert (frames.size, frames.num_frames) == ((48, 72), 3)
            assert torch.equal(frames.pixel_values(1), own.pixel_values(1))
            with pytest.raises(FrameError, match="out of range"):
                frames.require(3)

        np.testing.assert_array_equal(owned.picture(2), CLIP[2])
        assert owned.pixel_values(1).shape == (3, 32, 32)


def test_a_stream_keeps_its_input_size():
    stream = LiveFrames(pixels=FramePixels(32))
    stream.append(CLIP[0])

    with borrow_frames([stream], image_size=64) as frames:
        assert frames.pixel_values(0).shape == (3, 64, 64)
        with pytest.raises(FrameError, match="frame 1"):
            frames.require(1)

    assert stream.pixel_values(0).shape == (3, 32, 32)


def test_frames_that_came_as_model_input_are_read_at_their_size_only():
    values = torch.randn(2, 3, 64, 64)
    owned = PreparedFrames(values)

    assert torch.equal(borrow_frames(owned, image_size=64).pixel_values(1), values[1])
    with pytest.raises(FrameError, match="frame 1"):
        borrow_frames(owned, image_size=32).pixel_values(1)


def test_what_is_opened_for_it_is_closed():
    with borrow_frames(CLIP, image_size=64) as frames:
        np.testing.assert_array_equal(frames.picture(0), CLIP[0])

    with pytest.raises(Exception, match="closed"):
        frames.picture(1)


def test_the_video_processor_leaves_frames_open():
    with open_frames(CLIP, image_size=32) as owned:
        Sam2VideoVideoProcessor()(owned)

        np.testing.assert_array_equal(owned.picture(2), CLIP[2])
