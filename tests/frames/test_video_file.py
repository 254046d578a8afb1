import random

import av
import numpy as np
import pytest
from PIL import Image

from sam2_hf.frames.video_file import VideoFile
from tests.video.clip_files import (
    H264,
    LOSSLESS,
    decode_in_order,
    patch_edit_list,
    patch_matrix,
    pictures,
    write_clip,
)

KINDS = {
    "a.mp4": H264,
    "a.mkv": H264,
    "a.avi": H264,
    "a.ts": H264,
    "a.h264": H264,
    "a.mov": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "b.avi": {"codec": "mpeg4", "options": {"g": "12"}},
    "a.webm": {"codec": "libvpx", "options": {"lag-in-frames": "16", "auto-alt-ref": "1"}},
    "b.webm": {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16", "g": "12"}},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
}


@pytest.fixture
def read():
    """Read one frame of a file: the two steps that a ring does in threads."""
    return lambda video, frame: video.take(frame)()


@pytest.fixture(scope="module", params=KINDS)
def kind(request, tmp_path_factory):
    """A file of each kind, and its frames decoded in order."""
    path = tmp_path_factory.mktemp("kinds") / request.param
    write_clip(path, pictures(40), **KINDS[request.param])
    return path, decode_in_order(path)


def test_every_kind_of_file_has_its_frames_in_the_order_they_are_shown(kind, read):
    path, frames = kind

    video = VideoFile(path)

    assert video.num_frames == len(frames) == 40
    assert all(np.array_equal(read(video, n), frame) for n, frame in enumerate(frames))


def test_a_frame_is_the_same_whichever_way_one_comes_to_it(kind, read):
    path, frames = kind
    video = VideoFile(path, keep=5)
    anywhere = random.Random(0).choices(range(40), k=40)

    for number in [*range(39, -1, -1), *anywhere, *range(0, 40, 3)]:
        assert np.array_equal(read(video, number), frames[number]), number


def test_a_group_of_frames_is_decoded_a_few_times_going_backward_not_once_a_frame(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(60), codec="libx264", options={"g": "60"})
    video = VideoFile(path, keep=16)
    decoded = []
    frames_of = video._decoder._frames_of
    video._decoder._frames_of = lambda packet: decoded.append(1) or frames_of(packet)

    for number in range(59, -1, -1):
        video.take(number)

    assert len(decoded) < 4 * 62  # 60 frames in chunks of 16 + 1, each from the one key frame


def test_a_far_frame_is_reached_from_its_key_frame(tmp_path):
    video = VideoFile(write_clip(tmp_path / "a.mp4", pictures(60), **H264))
    decoded = []
    frames_of = video._decoder._frames_of
    video._decoder._frames_of = lambda packet: decoded.append(1) or frames_of(packet)

    video.take(50)

    assert len(decoded) < 25


@pytest.mark.parametrize("ending", ["mkv", "mp4"])
def test_frames_keep_their_times_where_the_rate_varies(tmp_path, ending, read):
    times = [0, 40, 50, 200, 1000, 1010]
    path = write_clip(tmp_path / f"a.{ending}", pictures(6), times=times, **LOSSLESS)

    video = VideoFile(path)

    assert [round(1000 * video.time(frame)) for frame in range(6)] == times
    assert [read(video, frame)[0, 0, 0] for frame in range(6)] == list(range(6))
    assert float(video.fps) == pytest.approx(5 / 1.01, rel=1e-3)


def test_a_steady_rate_is_exact(tmp_path):
    video = VideoFile(write_clip(tmp_path / "a.mkv", pictures(10)))

    assert video.fps == 30  # although the container rounds times to milliseconds
    assert video.time(9) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((1, 0, 0, 1), lambda picture: picture),
        ((0, 1, -1, 0), lambda picture: np.rot90(picture, -1)),
        ((-1, 0, 0, -1), lambda picture: np.rot90(picture, 2)),
        ((0, -1, 1, 0), lambda picture: np.rot90(picture, 1)),
        ((-1, 0, 0, 1), lambda picture: picture[:, ::-1]),
    ],
    ids=["upright", "clockwise", "upside down", "counterclockwise", "mirrored"],
)
def test_a_phone_video_is_turned_upright(tmp_path, matrix, turn, read):
    clip = pictures(3)
    path = write_clip(tmp_path / "a.mp4", clip, **LOSSLESS)
    patch_matrix(path, matrix)

    video = VideoFile(path)

    assert video.size == turn(clip[0]).shape[:2]
    assert np.array_equal(read(video, 2), turn(clip[2]))


def test_a_trimmed_video_has_only_the_frames_that_a_player_shows(tmp_path, read):
    path = write_clip(tmp_path / "a.mp4", pictures(40), **H264)
    patch_edit_list(path, skipped_ticks=5 * 512, duration_ms=500)  # 512 ticks a frame

    video = VideoFile(path)

    shown = decode_in_order(path)
    assert video.num_frames == len(shown) == 15
    assert all(np.array_equal(read(video, n), shown[n]) for n in (14, 7, 0))


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("mpeg4", "yuv420p"), ("libx264", "yuv444p"), ("png", "rgb24")]
)
def test_odd_sizes_stay_odd(tmp_path, codec, pix_fmt, read):
    clip = pictures(2, height=97, width=131)
    path = write_clip(tmp_path / "a.mov", clip, codec=codec, pix_fmt=pix_fmt)

    video = VideoFile(path)

    assert video.size == (97, 131)
    assert read(video, 1).shape == (97, 131, 3)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray16le"])
def test_gray_frames_become_rgb(tmp_path, pix_fmt, read):
    gray = np.full((2, 20, 30, 3), 90, np.uint8)

    video = VideoFile(write_clip(tmp_path / "a.mkv", gray, pix_fmt=pix_fmt))

    assert np.abs(read(video, 1).astype(int) - 90).max() <= 1


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("png", "rgba"), ("qtrle", "argb"), ("prores_ks", "yuva444p10le")]
)
def test_transparency_is_laid_on_white(tmp_path, codec, pix_fmt, read):
    clip = np.full((1, 20, 30, 4), (200, 0, 0, 255), np.uint8)
    clip[:, 10:, :, 3] = 0
    path = write_clip(tmp_path / "a.mov", clip, codec=codec, pix_fmt=pix_fmt, given="rgba")

    picture = read(VideoFile(path), 0).astype(int)

    assert np.abs(picture[:9] - (200, 0, 0)).max() <= 3
    assert (picture[11:] == 255).all()


def test_a_gif_with_a_palette_and_a_see_through_color_is_read(tmp_path, read):
    frames = [Image.new("RGBA", (30, 20), (shade, 0, 0, 255)) for shade in (0, 120, 255)]
    for frame in frames:
        frame.paste((0, 0, 0, 0), (0, 0, 10, 20))
    path = tmp_path / "a.gif"
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=[50, 300, 50], disposal=2
    )

    video = VideoFile(path)

    assert [tuple(read(video, n)[10, 20]) for n in range(3)] == [
        (0, 0, 0),
        (120, 0, 0),
        (255, 0, 0),
    ]
    assert tuple(read(video, 1)[10, 5]) == (255, 255, 255)
    assert [round(100 * video.time(n)) for n in range(3)] == [0, 5, 35]


@pytest.mark.parametrize(("space", "number"), [("itu709", 1), ("itu601", 6)])
def test_colors_follow_the_color_space_of_the_file(tmp_path, space, number, read):
    red = np.full((32, 32, 3), (200, 60, 30), np.uint8)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"qp": "1"})
        stream.height, stream.width, stream.pix_fmt = 32, 32, "yuv444p"
        stream.codec_context.colorspace = number
        frame = av.VideoFrame.from_ndarray(red, format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace=space)))
        container.mux(stream.encode())

    picture = read(VideoFile(path), 0).astype(int)

    assert np.abs(picture - red).max() <= 2


def test_opening_two_thousand_frames_decodes_one(tmp_path):
    clip = np.repeat(pictures(20, height=16, width=16), 100, axis=0)
    path = write_clip(tmp_path / "a.mp4", clip, codec="libx264", options={"preset": "ultrafast"})

    video = VideoFile(path)

    assert video.num_frames == 2000
    assert video._decoder._next == 1
