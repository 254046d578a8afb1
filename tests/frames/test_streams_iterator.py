import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.frames.preprocessing import FramePixels
from sam2_hf.frames.streams import StreamedFrames
from tests.video.clip_files import pictures

CLIP = pictures(6, height=12, width=16)
PIXELS = FramePixels(8)


def stream(pictures_given, window=4):
    return StreamedFrames(iter(pictures_given), PIXELS, window=window)


def noting(read):
    for number, picture in enumerate(CLIP):
        read.append(number)
        yield picture


def test_the_iterator_is_read_no_further_than_asked():
    read = []
    frames = StreamedFrames(noting(read), PIXELS, window=4)
    assert read == [0]

    frames.expect(range(6))
    frames.picture(2)

    assert read == [0, 1, 2]
    assert (frames.num_frames, frames.size) == (None, (12, 16))


def test_frames_are_those_of_the_iterator():
    frames = stream(CLIP)

    for number in range(6):
        values = PIXELS.normalize(PIXELS.shrink(CLIP[number]))
        assert np.array_equal(frames.picture(number), CLIP[number])
        assert torch.equal(frames.pixel_values(number), values)


def test_the_number_of_frames_is_known_at_the_end():
    frames = stream(CLIP)

    with pytest.raises(FrameError, match="frame 6 is out of range: the video has 6 frames"):
        frames.picture(6)
    assert frames.num_frames == 6
    assert np.array_equal(frames.picture(5), CLIP[5])


def test_a_stream_is_read_to_find_out_whether_it_reaches_a_frame():
    read = []
    frames = StreamedFrames(noting(read), PIXELS, window=4)

    assert frames.reaches(3)
    assert read == [0, 1, 2, 3]
    assert [frames.reaches(frame) for frame in (6, 5, 0, -1)] == [False, True, True, False]


def test_a_dropped_frame_says_how_to_keep_more():
    frames = stream(CLIP)
    frames.picture(5)

    with pytest.raises(FrameError, match=r"frame 1 has been dropped.*2 to 5.*ring=8"):
        frames.picture(1)


def test_a_reused_buffer_does_not_change_frames_that_were_read():
    def reusing():
        buffer = np.empty_like(CLIP[0])
        for picture in CLIP:
            buffer[:] = picture
            yield buffer

    frames = StreamedFrames(reusing(), PIXELS, window=4)
    frames.picture(3)

    assert np.array_equal(frames.picture(1), CLIP[1])


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [("no picture.jpg", "no image file"), (np.zeros((3, 3, 3)), "3 x 3 pixels")],
)
def test_an_unusable_picture_keeps_its_number(wrong, reason):
    frames = stream([CLIP[0], wrong, CLIP[2]])

    for _ in range(2):
        with pytest.raises(FrameError, match=f"frame 1 .*{reason}"):
            frames.picture(1)
    assert np.array_equal(frames.picture(2), CLIP[2])


def test_an_error_of_the_iterator_is_its_own():
    def failing():
        yield CLIP[0]
        raise ConnectionError("the camera is gone")

    frames = StreamedFrames(failing(), PIXELS, window=4)

    with pytest.raises(ConnectionError, match="camera"):
        frames.picture(1)
    assert np.array_equal(frames.picture(0), CLIP[0])


@pytest.mark.parametrize(("given", "reason"), [([], "no pictures"), ([3], "frame 0 cannot be")])
def test_an_iterator_without_a_first_picture_is_no_video(given, reason):
    with pytest.raises(VideoError, match=reason):
        stream(given)


def test_a_closed_stream_has_no_frames():
    frames = stream(CLIP)

    frames.close()
    frames.close()

    with pytest.raises(FrameError):
        frames.picture(0)
    assert frames.time(0) is None
