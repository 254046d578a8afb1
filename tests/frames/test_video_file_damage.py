import sys

import av
import numpy as np
import pytest

from sam2_hf.errors import FrameError, MissingPackageError, VideoError
from sam2_hf.frames.video_file import VideoFile
from tests.video.clip_files import H264, decode_in_order, pictures, write_clip


@pytest.fixture
def read():
    """Read one frame of a file: the two steps that a ring does in threads."""
    return lambda video, frame: video.take(frame)()


@pytest.fixture
def cut_off(tmp_path):
    """An mp4 of 60 frames that ends in the middle, and the frames that were in it."""
    path = tmp_path / "cut.mp4"
    write_clip(path, pictures(60), **H264, container={"movflags": "faststart"})
    frames = decode_in_order(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    return path, frames


def test_a_cut_off_file_gives_every_frame_before_the_cut(cut_off, read):
    path, frames = cut_off

    video = VideoFile(path)

    num_readable = video._index.num_readable
    assert video.num_frames == 60
    assert 25 < num_readable < 45
    assert all(np.array_equal(read(video, n), frames[n]) for n in range(num_readable))


def test_a_frame_after_the_cut_is_named_with_its_file(cut_off):
    path, _ = cut_off
    video = VideoFile(path)

    with pytest.raises(FrameError, match=r"frame 59 of .*cut\.mp4 .* cut off.* of its 60 frames"):
        video.take(59)
    assert video.time(59) is None


def test_a_damaged_place_costs_its_frames_only(tmp_path, read):
    clip = pictures(30)
    path = write_clip(tmp_path / "a.mov", clip, codec="png", pix_fmt="rgb24")
    data = bytearray(path.read_bytes())
    places = [n for n in range(len(data)) if data[n : n + 4] == b"\x89PNG"]
    data[places[10] : places[10] + 40] = bytes(40)
    path.write_bytes(data)
    video = VideoFile(path)

    with pytest.raises(FrameError, match=r"frame 10 of .*a\.mov cannot be decoded"):
        video.take(10)
    assert all(np.array_equal(read(video, n), clip[n]) for n in (9, 11, 29))


def write_song(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        sound = np.zeros((1, 16000), np.float32)
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("empty.mp4", lambda path: path.write_bytes(b"")),
        ("text.mp4", lambda path: path.write_text("no video at all\n" * 100)),
        ("notes.txt", lambda path: path.write_text("no video at all\n" * 100)),
        ("song.mp4", write_song),
        ("list.mp4", lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nhttp://a.invalid/b.ts\n")),
    ],
)
def test_what_is_no_video_is_refused_by_name(tmp_path, name, write):
    write(tmp_path / name)

    with pytest.raises(VideoError, match=name):
        VideoFile(tmp_path / name)


def test_a_codec_that_nobody_knows_is_refused(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(3), **H264)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))

    with pytest.raises(VideoError, match="codec that PyAV cannot decode"):
        VideoFile(path)


def test_a_file_without_its_header_is_refused(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(30), **H264)  # the header is at the end
    path.write_bytes(path.read_bytes()[:-2000])

    with pytest.raises(VideoError, match="cannot be read as a video"):
        VideoFile(path)


def test_a_file_cut_before_its_first_frame_is_refused(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(9), **H264, container={"movflags": "faststart"})
    path.write_bytes(path.read_bytes()[: path.read_bytes().index(b"mdat") + 10])

    with pytest.raises(VideoError, match="no frames that can be read"):
        VideoFile(path)


def test_without_pyav_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(MissingPackageError, match=r"pip install 'sam2-hf\[video\]'"):
        VideoFile(tmp_path / "a.mp4")
