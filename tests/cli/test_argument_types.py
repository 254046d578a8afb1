"""What the texts of the command line mean."""

import argparse
from pathlib import Path

import pytest

from sam2_hf.cli import argument_types


def test_a_click_in_a_video_names_frame_object_and_place():
    assert argument_types.video_click("12:3:290.5,225") == (12, 3, (290.5, 225.0, True))
    assert argument_types.video_click("0:-1:4,5,-") == (0, -1, (4.0, 5.0, False))


def test_a_box_and_a_mask_do_too():
    assert argument_types.video_box("0:1:1,2,3,4") == (0, 1, (1.0, 2.0, 3.0, 4.0))
    assert argument_types.video_mask("7:2:C:/a:b.png") == (7, 2, Path("C:/a:b.png"))


@pytest.mark.parametrize(
    "text", ["", "1", "1:2", "1:2:", "a:1:2,3", "0:b:2,3", "-1:1:2,3", "0:1:2"]
)
def test_a_click_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not .* such as"):
        argument_types.video_click(text)


@pytest.mark.parametrize("text", ["-1", "1.5", "x", ""])
def test_a_number_that_counts_is_whole(text):
    with pytest.raises(argparse.ArgumentTypeError):
        argument_types.whole_number(text)


def test_a_count_is_at_least_one():
    assert argument_types.count("1") == 1
    with pytest.raises(argparse.ArgumentTypeError, match="at least 1"):
        argument_types.count("0")
