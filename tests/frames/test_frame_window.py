import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.frames.frame_window import FrameWindow, ReceivedFrame
from tests.video.clip_files import pictures

CLIP = pictures(6, height=4, width=8)


@pytest.fixture
def window():
    """Three places, six frames."""
    window = FrameWindow(3, advice="Ask for more.")
    for picture in CLIP:
        window.add_picture(picture)
    return window


def test_the_last_frames_are_kept_and_numbered_from_the_start(window):
    assert window.kept == [3, 4, 5]
    assert window.num_received == 6
    assert [window.get(frame).picture_hw3[0, 0, 0] for frame in window.kept] == [3, 4, 5]


def test_a_dropped_frame_says_which_ones_are_there_and_how_to_keep_more(window):
    with pytest.raises(FrameError, match=r"frame 2 has been dropped.*: 3 to 5\. Ask for more\."):
        window.get(2)


@pytest.mark.parametrize("frame", [6, -1])
def test_a_frame_that_has_not_come_is_out_of_range(window, frame):
    with pytest.raises(FrameError, match=rf"frame {frame} is out of range: 6 frames .* 3 to 5"):
        window.get(frame)


def test_an_empty_window_has_nothing():
    with pytest.raises(FrameError, match=r"0 frames have come so far\. .* available: none"):
        FrameWindow(3, advice="").get(0)


def test_a_frame_of_another_size_is_refused_with_both_sizes(window):
    with pytest.raises(
        FrameError, match="frame 6 is 9 x 4 pixels, but the frames before are 8 x 4"
    ):
        window.add_picture(np.zeros((4, 9, 3), np.uint8))
    assert window.num_received == 6


def test_pictures_are_copied_because_cameras_reuse_their_memory():
    window, picture = FrameWindow(3, advice=""), CLIP[1].copy()
    window.add_picture(picture)

    picture[:] = 0

    assert np.array_equal(window.get(0).picture_hw3, CLIP[1])


def test_a_cleared_window_goes_on_counting(window):
    window.clear()

    assert window.add(ReceivedFrame(pixel_values_3ss=torch.zeros(3, 2, 2)), (4, 8)) == 6
    assert window.kept == [6]


def test_a_window_goes_on_from_frames_that_another_one_had():
    window = FrameWindow(3, advice="Ask for more.")
    window.go_on_from(20, None)

    assert window.add_picture(CLIP[0]) == 20
    with pytest.raises(FrameError, match="frame 19 has been dropped"):
        window.get(19)


def test_a_window_with_frames_cannot_go_on_from_others(window):
    with pytest.raises(FrameError, match="6 frames already"):
        window.go_on_from(20, None)


def test_a_window_without_places_is_refused():
    with pytest.raises(VideoError, match="window of 0 frames"):
        FrameWindow(0, advice="")
