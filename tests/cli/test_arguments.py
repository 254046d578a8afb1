"""What may be written on the command line."""

import argparse

import pytest

from sam2_hf.cli.arguments import box, build_parser, point


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("290,225", (290, 225, True)),
        ("290,225,+", (290, 225, True)),
        ("400.5,60,-", (400.5, 60, False)),
        ("-3,7", (-3, 7, True)),
    ],
)
def test_a_point_is_two_numbers_and_perhaps_a_sign(text, expected):
    assert point(text) == expected


@pytest.mark.parametrize("text", ["290", "1,2,3", "a,b", "1,2,-,-", "nan,1", "", "1;2"])
def test_other_points_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not X,Y or X,Y,- such as"):
        point(text)


def test_a_box_is_four_numbers():
    assert box("1,2,3.5,4") == (1, 2, 3.5, 4)


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "1,2,3,x", "1,2,3,inf"])
def test_other_boxes_are_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is not X0,Y0,X1,Y1 such as"):
        box(text)


def test_points_and_boxes_are_collected():
    arguments = build_parser().parse_args(
        ["segment", "cup.jpg", "--point", "1,2", "--point=3,4,-", "--box", "0,0,9,9"]
    )

    assert arguments.points == [(1, 2, True), (3, 4, False)]
    assert arguments.boxes == [(0, 0, 9, 9)]


def test_options_of_the_search_that_are_not_given_are_not_there():
    arguments = build_parser().parse_args(["everything", "a.jpg", "b.jpg", "--crop-n-layers", "1"])

    assert arguments.photos == ["a.jpg", "b.jpg"]
    assert arguments.crop_n_layers == 1
    assert not hasattr(arguments, "points_per_side")
