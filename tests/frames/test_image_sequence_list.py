from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.frames.image_sequence import PictureList, check_clip
from tests.video.clip_files import pictures

CLIP = pictures(4, height=12, width=16)


def all_frames(source):
    return np.stack([source.take(frame)() for frame in range(source.num_frames)])


@pytest.mark.parametrize(
    "kind",
    [
        lambda clip: clip,
        lambda clip: clip.transpose(0, 3, 1, 2),
        lambda clip: torch.from_numpy(clip),
        lambda clip: torch.from_numpy(clip).permute(0, 3, 1, 2),
        lambda clip: clip.astype(np.float32) / 255,
        lambda clip: torch.from_numpy(clip).double() / 255,
        list,
        tuple,
        lambda clip: [Image.fromarray(picture) for picture in clip],
        lambda clip: [torch.from_numpy(picture).permute(2, 0, 1) for picture in clip],
        lambda clip: [clip[0], Image.fromarray(clip[1]), torch.from_numpy(clip[2]), clip[3] / 255],
    ],
)
def test_every_way_to_hold_a_clip_gives_the_same_frames(kind):
    source = PictureList(kind(CLIP))

    assert (source.num_frames, source.size) == (4, (12, 16))
    assert np.array_equal(all_frames(source), CLIP)


def test_a_list_of_paths_is_read(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in (3, 1, 2, 0)]
    for path, picture in zip(paths, CLIP, strict=True):
        Image.fromarray(picture).save(path)

    source = PictureList([str(paths[0]), *paths[1:]])

    assert np.array_equal(all_frames(source), CLIP)  # in the list's order, not the names'
    assert source.describe(1) == f"frame 1 ({paths[1]})"


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_a_gray_clip_becomes_rgb(kind):
    gray = CLIP[..., 1].copy()

    frames = all_frames(PictureList(kind(gray)))

    assert np.array_equal(frames, np.repeat(gray[..., None], 3, axis=-1))


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy, list])
def test_the_callers_pictures_stay_as_they_are_and_cannot_be_written_to(kind):
    clip = CLIP.copy()

    frames = [PictureList(kind(clip)).take(frame)() for frame in range(4)]

    assert np.array_equal(clip, CLIP)
    assert clip.flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        frames[1][:] = 0


def test_a_clip_of_bytes_is_not_copied():
    clip = CLIP.copy()

    assert np.shares_memory(PictureList(clip).take(2)(), clip)


def test_frames_are_converted_only_when_they_are_read():
    class Pictures(list):
        def __getitem__(self, frame):
            read.append(frame)
            return super().__getitem__(frame)

    read = []
    source = PictureList(Pictures(CLIP))
    source.take(2)()

    assert read == [0, 2]


class Lazy(Sequence):
    """Reads a picture when it is asked for it; knows no end, as readers of files do not."""

    def __init__(self, clip):
        self.clip, self.read = clip, []

    def __len__(self):
        return len(self.clip)

    def __getitem__(self, frame):
        if frame >= len(self.clip):
            raise FrameError("cut off")
        self.read.append(frame)
        return self.clip[frame]


@pytest.mark.parametrize("clip", [CLIP, CLIP.astype(np.float32) / 255], ids=["bytes", "floats"])
def test_of_a_sequence_that_reads_by_itself_only_the_first_picture_is_read_at_the_start(clip):
    lazy = Lazy(clip)

    source = PictureList(lazy)

    assert set(lazy.read) == {0}
    assert np.array_equal(all_frames(source), CLIP)


@pytest.mark.parametrize(
    ("shape", "tensor", "channels"),
    [
        ((9, 8, 7, 3), False, "channels_last"),
        ((9, 3, 7, 8), False, "channels_first"),
        ((9, 3, 7, 3), False, "channels_last"),
        ((9, 3, 7, 3), True, "channels_first"),
        ((9, 8, 7, 4), True, "channels_last"),
        ((9, 1, 7, 8), False, "channels_first"),
        ((9, 7, 8), False, None),
    ],
)
def test_the_axis_of_channels_is_the_one_that_fits(shape, tensor, channels):
    assert check_clip(torch.zeros(shape) if tensor else np.zeros(shape)) == channels


def test_an_ambiguous_clip_is_read_one_way_throughout():
    clip = torch.from_numpy(pictures(2, height=3, width=5)).permute(0, 3, 1, 2)  # (2, 3, 3, 5)

    frames = all_frames(PictureList(clip))

    assert np.array_equal(frames, clip.permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("shape", [(8, 8), (8,), (2, 5, 8, 8, 3), (4, 5, 6, 7)])
def test_an_array_of_another_shape_is_no_video(shape):
    with pytest.raises(VideoError, match="not a video"):
        PictureList(np.zeros(shape, np.uint8))


def test_a_single_picture_is_told_from_a_gray_clip():
    with pytest.raises(VideoError, match=r"single picture: add an axis with \[None\]"):
        PictureList(CLIP[0])


@pytest.mark.parametrize("empty", [[], (), np.zeros((0, 8, 8, 3), np.uint8)])
def test_a_video_without_frames_is_refused(empty):
    with pytest.raises(VideoError, match="no frames"):
        PictureList(empty)


def test_a_list_that_begins_with_no_picture_is_refused():
    with pytest.raises(VideoError, match="first frame is unreadable"):
        PictureList([3, 4])
