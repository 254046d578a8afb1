"""Files whose times do not tell their frames apart, and streams that seeking alone gets wrong."""

import random
from fractions import Fraction

import av
import numpy as np
import pytest

from sam2_hf.errors import VideoError
from sam2_hf.frames import video_file
from sam2_hf.frames.open import open_frames
from sam2_hf.frames.video_decoder import VideoIndex
from sam2_hf.frames.video_file import VideoFile
from tests.video.clip_files import H264, LOSSLESS, decode_in_order, pictures, write_clip

MILLISECOND = Fraction(1, 1000)


def write_packets(path, clip, times):
    """Write lossless frames whose packets have these times, in ms, in this order."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *clip[0].shape[:2], "bgr0"
        packets = []
        for number, picture in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")
            frame.pts = number
            packets += stream.encode(frame)
        for packet, time in zip([*packets, *stream.encode()], times, strict=True):
            packet.pts, packet.dts, packet.time_base = time, time, MILLISECOND
            container.mux(packet)
    return path


def append(path, *parts):
    """Write files one after the other into one, as recorders and `cat` do."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def require_frames(path, frames):
    """Read every frame forward, backward and at random."""
    video = VideoFile(path, keep=5)
    assert video.num_frames == len(frames)
    numbers = range(len(frames))
    anywhere = random.Random(0).choices(numbers, k=20)
    for number in [*numbers, *reversed(numbers), *anywhere]:
        assert np.array_equal(video.take(number)(), frames[number]), number
    video.close()


def test_frames_that_share_a_time_are_all_there(tmp_path):
    """Matroska counts ms, so 2,000 frames a second lie two by two."""
    clip = pictures(24)

    require_frames(write_packets(tmp_path / "a.mkv", clip, [n // 2 for n in range(24)]), clip)


def test_a_time_that_jumps_back_begins_nothing_anew(tmp_path):
    clip = pictures(12)
    times = [*range(1000, 1240, 40), *range(20, 260, 40)]

    path = write_packets(tmp_path / "a.nut", clip[:6], times[:6])
    other = write_packets(tmp_path / "b.nut", clip[6:], times[6:])

    require_frames(append(tmp_path / "c.nut", path, other), clip)


@pytest.mark.parametrize("ending", ["mkv", "ts", "mpg", "h264", "avi"])
def test_a_recording_that_is_appended_to_another_follows_it(tmp_path, ending):
    codec = {"mpg": {"codec": "mpeg2video"}, "avi": {"codec": "mpeg4"}}.get(ending, H264)
    first = write_clip(tmp_path / f"a.{ending}", pictures(30), **codec)
    second = write_clip(tmp_path / f"b.{ending}", pictures(30)[::-1], **codec)
    path = append(tmp_path / f"both.{ending}", first, second)

    frames = decode_in_order(path)

    assert len(frames) == 60
    require_frames(path, frames)


def test_a_file_without_times_of_its_own_plays_at_its_stated_rate(tmp_path):
    path = write_packets(tmp_path / "a.mkv", pictures(10), [n // 2 for n in range(10)])

    video = VideoFile(path)

    assert video.fps == 25
    assert [video.time(frame) for frame in (0, 5)] == [0, 0.2]


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
def test_a_stream_that_is_refreshed_bit_by_bit_gives_the_same_frame_from_everywhere(
    tmp_path, ending
):
    """Its key frames are no whole pictures: decoding from one gives nothing, then nearly right."""
    options = {"g": "12", "bf": "0", "x264-params": "intra-refresh=1"}
    clip = np.stack([np.roll(pictures(1, 96, 160)[0], 3 * n, axis=1) for n in range(48)])
    path = write_clip(tmp_path / f"a.{ending}", clip, codec="libx264", options=options)

    require_frames(path, decode_in_order(path))


def test_an_open_group_and_interlaced_frames_are_complete(tmp_path):
    open_group = {"g": "12", "bf": "2", "x264-params": "open-gop=1"}
    interlaced = {"g": "12", "bf": "2", "flags": "+ilme+ildct"}
    for name, options in (("open.ts", open_group), ("fields.ts", interlaced)):
        path = write_clip(tmp_path / name, pictures(40), codec="libx264", options=options)

        require_frames(path, decode_in_order(path))


def test_of_several_videos_it_is_the_one_that_ffmpeg_calls_best(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("ffv1", rate=25) for _ in range(2)]
        for stream, side, default in zip(streams, (32, 64), (0, 1), strict=True):
            stream.height, stream.width, stream.pix_fmt = side, side, "bgr0"
            stream.disposition = type(stream.disposition)(default)
        for number in range(8):
            for stream, side in zip(streams, (32, 64), strict=True):
                gray = np.full((side, side, 3), number, np.uint8)
                frame = av.VideoFrame.from_ndarray(gray, format="rgb24").reformat(format="bgr0")
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode())

    video = VideoFile(path)

    assert (video.size, video.num_frames) == ((64, 64), 8)


def test_a_lost_packet_in_the_middle_costs_no_frame_at_the_end(tmp_path):
    whole = write_clip(tmp_path / "a.ts", pictures(40), **H264).read_bytes()
    cells = [whole[at : at + 188] for at in range(0, len(whole), 188)]
    del cells[len(cells) // 2]
    (tmp_path / "b.ts").write_bytes(b"".join(cells))

    video = VideoFile(tmp_path / "b.ts")

    assert (video.num_frames, video._index.num_readable) == (40, 40)
    assert np.array_equal(video.take(39)(), decode_in_order(tmp_path / "b.ts")[-1])


def test_deep_gray_frames_are_stretched_on_request(tmp_path):
    deep = np.stack([np.full((20, 30), 1000 * n, np.uint16) for n in range(4)])
    path = write_clip(tmp_path / "a.mkv", deep, pix_fmt="gray16le", given="gray16le")

    with open_frames(path, image_size=16, value_range=(0, 4000)) as frames:
        assert [frames.picture(n).max() for n in range(4)] == [0, 64, 128, 191]
    with open_frames(path, image_size=16) as frames:
        assert frames.picture(3).max() <= 12


def test_a_color_video_says_itself_what_is_white(tmp_path):
    path = write_clip(tmp_path / "a.mp4", pictures(2), **LOSSLESS)

    with pytest.raises(VideoError, match="Leave value_range out"):
        open_frames(path, image_size=16, value_range=(0, 4095))


def test_an_interlaced_file_has_as_many_frames_as_come_out_of_it(tmp_path, monkeypatch):
    """Broadcasters and camcorders store each field as a packet, and two fields are one frame."""
    options = {"g": "12", "bf": "0", "flags": "+ilme+ildct"}
    path = write_clip(tmp_path / "a.ts", pictures(20), codec="libx264", options=options)
    paired = VideoIndex(10, 10, (), (), 20, [n // 2 for n in range(20)])
    monkeypatch.setattr(video_file, "order_frames", lambda *_: paired)

    video = VideoFile(path)

    assert video.num_frames == 10
    assert video.time(9) == pytest.approx(9 / 30)


def test_an_interlaced_file_of_whole_frames_keeps_its_times(tmp_path):
    options = {"g": "12", "bf": "2", "flags": "+ilme+ildct"}
    times = [0, 40, 80, 400, 440, 480]
    path = write_clip(
        tmp_path / "a.mkv", pictures(6), codec="libx264", options=options, times=times
    )

    video = VideoFile(path)

    assert [round(1000 * video.time(frame)) for frame in range(6)] == times
