"""Frames of model input that another object gives one at a time."""

import pytest
import torch

from sam2_hf import FrameError, VideoError
from sam2_hf.frames.preprocessed import LazyPreparedFrames

SIZE = (40, 60)


class Maker:
    """Makes frames that hold their own number, and notes which."""

    def __init__(self, count):
        self.count, self.made, self.closed = count, [], False

    def __len__(self):
        return self.count

    def __getitem__(self, frame):
        self.made.append(frame)
        return torch.full((3, 8, 8), float(frame), dtype=torch.float64)

    def close(self):
        self.closed = True


def test_a_frame_is_made_when_it_is_read_and_never_kept():
    maker = Maker(1000)
    frames = LazyPreparedFrames(maker, SIZE, 8)

    assert (frames.num_frames, frames.size, maker.made) == (1000, SIZE, [])
    assert frames.pixel_values(7).dtype == torch.float32
    assert frames.pixel_values(7).unique().tolist() == [7.0]
    assert maker.made == [7, 7]


def test_the_original_size_may_be_declared():
    frames = LazyPreparedFrames(Maker(1), SIZE)

    assert frames.declare_size((4, 6))
    assert frames.size == (4, 6)


def test_closing_closes_the_sequence_if_it_can_be():
    maker = Maker(2)

    for images in (maker, [torch.zeros(3, 8, 8)]):
        LazyPreparedFrames(images, SIZE, 8).close()

    assert maker.closed


def test_what_is_no_frame_of_it_is_refused():
    frames = LazyPreparedFrames([torch.zeros(3, 8, 8), torch.zeros(3, 9, 8)], SIZE, 8)

    with pytest.raises(FrameError, match="out of range"):
        frames.pixel_values(2)
    with pytest.raises(FrameError, match=r"\(3, 9, 8\)"):
        frames.pixel_values(1)
    with pytest.raises(FrameError, match="no picture"):
        frames.picture(0)
    with pytest.raises(VideoError, match="empty sequence"):
        LazyPreparedFrames([], SIZE)
