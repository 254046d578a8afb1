"""Prompts of a video, from the command line."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from sam2_hf.cli.argument_types import BoxPrompt, ClickPrompt
from sam2_hf.cli.tracking.video_prompts import (
    FoundBox,
    GivenMask,
    GivenReference,
    VideoPrompts,
    read_mask_picture,
)
from sam2_hf.errors import FrameError, ImageError, PromptError

SIZE = (4, 6)
CLICKS = (
    ClickPrompt(2, 5, (1, 2, True)),
    ClickPrompt(0, 1, (3, 3, True)),
    ClickPrompt(2, 5, (4, 0, False)),
)


class Noted:
    """A session that only takes notes."""

    def __init__(self):
        self.calls = []

    def click(self, frame, object_id, xy, *, positive):
        self.calls.append(("click", frame, object_id, xy, positive))

    def box(self, *arguments):
        self.calls.append(("box", *arguments))

    def mask(self, frame, object_id, mask_hw):
        self.calls.append(("mask", frame, object_id, mask_hw.sum()))


@pytest.fixture
def picture(tmp_path):
    """A function that saves pixel values and returns where."""

    def save(values, mode="L"):
        image = Image.fromarray(np.array(values, np.uint8))
        if mode == "P":
            image.putpalette([0, 0, 0, 9, 9, 9, 200, 0, 0])
        image.save(tmp_path / "mask.png")
        return tmp_path / "mask.png"

    return save


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_deep_mask_is_bright_where_its_numbers_are_large(tmp_path, dtype):
    """PIL clips at 255 when it converts, where a background of 300 is as bright as the object."""
    Image.fromarray(np.array([[300, 60000, 300]], dtype)).save(tmp_path / "deep.tif")

    assert read_mask_picture(tmp_path / "deep.tif", 1).tolist() == [[False, True, False]]


def test_a_mask_that_never_ends_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")

    with pytest.raises(ImageError, match="pipe or a device"):
        read_mask_picture(tmp_path / "pipe.png", 1)


def test_what_belongs_together_goes_to_the_session_in_one_call():
    session = Noted()
    box = BoxPrompt(0, 1, (0.0, 0.0, 3.0, 3.0))

    VideoPrompts(CLICKS, (box,), ()).give_to(session)

    assert session.calls == [
        ("box", 0, 1, (0.0, 0.0, 3.0, 3.0)),
        ("click", 2, 5, [(1, 2), (4, 0)], [True, False]),
        ("click", 0, 1, [(3, 3)], [True]),
    ]


def test_objects_and_frames_are_listed_in_order():
    prompts = VideoPrompts(CLICKS, (), (GivenMask(9, 3, None, np.ones(SIZE, bool)),))

    assert (prompts.object_ids, prompts.frames) == ((1, 3, 5), (0, 2, 9))


def test_only_the_prompts_of_a_frame_are_drawn_on_it():
    prompts = VideoPrompts(CLICKS, (), ())

    assert prompts.drawn_on(2).clicks == ((1, 2, True), (4, 0, False))
    assert prompts.drawn_on(1) is None


def test_a_prompt_beyond_the_video_is_named():
    with pytest.raises(FrameError, match=r"frame 2, but clip has 2 frame\(s\): 0 to 1"):
        VideoPrompts(CLICKS, (), ()).check(SIZE, 2, "clip")


def test_a_box_of_another_form_is_refused():
    with pytest.raises(ValueError, match="is not a box that was found"):
        FoundBox.from_fields({"frame": 0, "box": [1, 2, 3, 4]})


def test_a_click_outside_is_named():
    with pytest.raises(PromptError, match="object 1 on frame 0"):
        VideoPrompts(CLICKS, (), ()).check((1, 6), 9, "clip")


def test_a_mask_of_another_size_is_named(tmp_path):
    mask = GivenMask(0, 1, tmp_path / "mask.png", np.ones((4, 7), bool))

    with pytest.raises(PromptError, match=r"mask.png is 7 x 4 pixels, clip is 6 x 4"):
        VideoPrompts((), (), (mask,)).check(SIZE, 9, "clip")


@pytest.mark.parametrize("values", [[[0, 255, 200, 90, 0, 0, 0, 0]], [[0, 1, 1, 0, 0, 0, 0, 0]]])
def test_the_bright_part_of_a_gray_picture_is_the_object(picture, values):
    found = read_mask_picture(picture(values), 7)

    assert found.tolist() == [[False, True, True, *[False] * 5]]


def test_small_whole_numbers_are_labels(picture):
    path = picture([[0, 1, 2, 2]])

    assert read_mask_picture(path, 1).tolist() == [[False, True, False, False]]
    with pytest.raises(ImageError, match="has the labels 1, 2, but not 3"):
        read_mask_picture(path, 3)


def test_a_dim_soft_mask_has_shades_not_labels(tmp_path):
    square = np.zeros((60, 60), np.uint8)
    square[10:50, 10:50] = 100
    Image.fromarray(square).save(tmp_path / "dim.jpg")
    soft = Image.fromarray(square).filter(ImageFilter.GaussianBlur(2))
    soft.save(tmp_path / "soft.png")

    for name in ("dim.jpg", "soft.png"):
        assert abs(int(read_mask_picture(tmp_path / name, 1).sum()) - 1600) < 80


def test_a_photo_is_no_mask(picture):
    """Whoever swaps PICTURE and MASK gives one."""
    with pytest.raises(ImageError, match="is a photo, not a mask: 50% of its pixels are neither"):
        read_mask_picture(picture([[0, 100, 180, 255]]), 1)


def test_a_palette_picture_with_several_labels_gives_the_objects_own(picture):
    path = picture([[0, 1, 2, 2]], mode="P")

    assert read_mask_picture(path, 2).tolist() == [[False, False, True, True]]
    with pytest.raises(ImageError, match=r"labels 1, 2, but not 3\. A mask with several labels"):
        read_mask_picture(path, 3)


def test_a_palette_picture_with_one_label_fits_any_object(picture):
    assert read_mask_picture(picture([[0, 2, 2]], mode="P"), 1).tolist() == [[False, True, True]]


def test_a_mask_that_cannot_be_read_or_is_empty_is_named(picture, tmp_path):
    with pytest.raises(ImageError, match="there is no mask file"):
        read_mask_picture(tmp_path / "none.png", 1)
    with pytest.raises(PromptError, match="is empty"):
        read_mask_picture(picture([[0, 0]]), 1)
    (tmp_path / "mask.png").write_text("no picture")
    with pytest.raises(ImageError, match="cannot be read as a mask"):
        read_mask_picture(tmp_path / "mask.png", 1)


def test_a_mask_is_known_again_by_its_pixels():
    mask = np.eye(4, dtype=bool)
    given = [GivenMask(0, 1, Path("mask.png"), pixels) for pixels in (mask, mask.copy(), ~mask)]

    texts = [VideoPrompts(CLICKS, (), (one,)).described() for one in given]

    assert texts[0][:3] == ("--click 2:5:1,2", "--click 0:1:3,3", "--click 2:5:4,0,-")
    assert texts[0] == texts[1] != texts[2]


def test_a_reference_is_an_object_without_a_frame_and_its_mask_has_its_pictures_size(tmp_path):
    file = tmp_path / "cup.png"
    Image.new("RGB", (9, 5), (1, 2, 3)).save(file)
    fitting, other = (
        GivenReference(file, Path("m.png"), 8, np.ones(s, bool)) for s in ((5, 9), SIZE)
    )
    prompts = VideoPrompts(CLICKS, (), (), references=(fitting,))

    prompts.check(SIZE, 3, "clip")
    assert (prompts.object_ids, prompts.frames) == ((1, 5, 8), (0, 2))
    with pytest.raises(PromptError, match=r"m\.png is 6 x 4 pixels, .*cup\.png is 9 x 5"):
        VideoPrompts((), (), (), references=(other,)).check(SIZE, 3, "clip")


def test_a_reference_is_described_by_the_content_of_both_files(tmp_path):
    file, mask_hw = tmp_path / "cup.png", np.ones((5, 9), bool)
    texts = []
    for color, corner in (((1, 2, 3), True), ((9, 9, 9), True), ((9, 9, 9), False)):
        Image.new("RGB", (9, 5), color).save(file)
        mask_hw[0, 0] = corner
        reference = GivenReference(file, Path("m.png"), 8, mask_hw)
        texts += VideoPrompts((), (), (), references=(reference,)).described()

    assert len(set(texts)) == 3
    assert all(text.startswith("--reference cup.png:m.png:8 (pixels ") for text in texts)
