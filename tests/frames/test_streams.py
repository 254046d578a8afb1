import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.frames.streams import LiveFrames
from tests.video.clip_files import pictures

CLIP = pictures(6, height=12, width=16)
PIXELS = FramePixels(8)


@pytest.fixture
def live():
    """A stream that keeps four frames."""
    return LiveFrames(4, PIXELS)


def test_nothing_is_known_before_the_first_frame(live):
    assert (live.size, live.num_frames, live.fps, live.num_received) == (None, None, None, 0)
    with pytest.raises(FrameError, match="0 frames have come"):
        live.picture(0)


@pytest.mark.parametrize("kind", [np.asarray, Image.fromarray, torch.from_numpy])
def test_appended_frames_are_read_back(live, kind):
    numbers = [live.append(kind(picture)) for picture in CLIP[:3]]

    assert numbers == [0, 1, 2]
    assert live.size == (12, 16)
    assert np.array_equal(live.picture(1), CLIP[1])
    assert torch.equal(live.pixel_values(1), PIXELS.normalize(PIXELS.shrink(CLIP[1])))


def test_the_window_moves_on_and_the_error_says_how_to_widen_it(live):
    for picture in CLIP:
        live.append(picture)

    assert live.kept == [2, 3, 4, 5]
    assert live.num_frames is None
    with pytest.raises(FrameError, match=r"frame 1 has been dropped.*2 to 5.*window=8"):
        live.pixel_values(1)


def test_a_frame_of_another_size_is_refused_and_the_stream_goes_on(live):
    live.append(CLIP[0])

    with pytest.raises(FrameError, match="frame 1 is 20 x 12 pixels"):
        live.append(np.zeros((12, 20, 3), np.uint8))
    assert live.append(CLIP[1]) == 1


def test_what_is_no_picture_is_refused_with_its_number(live):
    with pytest.raises(FrameError, match="frame 0 cannot be read"):
        live.append(np.zeros((12, 20, 7), np.uint8))


def test_prepared_pixel_values_are_kept_as_they_are(live):
    values = torch.randn(3, 8, 8)

    frame = live.append_pixel_values(values, size=(12, 16))

    assert torch.equal(live.pixel_values(frame), values)
    assert live.pixel_values(frame).data_ptr() != values.data_ptr()
    assert live.size == (12, 16)


def test_a_prepared_frame_has_no_picture(live):
    live.append_pixel_values(torch.zeros(3, 8, 8))

    with pytest.raises(FrameError, match="frame 0 came as prepared pixel values only"):
        live.picture(0)


def test_a_prepared_frame_without_a_size_has_that_of_the_frames_before_or_of_the_input(live):
    live.append_pixel_values(torch.zeros(3, 8, 8))
    assert live.size == (8, 8)

    sized = LiveFrames(4, PIXELS)
    sized.append(CLIP[0])
    sized.append_pixel_values(torch.zeros(3, 8, 8))
    assert sized.size == (12, 16)


def test_a_prepared_frame_of_another_original_size_is_refused(live):
    live.append(CLIP[0])

    with pytest.raises(FrameError, match="frame 1 is 30 x 20 pixels"):
        live.append_pixel_values(torch.zeros(3, 8, 8), size=(20, 30))


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (3, 8, 9), (3, 16, 16), (8, 8)])
def test_pixel_values_of_another_shape_are_refused(live, shape):
    with pytest.raises(FrameError, match=r"one frame of input is \(3, 8, 8\)"):
        live.append_pixel_values(torch.zeros(shape))


def test_a_stream_that_belongs_to_no_model_yet_says_so():
    live = LiveFrames()
    live.append(CLIP[0])

    assert np.array_equal(live.picture(0), CLIP[0])
    with pytest.raises(FrameError, match="does not know the model's input size"):
        live.pixel_values(0)


def test_a_stream_goes_on_where_a_saved_one_stopped(live):
    live.go_on_from(100, None)

    assert live.append(CLIP[0]) == 100
    assert np.array_equal(live.picture(100), CLIP[0])


def test_a_stream_reaches_as_far_as_frames_have_come(live):
    for picture in CLIP:
        live.append(picture)

    assert [live.reaches(frame) for frame in (-1, 0, 5, 6)] == [False, True, True, False]


def test_hints_and_times_mean_nothing_to_a_live_stream(live):
    live.append(CLIP[0])
    live.expect(range(100))

    assert live.time(0) is None
    assert live.num_received == 1


def test_a_closed_stream_has_no_frames(live):
    live.append(CLIP[0])

    live.close()
    live.close()

    with pytest.raises(FrameError, match="available: none"):
        live.picture(0)


def test_a_window_without_places_is_refused():
    with pytest.raises(VideoError, match="window of 0"):
        LiveFrames(0)


def test_the_first_float_frame_decides_for_the_stream(live):
    dark = np.zeros((12, 16, 3), np.float32)
    dark[0, 0] = 1

    live.append(CLIP[0].astype(np.float32))
    live.append(dark)

    assert live.picture(1).max() == 1
    assert np.array_equal(live.picture(0), CLIP[0])


def test_a_float_frame_that_does_not_fit_the_first_is_refused(live):
    live.append(CLIP[0].astype(np.float32) / 255)

    with pytest.raises(FrameError, match=r"frame 1 .*0 to 1 was expected.*value_range"):
        live.append(CLIP[1].astype(np.float32))


def test_a_range_makes_a_stream_of_deep_frames_visible():
    live = LiveFrames(4, PIXELS, value_range=(-500, -245))

    for picture in CLIP[:3]:
        live.append(picture.astype(np.int16) - 500)

    assert all(np.array_equal(live.picture(n), CLIP[n]) for n in range(3))
    with pytest.raises(FrameError, match="one type"):
        live.append(CLIP[3])


def test_frames_may_have_numbers_of_the_callers_own(live):
    numbers = [live.append(CLIP[place], number) for place, number in enumerate((0, 4, 2, 4))]

    assert (numbers, live.kept, live.num_received) == ([0, 4, 2, 4], [0, 2, 4], 5)
    assert np.array_equal(live.picture(4), CLIP[3])
    assert [live.may_come(frame) for frame in (0, 1, 3, 4, 7)] == [False, True, True, False, True]
    with pytest.raises(FrameError, match=r"frame 3 is out of range.* 0 to 4, with gaps"):
        live.picture(3)


def test_what_was_dropped_does_not_come_again(live):
    for number in (0, 2, 4, 6, 8, 10):
        live.append(CLIP[0], number)

    assert live.kept == [4, 6, 8, 10]
    assert [live.may_come(frame) for frame in (1, 2, 3, 5)] == [False, False, True, True]
    with pytest.raises(FrameError, match="frame 1 has been dropped"):
        live.picture(1)


@pytest.mark.parametrize("number", [-1, True, "3", 2.0])
def test_what_is_no_number_is_refused(live, number):
    with pytest.raises(FrameError, match=r"-1|whole number"):
        live.append(CLIP[0], number)


def test_a_stream_takes_its_size_from_whoever_tells_it_first():
    stream = LiveFrames(pixels=FramePixels(8), declares_size=True)
    stream.append_pixel_values(torch.zeros(3, 8, 8))

    guessed = stream.size_is_known
    stream.declare_size((40, 60))
    stream.append_pixel_values(torch.zeros(3, 8, 8))

    assert (guessed, stream.size_is_known) == (False, True)
    assert (stream.size, stream.num_received) == ((40, 60), 2)


def test_a_picture_tells_the_size_of_a_stream():
    stream = LiveFrames(pixels=FramePixels(8), declares_size=True)

    stream.append(torch.zeros(3, 40, 60, dtype=torch.uint8))

    assert (stream.size, stream.size_is_known) == ((40, 60), True)


def test_a_stream_of_pictures_shows_its_size_itself():
    stream = LiveFrames(pixels=FramePixels(8))

    assert not stream.declare_size((40, 60))
    assert (stream.size, stream.size_is_known) == (None, True)
