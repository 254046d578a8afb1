import io

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import FrameError, ImageError, VideoError
from sam2_hf.frames.open import Frames, open_frames
from sam2_hf.frames.prefetch import BufferedFrames
from sam2_hf.frames.streams import LiveFrames, StreamedFrames
from tests.video.clip_files import LOSSLESS, pictures, write_clip

CLIP = pictures(5, height=20, width=30)


def opened(source, **options):
    return open_frames(source, image_size=16, **options)


@pytest.fixture
def folder(tmp_path):
    """A folder of five pictures."""
    for number, picture in enumerate(CLIP):
        Image.fromarray(picture).save(tmp_path / f"shot{number + 8}.png")
    return tmp_path


@pytest.fixture
def file(tmp_path):
    """A video file of the same pictures."""
    return write_clip(tmp_path / "clip.mp4", CLIP, **LOSSLESS)


KINDS = {
    "folder": lambda folder, file: folder,
    "folder as text": lambda folder, file: str(folder),
    "file": lambda folder, file: file,
    "file as text": lambda folder, file: str(file),
    "list of one file": lambda folder, file: [file],
    "list of paths": lambda folder, file: [folder / f"shot{n}.png" for n in range(8, 13)],
    "list of arrays": lambda folder, file: list(CLIP),
    "list of images": lambda folder, file: [Image.fromarray(picture) for picture in CLIP],
    "list of one clip": lambda folder, file: [CLIP],
    "list of one list": lambda folder, file: [list(CLIP)],
    "array": lambda folder, file: CLIP,
    "tensor": lambda folder, file: torch.from_numpy(CLIP).permute(0, 3, 1, 2),
    "batch of one": lambda folder, file: CLIP[None],
    "iterator": lambda folder, file: iter(CLIP),
    "generator": lambda folder, file: (picture for picture in CLIP),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_is_the_same_however_it_is_given(folder, file, kind):
    with opened(KINDS[kind](folder, file)) as frames:
        assert frames.size == (20, 30)
        assert all(np.array_equal(frames.picture(n), CLIP[n]) for n in range(5))
        assert frames.num_frames in {5, None}
        assert frames.pixel_values(4).shape == (3, 16, 16)


@pytest.mark.parametrize("kind", ["folder", "file", "array"])
@pytest.mark.parametrize("plan", [range(5), range(4, -1, -1)])
def test_expected_frames_are_the_same_frames(folder, file, kind, plan):
    with opened(KINDS[kind](folder, file), ring=3) as frames:
        frames.expect(plan)

        assert all(np.array_equal(frames.picture(n), CLIP[n]) for n in plan)


@pytest.mark.parametrize(
    ("source", "kind"),
    [(CLIP, BufferedFrames), (iter(CLIP), StreamedFrames), (None, LiveFrames)],
)
def test_the_source_decides_what_reads_it(source, kind):
    with opened(source) as frames:
        assert type(frames) is kind


def test_a_live_stream_learns_the_models_input_size():
    live = LiveFrames(window=3)

    frames = opened(live)
    live.append(CLIP[0])

    assert frames is live
    assert frames.pixel_values(0).shape == (3, 16, 16)


def test_frames_that_are_open_already_are_handed_back():
    with opened(CLIP) as frames:
        assert opened(frames) is frames
        assert opened([frames]) is frames


def test_a_single_picture_file_is_a_video_of_one_frame(folder):
    with opened(folder / "shot8.png") as frames:
        assert (frames.num_frames, frames.size) == (1, (20, 30))


def test_compat_chooses_how_frames_are_resized():
    with opened(CLIP) as official, opened(CLIP, compat="transformers") as other:
        assert not torch.equal(official.pixel_values(0), other.pixel_values(0))


@pytest.mark.parametrize(
    "several",
    [
        CLIP[None].repeat(2, axis=0),
        torch.from_numpy(CLIP)[None].expand(2, -1, -1, -1, -1),
        [CLIP, CLIP],
        [list(CLIP), list(CLIP)],
        ["a.mp4", "b.mp4"],
        ("a.mp4", "b.GIF"),
        [[CLIP, CLIP]],
    ],
)
def test_two_videos_where_one_is_expected_are_refused(several):
    with pytest.raises(VideoError, match="there are 2 videos where one is expected"):
        opened(several)


def test_two_folders_where_one_is_expected_are_refused(folder):
    with pytest.raises(VideoError, match="there are 2 videos"):
        opened([folder, str(folder)])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("no such.mp4", r"no video file or folder no such\.mp4"),
        ("https://example.com/a.mp4", "is a URL. Download it first"),
        (["https://example.com/a.png"], "is a URL"),
        ([], "no frames"),
        (np.zeros((0, 4, 4, 3), np.uint8), "no frames"),
        (iter([]), "no pictures"),
        (CLIP[0], "single picture"),
        (3, "cannot make a video from a int"),
        (b"bytes", "cannot make a video from a bytes"),
        ({0: CLIP[0]}, "cannot make a video from a dict"),
        (io.BytesIO(b"bytes"), "cannot make a video from a BytesIO"),
        (Image.fromarray(CLIP[0]), "cannot make a video from a Image"),
    ],
)
def test_what_is_no_video_is_refused_with_a_reason(source, reason):
    with pytest.raises(VideoError, match=reason):
        opened(source)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(VideoError, match="no pictures"):
        opened(tmp_path)


@pytest.mark.parametrize("options", [{"ring": 0}, {"num_threads": 0}])
def test_a_ring_without_places_or_threads_is_refused(options):
    with pytest.raises(VideoError, match="must both be 1 or more"):
        opened(CLIP, **options)


def test_the_callers_list_is_unchanged():
    given = [picture.copy() for picture in CLIP]
    kept = list(given)

    with opened(given) as frames:
        frames.pixel_values(1)

    assert all(one is other for one, other in zip(given, kept, strict=True))
    assert np.array_equal(np.stack(given), CLIP)
    assert isinstance(frames, Frames)


FLOATS = CLIP.astype(np.float32)
DARK = np.zeros((20, 30, 3), np.float32)
DARK[:2] = 1  # a frame that is black but for a little noise


@pytest.mark.parametrize(
    "kind", [lambda clip: clip, torch.from_numpy, list, iter], ids=["array", "tensor", "list", "it"]
)
def test_float_frames_of_a_clip_have_one_scale(kind):
    clip = np.stack([*FLOATS[:2], DARK, *FLOATS[3:]])

    with opened(kind(clip)) as frames:
        assert [frames.picture(n).max() for n in (1, 2, 4)] == [255, 1, 255]


@pytest.mark.parametrize(
    "kind", [lambda clip: clip, torch.from_numpy, list], ids=["array", "tensor", "list"]
)
def test_a_clip_may_begin_with_its_darkest_frame(kind):
    with opened(kind(np.stack([DARK, *FLOATS[1:]]))) as frames:
        assert [frames.picture(n).max() for n in (0, 1)] == [1, 255]


def test_a_pixel_that_overshoots_changes_no_frame():
    clip = np.full((3, 20, 30, 3), 0.5, np.float32)
    clip[1, 0, 0] = 1.01

    with opened(clip) as frames:
        assert [frames.picture(n)[10, 10, 0] for n in range(3)] == [128] * 3


def test_an_iterator_of_floats_that_changes_its_scale_is_refused():
    with (
        opened(iter([FLOATS[0] / 255, FLOATS[1]])) as frames,
        pytest.raises(FrameError, match=r"frame 1 .*value_range"),
    ):
        frames.picture(1)


DEEP = (CLIP[..., 0].astype(np.int32) - 128) * 8


def as_folder(clip, path):
    for number, picture in enumerate(clip):
        Image.fromarray(picture).save(path / f"{number}.tif")
    return path


@pytest.mark.parametrize(
    "kind",
    [
        lambda clip, path: clip,
        lambda clip, path: list(clip),
        lambda clip, path: iter(clip),
        lambda clip, path: (picture for picture in torch.from_numpy(clip)),
        as_folder,
        lambda clip, path: sorted(as_folder(clip, path).iterdir()),
    ],
    ids=["array", "list", "iterator", "generator", "folder", "paths"],
)
def test_deep_frames_need_a_range_however_they_come(kind, tmp_path):
    with opened(kind(DEEP, tmp_path), value_range=(-1024, 1016)) as frames:
        assert all(np.array_equal(frames.picture(n)[..., 1], CLIP[n, ..., 0]) for n in range(5))
    with pytest.raises(VideoError, match=r"whole numbers.*value_range=\(low, high\)"):
        opened(kind(DEEP, tmp_path))


@pytest.mark.parametrize(
    "kind", [lambda clip, path: clip, lambda clip, path: list(clip), as_folder]
)
def test_percentiles_are_those_of_the_whole_clip(kind, tmp_path):
    low, high = np.percentile(DEEP, (0.5, 99.5))

    with opened(kind(DEEP, tmp_path), value_range="percentile") as frames:
        found = np.stack([frames.picture(n)[..., 0] for n in range(5)])

    expected = ((DEEP - low) / (high - low)).clip(0, 1) * 255
    assert np.abs(found - expected).max() <= 0.51


def test_a_range_that_makes_no_sense_is_refused_before_anything_is_opened():
    with pytest.raises(ImageError, match="value_range is"):
        opened("no such.mp4", value_range=(5, 1))


def test_a_live_stream_takes_the_range_it_is_opened_with():
    live = LiveFrames(window=3)
    with opened(live, value_range=(-1024, 1016)):
        live.append(DEEP[0])
        assert np.array_equal(live.picture(0)[..., 0], CLIP[0, ..., 0])
