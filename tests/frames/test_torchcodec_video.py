"""Frames of torchcodec; without it, a fake decoder stands for it where that is enough."""

import pickle
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sam2_hf.errors import MissingPackageError, VideoError
from sam2_hf.frames.open import open_frames
from sam2_hf.frames.torchcodec_video import TorchcodecFile, TorchcodecVideo
from tests.video.clip_files import H264, decode_in_order, pictures, write_clip

TEN_BIT = {"codec": "libx265", "pix_fmt": "yuv420p10le", "options": {"x265-params": "log-level=0"}}
KINDS = {
    "a.mp4": H264,
    "a.mkv": H264,
    "a.ts": H264,
    "a.webm": {"codec": "libvpx-vp9", "options": {"lag-in-frames": "16", "g": "12"}},
    "a.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "b.mp4": TEN_BIT,
}


@pytest.fixture
def clip(tmp_path):
    write_clip(tmp_path / "a.mp4", pictures(12), **H264)
    return tmp_path / "a.mp4"


@pytest.fixture
def fake(clip, monkeypatch):
    """A decoder that marks its frames with a black corner; its answers can be replaced."""
    frames = [frame.copy() for frame in decode_in_order(clip)]
    for frame in frames[1:]:
        frame[:2, :2] = 0
    shown = SimpleNamespace(frames=frames, pixel_format="yuv420p")

    class Decoder:
        def __init__(self, path, **_):
            self.metadata = SimpleNamespace(pixel_format=shown.pixel_format)

        def __len__(self):
            return len(shown.frames)

        def get_frame_at(self, frame):
            if shown.frames[frame] is None:
                raise RuntimeError("no more frames")
            return SimpleNamespace(data=torch.from_numpy(shown.frames[frame]))

    module = SimpleNamespace(VideoDecoder=Decoder)
    monkeypatch.setitem(sys.modules, "torchcodec", SimpleNamespace(decoders=module))
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", module)
    return shown


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_those_of_pyav_bit_for_bit_in_any_order(tmp_path, name):
    try:
        import torchcodec.decoders  # noqa: F401
    except (ImportError, RuntimeError, OSError) as error:
        pytest.skip(f"torchcodec cannot be loaded: {str(error).splitlines()[0]}")
    write_clip(tmp_path / name, pictures(40), **KINDS[name])
    frames = decode_in_order(tmp_path / name)

    video = TorchcodecFile(TorchcodecVideo(tmp_path / name))

    assert video.num_frames == 40
    for number in (*range(40), 3, 39, 17, 16, 0):
        assert np.array_equal(video.take(number)(), frames[number])
    assert video.is_fast or name not in {"a.mp4", "a.mkv", "a.webm"}
    video.close()


def test_the_decoder_is_used_for_frames_and_pyav_for_those_it_cannot_decode(clip, fake):
    fake.frames[5] = None
    video = TorchcodecFile(TorchcodecVideo(clip))

    assert video.is_fast
    assert np.array_equal(video.take(4)(), fake.frames[4])
    assert np.array_equal(video.take(5)(), decode_in_order(clip)[5])


@pytest.mark.parametrize("change", ["fewer frames", "10 bits", "other colors", "unreadable"])
def test_pyav_reads_what_the_decoder_reads_otherwise(clip, fake, change):
    if change == "fewer frames":
        fake.frames.pop()
    elif change == "10 bits":
        fake.pixel_format = "yuv420p10le"
    else:
        fake.frames[0] = fake.frames[0] ^ 1 if change == "other colors" else None

    video = TorchcodecFile(TorchcodecVideo(clip))

    assert not video.is_fast
    assert np.array_equal(video.take(1)(), decode_in_order(clip)[1])


def test_frames_open_it_and_their_copies_open_it_again(clip, fake, monkeypatch):
    monkeypatch.chdir(clip.parent)
    frames = open_frames(TorchcodecVideo("a.mp4"), image_size=64)
    monkeypatch.chdir("/")
    again = pickle.loads(pickle.dumps(frames))

    assert frames.num_frames == again.num_frames == 12
    assert np.array_equal(again.picture(3), fake.frames[3])
    frames.close()
    again.close()


def test_a_torchcodec_that_cannot_be_loaded_is_named_with_the_reason(clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)

    with pytest.raises(MissingPackageError, match=r"torchcodec.*give the path itself"):
        open_frames(TorchcodecVideo(clip), image_size=64)


def test_what_is_not_a_path_is_refused():
    with pytest.raises(VideoError, match="path is 5"):
        TorchcodecVideo(5)
