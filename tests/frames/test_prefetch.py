import gc
import subprocess
import sys
import threading
from fractions import Fraction

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError
from sam2_hf.frames.image_sequence import PictureList
from sam2_hf.frames.prefetch import BufferedFrames
from sam2_hf.frames.preprocessing import FramePixels
from tests.video.clip_files import pictures

CLIP = pictures(40, height=12, width=16)
PIXELS = FramePixels(8)
LEFT_OPEN = """
import numpy as np
from sam2_hf.frames.open import open_frames
frames = open_frames(np.zeros((500, 90, 160, 3), np.uint8), image_size=512)
frames.expect(range(500))
frames.picture(3)
"""


def buffered(source, ring=8):
    return BufferedFrames(PictureList(source), PIXELS, ring=ring, num_threads=2)


def reading_threads():
    """Threads that read frames now; another test's session may keep some."""
    return {thread for thread in threading.enumerate() if thread.name.startswith("frames-")}


def test_pictures_and_pixel_values_belong_to_the_same_frame():
    with buffered(CLIP) as frames:
        frames.expect(range(40))

        for number in [0, 1, 2, 30, 5]:
            values = PIXELS.normalize(PIXELS.shrink(CLIP[number]))
            assert torch.equal(frames.pixel_values(number), values)
            assert np.array_equal(frames.picture(number), CLIP[number])


def test_pixel_values_can_be_changed_without_harm():
    with buffered(CLIP) as frames:
        before = frames.pixel_values(3).clone()
        frames.pixel_values(3).zero_()

        assert torch.equal(frames.pixel_values(3), before)


def test_no_more_frames_are_held_than_the_ring_has_places():
    with buffered(CLIP, ring=5) as frames:
        frames.expect(range(39, -1, -1))

        held = [frames.num_held for n in range(39, -1, -1) if frames.picture(n) is not None]

    assert max(held) <= 5


@pytest.mark.parametrize("frame", [-1, 40, 10**12])
def test_a_frame_out_of_range_is_refused(frame):
    with buffered(CLIP) as frames:
        for read in (frames.picture, frames.pixel_values, frames.time):
            with pytest.raises(FrameError, match=f"frame {frame} is out of range.* 40 frames"):
                read(frame)


def test_frames_reach_to_the_last_one():
    with buffered(CLIP) as frames:
        assert [frames.reaches(frame) for frame in (-1, 0, 39, 40)] == [False, True, True, False]


def test_numpy_numbers_are_frames_too():
    with buffered(CLIP) as frames:
        frames.expect(np.arange(5))

        assert np.array_equal(frames.picture(np.int64(4)), CLIP[4])


def test_a_frame_of_another_size_is_refused_with_its_name_and_both_sizes():
    with buffered([CLIP[0], CLIP[1][:, :9], CLIP[2]]) as frames:
        frames.expect(range(3))

        with pytest.raises(FrameError, match="frame 1 is 9 x 12 pixels, but the first is 16 x 12"):
            frames.pixel_values(1)
        assert np.array_equal(frames.picture(2), CLIP[2])


def test_an_unreadable_picture_is_named_with_its_file(tmp_path):
    path = tmp_path / "broken.png"
    path.write_bytes(b"\x89PNG no more")

    with buffered([CLIP[0], path]) as frames:
        with pytest.raises(FrameError, match=r"frame 1 \(.*broken\.png\) cannot be read"):
            frames.picture(1)
        assert np.array_equal(frames.picture(0), CLIP[0])


def test_any_error_of_a_source_becomes_one_that_names_the_frame():
    class Odd(PictureList):
        def take(self, frame):
            if frame == 2:
                raise OSError("the disk is gone")
            return super().take(frame)

    with (
        BufferedFrames(Odd(CLIP), PIXELS, ring=4, num_threads=1) as frames,
        pytest.raises(FrameError, match="frame 2 cannot be read: the disk is gone"),
    ):
        frames.picture(2)


def test_closing_ends_the_threads_and_closes_the_source():
    before = reading_threads()
    source = PictureList(CLIP)
    closed = []
    source.close = lambda: closed.append(True)
    frames = BufferedFrames(source, PIXELS, ring=8, num_threads=2)
    frames.expect(range(40))

    frames.close()
    frames.close()

    assert closed == [True]
    assert reading_threads() <= before


def test_forgetting_the_frames_ends_the_threads():
    before = reading_threads()
    frames = buffered(CLIP)
    frames.expect(range(40))
    frames.picture(0)
    assert reading_threads() - before

    del frames
    gc.collect()

    assert reading_threads() <= before


def test_a_program_ends_although_frames_were_left_open():
    done = subprocess.run([sys.executable, "-c", LEFT_OPEN], timeout=60, capture_output=True)

    assert (done.returncode, done.stderr) == (0, b"")


def test_time_and_rate_are_those_of_the_source():
    source = PictureList(CLIP)
    source.fps = Fraction(25)
    source.time = lambda frame: frame / 25

    with BufferedFrames(source, PIXELS, ring=8, num_threads=2) as frames:
        assert (frames.fps, frames.time(5), frames.num_frames) == (25, 0.2, 40)
