"""Videos that browsers play."""

import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from sam2_hf import OutputError
from sam2_hf.errors import MissingPackageError
from sam2_hf.writers.mp4 import video_writer

ORANGE = (230, 159, 0)
NEAR = 4  # gray levels that H.264 changes on an even surface


def plain(height=48, width=64, color=ORANGE):
    return np.full((height, width, 3), color, np.uint8)


def read(path):
    with av.open(str(path)) as container:
        return [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode()]


def write(path, pictures, times=None, fps=None):
    with video_writer(path, fps=fps) as writer:
        for index, picture in enumerate(pictures):
            writer.write(picture, None if times is None else times[index])
    return path


def test_the_file_is_what_browsers_play(tmp_path):
    path = write(tmp_path / "clip.mp4", [plain()] * 3)

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_context.colorspace == 1  # BT.709, as it is encoded
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index is in front


def test_colors_and_places_come_back(tmp_path):
    picture = plain(color=(20, 30, 120))
    picture[:, :32] = ORANGE

    ((_, found),) = read(write(tmp_path / "clip.mp4", [picture]))

    np.testing.assert_allclose(found[20, 8], ORANGE, atol=NEAR)
    np.testing.assert_allclose(found[20, 56], (20, 30, 120), atol=NEAR)


def test_times_are_kept_and_begin_at_zero(tmp_path):
    times = [5.0, 5.04, 5.5, 5.51, 7.0]

    found = read(write(tmp_path / "clip.mp4", [plain()] * 5, times))

    expected = [time - 5.0 for time in times]
    np.testing.assert_allclose([float(time) for time, _ in found], expected, atol=1e-4)


def test_without_times_frames_follow_at_the_frame_rate(tmp_path):
    found = read(write(tmp_path / "clip.mp4", [plain()] * 4, fps=Fraction(30000, 1001)))

    steps = np.diff([float(time) for time, _ in found])
    np.testing.assert_allclose(steps, 1001 / 30000, atol=1e-5)


def test_a_time_that_goes_back_costs_no_frame(tmp_path):
    found = read(write(tmp_path / "clip.mp4", [plain()] * 3, [0.0, 0.2, 0.1]))

    assert len(found) == 3
    assert found[2][0] > found[1][0]


def test_odd_sides_grow_by_a_copy_of_the_last_pixel(tmp_path):
    ((_, found),) = read(write(tmp_path / "clip.mp4", [plain(45, 63)]))

    assert found.shape == (46, 64, 3)
    np.testing.assert_allclose(found[45, 63], ORANGE, atol=NEAR)


def test_the_same_pictures_give_the_same_bytes_whatever_memory_held_before(tmp_path):
    code = (
        "import sys; from skimage.data import coffee\n"
        "from sam2_hf.writers.mp4 import video_writer\n"
        "with video_writer(sys.argv[1]) as writer:\n"
        "    for n in range(12):\n"
        "        writer.write(coffee()[n : 240 + n, 2 * n : 320 + 2 * n])\n"
    )
    paths = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    for path, filling in zip(paths, ("0", "1"), strict=True):  # glibc fills new memory with it
        environment = {**os.environ, "MALLOC_PERTURB_": filling}
        subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=environment)

    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_nothing_is_left_of_a_video_that_was_broken_off(tmp_path):
    def pictures():
        yield plain()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write(tmp_path / "clip.mp4", pictures())

    assert not list(tmp_path.iterdir())


def test_a_frame_of_another_size_is_refused(tmp_path):
    with pytest.raises(OutputError, match=r"frame 1 .* \(20, 64\)"):
        write(tmp_path / "clip.mp4", [plain(), plain(height=20)])

    assert not list(tmp_path.iterdir())


def test_a_video_without_a_frame_is_refused(tmp_path):
    with (
        pytest.raises(OutputError, match="has no frame to write"),
        video_writer(tmp_path / "clip.mp4"),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OutputError, match="cannot write"):
        write(tmp_path / "file" / "clip.mp4", [plain()])


def test_the_missing_package_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)

    with pytest.raises(MissingPackageError, match="video"), video_writer(tmp_path / "clip.mp4"):
        pass
