import pytest

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.frames.base import Frames, check_range


@pytest.mark.parametrize("frame", [-1, 3, 100])
def test_a_frame_out_of_range_is_refused_with_the_range(frame):
    with pytest.raises(FrameError, match=rf"frame {frame} is out of range: a\.mp4 has 3 .* 0 to 2"):
        check_range(frame, 3, "a.mp4")


def test_a_frame_in_range_is_fine():
    assert [check_range(frame, 3, "a.mp4") for frame in range(3)] == [None] * 3


@pytest.fixture
def video():
    """Frames without a method of their own."""
    methods = dict.fromkeys(["time", "picture", "pixel_values", "expect", "close"])
    frames = type("Kind", (Frames,), methods)()
    frames.size, frames.num_frames = (48, 64), 20
    return frames


def test_a_video_is_no_live_stream(video):
    assert (video.is_live, video.num_received, video.known_size) == (False, None, (48, 64))
    assert list(video.numbers) == list(range(20))
    assert not video.declare_size((1, 1))


def test_a_video_takes_no_frames_and_goes_on_from_none(video):
    with pytest.raises(SessionError, match=r"use session\.propagate\(\)"):
        video.append(None)
    with pytest.raises(SessionError, match="frame 3"):
        video.go_on_from(3, None)


@pytest.mark.parametrize(
    ("num_frames", "expected"), [(20, [0, 4, 9, 14, 19]), (3, [0, 1, 2]), (1, [0]), (None, [])]
)
def test_a_video_is_recognized_by_frames_that_are_spread_evenly(video, num_frames, expected):
    video.num_frames = num_frames

    assert video.comparable_frames(5) == expected


def test_frames_are_closed_at_the_end_of_a_with_block_also_after_an_error():
    closed = []
    methods = dict.fromkeys(["time", "picture", "pixel_values", "expect"])
    kind = type("Kind", (Frames,), {**methods, "close": lambda self: closed.append(self)})

    with pytest.raises(ZeroDivisionError), kind() as frames:
        raise ZeroDivisionError

    assert closed == [frames]
