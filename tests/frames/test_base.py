import pytest

from sam2_hf.errors import FrameError
from sam2_hf.frames.base import Frames, check_range


@pytest.mark.parametrize("frame", [-1, 3, 100])
def test_a_frame_out_of_range_is_refused_with_the_range(frame):
    with pytest.raises(FrameError, match=rf"frame {frame} is out of range: a\.mp4 has 3 .* 0 to 2"):
        check_range(frame, 3, "a.mp4")


def test_a_frame_in_range_is_fine():
    assert [check_range(frame, 3, "a.mp4") for frame in range(3)] == [None] * 3


def test_frames_are_closed_at_the_end_of_a_with_block_also_after_an_error():
    closed = []
    methods = dict.fromkeys(["time", "picture", "pixel_values", "expect"])
    kind = type("Kind", (Frames,), {**methods, "close": lambda self: closed.append(self)})

    with pytest.raises(ZeroDivisionError), kind() as frames:
        raise ZeroDivisionError

    assert closed == [frames]
