"""Result files of a tracked video, frame by frame."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from sam2_hf import rle
from sam2_hf.overlay import DrawnPrompts
from sam2_hf.results.formats import VIDEO_FORMATS
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts
from sam2_hf.writers.track_files import (
    FrameNames,
    TrackedClip,
    TrackFiles,
    box_of_all,
    write_tables,
)
from tests.results.readers import read_yolo
from tests.writers.clips import half_masks, read_frames

SIZE = (49, 65)  # odd on both sides
NUM_FRAMES = 5
IDS = (0, 300)


@pytest.fixture(scope="module")
def masks():
    """Of object 0; object 300 is never seen."""
    return half_masks(NUM_FRAMES, SIZE)


def pictures():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return np.stack([3 * x, 4 * y, 0 * x + 90], axis=2).astype(np.uint8)


def on_frame(object_id, mask):
    runs = rle.encode(mask)
    return ObjectOnFrame(object_id, rle.to_coco(runs), rle.area(runs), 0.9, 5.0, False)


@pytest.fixture(scope="module")
def written(masks, tmp_path_factory):
    """Every format that can hold the objects, in a folder, by name."""
    folder = tmp_path_factory.mktemp("results")
    frames = [
        TrackedFrame(number, number / 10, (on_frame(0, mask), on_frame(300, np.zeros(SIZE, bool))))
        for number, mask in enumerate(masks)
    ]
    about = VideoFacts("clip", SIZE, NUM_FRAMES, 10.0, "some-model", IDS, {0: "cup"})
    clip = TrackedClip(
        about,
        drawn_on=lambda frame: DrawnPrompts(((20, 20, True),)),
        box=lambda: box_of_all(frames),
    )
    kinds = [kind for kind in VIDEO_FORMATS if kind != "davis"]

    def path_of(kind):
        return folder / f"clip{VIDEO_FORMATS[kind].ending}"

    with TrackFiles(kinds, path_of, clip) as files:
        for tracked in frames:
            files.write(tracked, pictures())
    write_tables(kinds, path_of, clip, frames)
    return path_of


@pytest.mark.parametrize("kind", [kind for kind in VIDEO_FORMATS if kind != "davis"])
def test_every_format_is_written_also_for_ids_zero_and_large_and_objects_never_seen(written, kind):
    path = written(kind)

    assert any(path.iterdir()) if path.is_dir() else path.stat().st_size


@pytest.mark.parametrize("kind", ["alpha", "alpha-web"])
def test_opacity_is_the_mask_and_colors_go_on_around_it(written, masks, kind):
    frames = read_frames(written(kind))

    for frame, mask in zip(frames, masks, strict=True):
        np.testing.assert_array_equal(frame[..., 3] > 127, mask)
    near = np.zeros(SIZE, bool)
    near[4:44, :28] = True
    difference = np.abs(frames[0][near][:, :3].astype(int) - pictures()[near])
    assert np.median(difference) <= 4
    assert frames[0][30, 60, :3].max() < 20  # nothing of the far background is in the file


def test_a_greenscreen_shows_the_objects_on_green(written, masks):
    frames = read_frames(written("greenscreen"))

    assert frames[0].shape == (50, 66, 3)
    for frame, mask in zip(frames, masks, strict=True):
        assert np.abs(frame[45, 5].astype(int) - (0, 177, 64)).max() < 8
        is_green = np.abs(frame[:49, :65].astype(int) - (0, 177, 64)).max(axis=2) < 40
        assert (is_green != mask).mean() > 0.95  # up to the blur of half-resolution colors


def test_an_overlay_keeps_the_picture_outside(written):
    frame = read_frames(written("overlay"))[0]

    difference = np.abs(frame[:49, 50:65].astype(int) - pictures()[:, 50:])
    assert difference.mean() < 4


def test_a_gif_is_cut_to_the_box_of_all_frames(written, masks):
    with Image.open(written("cutout-gif")) as gif:
        assert (gif.size, gif.n_frames) == ((40, 32), NUM_FRAMES)
        shown = np.asarray(gif.convert("RGBA"))[..., 3] > 0
    np.testing.assert_array_equal(shown, masks[0][8:40, :40])


def test_a_data_set_has_frames_names_and_masks(written, masks):
    folder = written("yolo")

    assert yaml.safe_load((folder / "data.yaml").read_text())["names"] == {0: "cup", 1: "object"}
    for number, mask in enumerate(masks):
        name = f"clip_{number:05d}"
        ((label, read),) = read_yolo((folder / "labels" / f"{name}.txt").read_text(), SIZE)
        assert label == 0
        np.testing.assert_array_equal(read, mask)
        with Image.open(folder / "images" / f"{name}.jpg") as picture:
            assert picture.size == SIZE[::-1]


def test_two_clips_share_a_data_set(masks, tmp_path):
    for stem in ("a", "b"):
        about = VideoFacts(stem, SIZE, 1, 10.0, "some-model", (1,))
        with TrackFiles(["yolo"], lambda _: tmp_path, TrackedClip(about)) as files:
            files.write(TrackedFrame(0, 0.0, (on_frame(1, masks[0]),)), pictures())

    labels = sorted(path.name for path in (tmp_path / "labels").iterdir())
    assert labels == ["a_00000.txt", "b_00000.txt"]
    assert sorted(path.stem for path in (tmp_path / "images").iterdir()) == ["a_00000", "b_00000"]


def test_objects_have_a_folder_each(written, masks):
    folder = written("objects")

    assert sorted(path.name for path in folder.iterdir()) == ["000", "300"]
    np.testing.assert_array_equal(np.asarray(Image.open(folder / "000" / "00001.png")), masks[1])


def test_frames_of_a_folder_keep_their_names(tmp_path):
    for name in ("b.png", "a.png"):
        Image.new("RGB", (4, 4)).save(tmp_path / name)

    names = FrameNames.for_video(tmp_path)

    assert [names.of(0), names.picture(1)] == ["a", "b.png"]
    assert FrameNames.for_video(Path("clip.mp4")).picture(3) == "00003.jpg"


def test_nothing_seen_has_no_box():
    assert box_of_all([TrackedFrame(0, None, (on_frame(1, np.zeros(SIZE, bool)),))]) is None
