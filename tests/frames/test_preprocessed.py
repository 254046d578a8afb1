"""Frames that are model input already."""

import pytest
import torch

from sam2_hf import FrameError, VideoError
from sam2_hf.frames.preprocessed import PreparedFrames, one_frame


def numbered(count):
    """Frames that hold their own number."""
    return torch.arange(float(count))[:, None, None, None].expand(count, 3, 8, 8).clone()


def test_frames_are_handed_out_in_float32_as_they_are():
    frames = PreparedFrames(numbered(3).to(torch.bfloat16))

    assert (frames.num_frames, frames.size) == (3, (8, 8))
    assert frames.pixel_values(2).dtype == torch.float32
    assert frames.pixel_values(2).unique().tolist() == [2.0]


def test_the_original_size_may_be_declared():
    frames = PreparedFrames(numbered(1))

    frames.declare_size((40, 60))

    assert frames.size == (40, 60)


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 1, 8, 8), (2, 3, 8, 9), (0, 3, 8, 8)])
def test_what_is_no_prepared_video_is_refused(shape):
    with pytest.raises(VideoError, match="prepared frames are"):
        PreparedFrames(torch.zeros(shape))


def test_a_frame_is_appended_or_replaced():
    frames = PreparedFrames(numbered(2))

    appended = frames.put(torch.full((3, 8, 8), 7.0))
    replaced = frames.put(torch.full((3, 8, 8), 9.0), 0)

    assert (appended, replaced, frames.num_frames) == (2, 0, 3)
    assert [frames.pixel_values(number)[0, 0, 0].item() for number in range(3)] == [9, 1, 7]


@pytest.mark.parametrize(
    ("shape", "number", "message"),
    [((3, 4, 4), None, "the frames before are"), ((3, 8, 8), -1, "out of range")],
)
def test_a_frame_of_another_size_or_before_the_first_is_refused(shape, number, message):
    with pytest.raises(FrameError, match=message):
        PreparedFrames(numbered(2)).put(torch.zeros(shape), number)


@pytest.mark.parametrize("read", ["pixel_values", "time"])
def test_a_frame_beyond_the_end_is_refused(read):
    with pytest.raises(FrameError, match="frame 3 is out of range"):
        getattr(PreparedFrames(numbered(3)), read)(3)


def test_there_is_no_picture_of_a_prepared_frame():
    with pytest.raises(FrameError, match="no picture of it"):
        PreparedFrames(numbered(1)).picture(0)


def test_closed_frames_are_gone():
    frames = PreparedFrames(numbered(2))

    frames.close()
    frames.close()

    assert frames.num_frames == 0


def test_one_frame_of_a_batch_is_taken_out():
    assert one_frame(torch.zeros(1, 3, 8, 8)).shape == (3, 8, 8)
    assert one_frame(torch.zeros(3, 8, 8)).shape == (3, 8, 8)


def test_several_frames_at_once_are_refused():
    with pytest.raises(FrameError, match=r"shape \(2, 3, 8, 8\)"):
        one_frame(torch.zeros(2, 3, 8, 8))
