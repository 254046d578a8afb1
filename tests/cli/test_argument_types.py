"""What the texts of the command line mean."""

import argparse
from pathlib import Path

import pytest

from sam2_hf.cli import argument_types
from sam2_hf.video.session_options import MEMORY_POLICIES, SessionOptions


def test_a_click_in_a_video_names_frame_object_and_place():
    assert argument_types.video_click("12:3:290.5,225") == (12, 3, (290.5, 225.0, True))
    assert argument_types.video_click("0:-1:4,5,-") == (0, -1, (4.0, 5.0, False))


def test_a_box_and_a_mask_do_too():
    assert argument_types.video_box("0:1:1,2,3,4") == (0, 1, (1.0, 2.0, 3.0, 4.0))
    assert argument_types.video_mask("7:2:C:/a:b.png") == (7, 2, Path("C:/a:b.png"))


def test_a_reference_names_picture_mask_and_object(tmp_path):
    plain = argument_types.video_reference("dog.jpg:mask.png:-2")
    assert plain == (Path("dog.jpg"), Path("mask.png"), -2)

    picture, mask = tmp_path / "a:b.jpg", tmp_path / "c:1:d.png"
    for path in (picture, mask):
        path.touch()
    assert argument_types.video_reference(f"{picture}:{mask}:3") == (picture, mask, 3)


@pytest.mark.parametrize("text", ["", "a:1", "a:b:c", "a:b:", ":b:1", "a::1", "a:b:1.5"])
def test_a_reference_that_is_none_is_refused_with_an_example(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is not PICTURE.* such as"):
        argument_types.video_reference(text)


def test_a_reference_that_could_be_several_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(argparse.ArgumentTypeError, match="several ways, and none"):
        argument_types.video_reference("a:b:c:1")
    for name in ("a", "b:c", "a:b", "c"):
        Path(name).touch()
    with pytest.raises(argparse.ArgumentTypeError, match="several ways, and more than one"):
        argument_types.video_reference("a:b:c:1")


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


def test_memory_policies_are_those_of_sessions():
    """The command line lists them without importing torch."""
    assert list(MEMORY_POLICIES) == list(argument_types.POLICIES)
    for name in (*MEMORY_POLICIES, "samurai+distractor"):
        assert argument_types.memory_policy(name) == name
        SessionOptions(memory_policy=name)


@pytest.mark.parametrize("text", ["", "sam", "tree+sam2", "samurai+", "sam2+score+samurai"])
def test_another_memory_policy_is_refused_with_those_there_are(text):
    with pytest.raises(
        argparse.ArgumentTypeError, match="choose one of sam2, score, samurai"
    ) as told:
        argument_types.memory_policy(text)
    assert "or two of them (except tree) joined by +" in str(told.value)
