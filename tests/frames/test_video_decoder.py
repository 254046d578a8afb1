import av
import numpy as np
import pytest

from sam2_hf.frames.video_decoder import FAR_AHEAD, VideoDecoder, build_index
from tests.video.clip_files import H264, decode_in_order, pictures, write_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A file of 60 frames in groups of 12, and its frames."""
    path = write_clip(tmp_path_factory.mktemp("decoder") / "a.ts", pictures(60), **H264)
    return path, decode_in_order(path)


class Opener:
    """Opens a file, and counts how often."""

    def __init__(self, path):
        self.path, self.count = path, 0

    def __call__(self):
        self.count += 1
        container = av.open(str(self.path))
        return container, container.streams.video[0]


def open_decoder(path, keep=8):
    opener = Opener(path)
    container, stream = opener()
    with container:
        index = build_index(container.demux(stream), num_declared=0, timed=True)
    return VideoDecoder(opener, index, keep=keep, errors=av.FFmpegError), opener


def pixels(decoded):
    return decoded.to_ndarray(format="rgb24")


def test_frames_in_order_are_decoded_without_seeking(clip):
    path, frames = clip
    decoder, _ = open_decoder(path)
    decoder._start = None  # calling it would fail

    assert all(np.array_equal(pixels(decoder.decode(n)), frames[n]) for n in range(60))


def test_a_near_frame_is_decoded_up_to(clip):
    path, frames = clip
    decoder, _ = open_decoder(path)
    decoder._start = None

    assert np.array_equal(pixels(decoder.decode(FAR_AHEAD)), frames[FAR_AHEAD])


def test_a_seek_that_lands_too_late_is_made_again(clip):
    """In this container, seeking by the time of showing finds the key frame after."""
    path, frames = clip
    decoder, opener = open_decoder(path)

    for number in (40, 15, 59, 12, 11, 0):
        assert np.array_equal(pixels(decoder.decode(number)), frames[number])
    assert opener.count == 2


def test_where_seeking_fails_all_is_decoded_from_the_beginning(clip):
    path, frames = clip
    decoder, opener = open_decoder(path)
    decoder._try_start = lambda time, key: False

    assert np.array_equal(pixels(decoder.decode(50)), frames[50])
    assert np.array_equal(pixels(decoder.decode(20)), frames[20])
    assert opener.count == 4


def test_passed_frames_are_bounded_and_forgotten_going_forward(clip):
    path, _ = clip
    decoder, _ = open_decoder(path, keep=5)
    decoder.decode(11)
    assert [number for number, _ in decoder._passed] == [6, 7, 8, 9, 10]

    decoder.decode(12)

    assert not decoder._passed


def test_a_frame_that_does_not_come_out_is_none_and_the_next_is_there(clip):
    path, frames = clip
    decoder, _ = open_decoder(path)
    frames_of = decoder._frames_of
    lost = decoder._index.pts[5]
    decoder._frames_of = lambda packet: [one for one in frames_of(packet) if one.pts != lost]

    assert decoder.decode(5) is None
    assert np.array_equal(pixels(decoder.decode(6)), frames[6])
    assert decoder.decode(5) is None


def test_the_last_frame_that_does_not_come_out_is_none(clip):
    path, frames = clip
    decoder, _ = open_decoder(path)
    frames_of = decoder._frames_of
    lost = decoder._index.pts[59]
    decoder._frames_of = lambda packet: [one for one in frames_of(packet) if one.pts != lost]

    assert decoder.decode(59) is None
    assert np.array_equal(pixels(decoder.decode(58)), frames[58])


def test_closing_can_be_repeated(clip):
    decoder, _ = open_decoder(clip[0])

    decoder.close()
    decoder.close()

    assert decoder.decode(0) is None
