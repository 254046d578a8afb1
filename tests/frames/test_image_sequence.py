import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.frames import preprocessing
from sam2_hf.frames.image_sequence import PictureFolder
from sam2_hf.frames.open import open_frames
from tests.video.clip_files import pictures

CLIP = pictures(3, height=12, width=16)


def save(folder, names, clip=CLIP):
    for name, picture in zip(names, clip, strict=True):
        Image.fromarray(picture).save(folder / name)


@pytest.mark.parametrize(
    "names",
    [
        ["frame2.png", "frame10.png", "frame100.png"],
        ["00000.png", "00001.png", "00010.png"],
        ["a shot 1-2.png", "a shot 1-10.png", "a shot 2-1.png"],
        ["A1.png", "a2.PNG", "A3.png"],
        ["7.bmp", "8.tiff", "9.png"],
        ["1.gif", "2.GIF", "3.png"],
    ],
)
def test_frames_lie_in_the_order_a_person_counts(tmp_path, names):
    save(tmp_path, reversed(names), CLIP[::-1])

    folder = PictureFolder(tmp_path)

    assert [folder.take(frame)()[0, 0, 0] for frame in range(3)] == [0, 1, 2]


@pytest.mark.parametrize(
    "name",
    [
        *("b.JPG", "b.jpeg", "b.jpe", "b.jfif", "b.JFIF", "b.jp2", "b.webp", "b.tif", "b.mpo"),
        *("b.avif", "b.j2k", "b.jpx", "b.jpf", "b.ppm", "b.pnm", "b.PPM", "b.tga", "b.dib"),
    ],
)
def test_lossy_kinds_are_frames_too(tmp_path, name):
    Image.new("RGB", (16, 12), (200, 30, 10)).save(tmp_path / name)

    assert np.abs(PictureFolder(tmp_path).take(0)().astype(int) - (200, 30, 10)).max() < 6


@pytest.mark.parametrize("ending", ["avif", "ppm", "pgm", "tga", "j2k"])
def test_no_frame_of_a_folder_of_mixed_kinds_is_lost(tmp_path, ending):
    save(tmp_path, ["1.png", f"2.{ending}", "3.png"])

    assert PictureFolder(tmp_path).num_frames == 3


@pytest.mark.parametrize("name", ["2.heic", "2.HEIF", "2.jxl", "2.exr"])
def test_a_folder_with_frames_of_a_kind_that_cannot_be_read_is_refused(tmp_path, name):
    save(tmp_path, ["1.png", "3.png", "4.png"])
    (tmp_path / name).write_bytes(b"a picture")

    with pytest.raises(VideoError, match=f"3 pictures that can be read and 1 .* such as {name}"):
        PictureFolder(tmp_path)


def test_a_second_copy_of_a_frame_in_a_kind_that_cannot_be_read_does_not_count(tmp_path):
    save(tmp_path, ["1.png", "2.png", "3.png"])
    for name in ("2.heic", "._4.heic"):
        (tmp_path / name).write_bytes(b"a picture")

    assert PictureFolder(tmp_path).num_frames == 3


def test_what_is_no_picture_does_not_count(tmp_path):
    save(tmp_path, ["1.png", "2.png", "3.png"])
    for name in ("notes.txt", "._1.png", ".hidden.jpg", "Thumbs.db", "1.png.json"):
        (tmp_path / name).write_text("no picture")
    (tmp_path / "folder.png").mkdir()

    assert PictureFolder(tmp_path).num_frames == 3


def test_only_the_first_picture_is_opened_at_the_start(tmp_path, monkeypatch):
    Image.fromarray(CLIP[0]).save(tmp_path / "0.png")
    for number in range(1, 500):
        os.link(tmp_path / "0.png", tmp_path / f"{number}.png")
    opened = []
    read = preprocessing.load_image
    monkeypatch.setattr(preprocessing, "load_image", lambda one: opened.append(one) or read(one))

    folder = PictureFolder(tmp_path)

    assert (folder.num_frames, folder.size) == (500, (12, 16))
    assert [one for one in opened if isinstance(one, Path)] == [tmp_path / "0.png"]


def test_a_frame_is_named_with_its_file(tmp_path):
    save(tmp_path, ["1.png", "2.png", "3.png"])

    assert PictureFolder(tmp_path).describe(1) == f"frame 1 ({tmp_path / '2.png'})"


@pytest.mark.parametrize("others", [[], ["notes.txt", "clip.mp4"]])
def test_a_folder_without_pictures_is_refused(tmp_path, others):
    for name in others:
        (tmp_path / name).write_text("no picture")

    with pytest.raises(VideoError, match=f"no pictures, only {len(others)} other files"):
        PictureFolder(tmp_path)


def test_a_folder_whose_first_picture_is_unreadable_is_refused(tmp_path):
    save(tmp_path, ["1.png", "2.png", "3.png"])
    (tmp_path / "1.png").write_bytes(b"no picture")

    with pytest.raises(VideoError, match=r"first picture .* unreadable: .*1\.png"):
        PictureFolder(tmp_path)


def test_a_folder_that_is_gone_is_refused(tmp_path):
    shutil.rmtree(tmp_path)

    with pytest.raises(VideoError, match="cannot be read"):
        PictureFolder(tmp_path)


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        *[(name, False) for name in ("b.tif", "b.gif", "b.webp", "b.png")],
        *[(name, True) for name in ("b.tif", "b.webp", "b.png")],  # a GIF in a list is a video
    ],
)
def test_a_picture_of_several_pages_is_no_frame_of_a_folder_or_a_list(tmp_path, name, listed):
    """All pages but the first would be lost without a word."""
    pages = [Image.fromarray(np.full((12, 16, 3), 40 * n, np.uint8)) for n in range(3)]
    pages[0].save(tmp_path / "a.png")
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    video = [tmp_path / "a.png", tmp_path / name] if listed else tmp_path

    with open_frames(video, image_size=16) as frames:
        frames.picture(0)
        with pytest.raises(FrameError, match="several pages or frames"):
            frames.picture(1)
