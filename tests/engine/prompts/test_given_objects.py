"""Prompts of files, in pixels and frames of their video."""

import json

import pytest

from sam2_hf import rle
from sam2_hf.engine.prompts.given_objects import GivenObject, GivenPrompt, trailing_number
from sam2_hf.errors import DataError, FrameError

SIZE = (100, 200)


def test_percent_become_pixels_and_boxes_are_cut_at_the_edges():
    prompt = GivenPrompt(0, ((50.0, 10.0, True),), (-5.0, 10.0, 50.0, 120.0), is_percent=True)

    found = prompt.on_video(SIZE, 10, "file")

    assert found.clicks == ((100.0, 10.0, True),)
    assert found.box == (0.0, 10.0, 100.0, 100.0)
    assert found.by == "file"


@pytest.mark.parametrize(
    ("frame", "clock", "expected"), [(4, 0, 4), (9, 11, 9), (10, 11, 9), (5, 20, 2)]
)
def test_frames_of_another_clock_are_those_of_the_same_time(frame, clock, expected):
    assert (
        GivenPrompt(frame, clicks=((1, 1, True),), clock=clock).on_video(SIZE, 10, "").frame
        == expected
    )


def test_polygons_become_masks():
    found = GivenPrompt(0, segmentation=[[10, 10, 30, 10, 30, 40, 10, 40]]).on_video(SIZE, 1, "")

    mask_hw = rle.decode(rle.from_coco(found.mask))
    assert mask_hw[11:39, 11:29].all()
    assert mask_hw.sum() == pytest.approx(600, rel=0.1)


def test_frames_beyond_the_video_and_masks_of_another_size_are_refused():
    with pytest.raises(FrameError, match="frame 10, but the video has 10 frame"):
        GivenPrompt(10, ((1, 1, True),)).on_video(SIZE, 10, "")
    other = {"size": [50, 200], "counts": [10000]}
    with pytest.raises(DataError, match="200x50, its video 200x100"):
        GivenPrompt(0, segmentation=other).on_video(SIZE, 10, "")


def test_an_object_comes_back_from_its_file():
    given = GivenObject(
        (GivenPrompt(3, ((1.0, 2.0, False),), (0.0, 0.0, 5.0, 5.0)),), "cup", "file"
    )

    assert GivenObject.from_json(json.loads(json.dumps(given.as_json()))) == given


def test_the_number_of_a_frame_is_what_its_name_ends_with():
    assert trailing_number("frame_000012") == 12
    assert trailing_number("2024_cup") is None
