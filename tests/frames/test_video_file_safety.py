"""What a file that calls itself a video may not do: open other files, wait, fill the memory."""

import os
import socket
import threading

import av
import pytest

from sam2_hf.errors import FrameError, ImageError, VideoError
from sam2_hf.frames.open import open_frames
from sam2_hf.frames.video_file import CONTAINERS, VideoFile
from tests.video.clip_files import LOSSLESS, pictures, write_clip


@pytest.fixture
def secret(tmp_path):
    """A video that only the owner of the disk should see."""
    (tmp_path / "private").mkdir()
    return write_clip(tmp_path / "private" / "secret.mp4", pictures(3), **LOSSLESS)


HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{}\n#EXT-X-ENDLIST\n"
MPD = """<?xml version="1.0"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT1S"
 profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp4">
<Representation id="1" bandwidth="1"><BaseURL>{}</BaseURL></Representation></AdaptationSet>
</Period></MPD>"""
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n"
LISTS = {
    "hls": HLS,
    "concat": "ffconcat version 1.0\nfile '{}'\n",
    "dash": MPD,
    "sdp": SDP,
    "subtitles": "1\n00:00:00,000 --> 00:00:01,000\n{}\n",
    "text": "{}\n" * 40,
}


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("ending", ["m3u8", "ffconcat", "mpd", "sdp", "txt", "mp4", "mkv", "ts"])
def test_a_play_list_opens_no_other_file(secret, tmp_path, kind, ending):
    for target in (secret, f"file://{secret}", secret.relative_to(tmp_path)):
        path = tmp_path / f"list.{ending}"
        path.write_text(LISTS[kind].replace("{}", str(target)))

        with pytest.raises(VideoError, match=f"list.{ending}"):
            VideoFile(path)


def test_a_play_list_under_another_name_opens_no_other_file(secret, tmp_path):
    (tmp_path / "list.m3u8").write_text(HLS.format(secret))
    (tmp_path / "film.mp4").symlink_to(tmp_path / "list.m3u8")

    with pytest.raises(VideoError, match=r"film\.mp4"):
        VideoFile(tmp_path / "film.mp4")


def test_a_play_list_calls_nobody(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        (tmp_path / "list.m3u8").write_text(HLS.format(address))

        with pytest.raises(VideoError):
            VideoFile(tmp_path / "list.m3u8")
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_reference_in_a_movie_is_not_followed(secret, tmp_path):
    """QuickTime may name another file as the place of its data: alias `dref`, with a path."""
    path = write_clip(tmp_path / "a.mov", pictures(3), codec="png", pix_fmt="rgb24")
    data = path.read_bytes()
    assert data.count(b"url \x00\x00\x00\x01") >= 1
    path.write_bytes(data.replace(b"url \x00\x00\x00\x01", b"url \x00\x00\x00\x00"))

    try:
        frame = VideoFile(path).take(0)()
    except (VideoError, FrameError):
        return
    assert frame.shape == (48, 64, 3)  # its own data


def test_a_pattern_of_names_is_the_name_of_one_file(tmp_path):
    for number in range(2):
        (tmp_path / f"a{number}.dpx").write_bytes(b"")

    with pytest.raises(VideoError, match="no video file"):
        open_frames(tmp_path / "a%d.dpx", image_size=16)
    with pytest.raises(VideoError, match="no video file"):
        open_frames(f"concat:{tmp_path}/a0.dpx|{tmp_path}/a1.dpx", image_size=16)


@pytest.mark.parametrize("name", CONTAINERS)
def test_every_kind_that_is_allowed_is_one_that_ffmpeg_reads_from_one_file(name):
    several = {"hls", "dash", "concat", "concatf", "image2", "sdp", "rtsp", "vobsub", "imf", "tty"}

    assert name not in several
    assert not name.startswith(("webm_dash", "lavfi", "x11", "fbdev", "v4l", "alsa"))


@pytest.mark.parametrize("name", ["pipe.mp4", "pipe.tif", "pipe"])
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    done = threading.Event()

    def open_it():
        with pytest.raises(VideoError, match="pipe or a device"):
            open_frames(tmp_path / name, image_size=16)
        done.set()

    thread = threading.Thread(target=open_it, daemon=True)
    thread.start()

    assert done.wait(10)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(path):
    with pytest.raises(VideoError, match="pipe or a device"):
        open_frames(path, image_size=16)


def test_a_pipe_in_a_folder_is_a_frame_that_cannot_be_read(tmp_path):
    for number, picture in enumerate(pictures(2)):
        av.VideoFrame.from_ndarray(picture, format="rgb24").to_image().save(
            tmp_path / f"{number}.png"
        )
    os.mkfifo(tmp_path / "2.png")

    with (
        open_frames(tmp_path, image_size=16) as frames,
        pytest.raises(FrameError, match="pipe or a device"),
    ):
        frames.picture(2)


def test_a_video_whose_frames_would_fill_the_memory_is_refused(tmp_path):
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W60000 H60000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000))

    with pytest.raises(VideoError, match=r"a\.y4m"):
        VideoFile(path)


def test_a_video_says_its_size_before_a_frame_is_decoded(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", pictures(2), **LOSSLESS)
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)

    with pytest.raises((VideoError, ImageError), match=r"a\.mp4"):
        VideoFile(path)
