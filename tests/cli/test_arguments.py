"""What may be written on the command line."""

import argparse

import pytest

from sam2_hf.cli.arguments import COMMANDS, box, build_parser, point, read_arguments
from sam2_hf.cli.program import MODULES


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


def test_negative_coordinates_need_no_equals_sign():
    arguments = read_arguments(
        ["segment", "a.jpg", "--box", "-10,5,20,30", "--point", "-.5,7,-", "--value-range", "-9,9"]
    )

    assert arguments.boxes == [(-10, 5, 20, 30)]
    assert arguments.points == [(-0.5, 7, False)]
    assert arguments.value_range == (-9, 9)


def test_photos_stand_anywhere_between_the_options():
    arguments = read_arguments(["segment", "a.jpg", "--point", "1,2", "b.jpg", "-", "--all"])

    assert arguments.photos == ["a.jpg", "b.jpg", "-"]
    assert read_arguments(["segment", "--point", "1,2", "c.jpg"]).photos == ["c.jpg"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["segmnet", "a.jpg"], "there is no command 'segmnet'. Did you mean segment?"),
        (["segment", "a.jpg", "--pont=1,2"], "there is no option --pont. Did you mean --point?"),
        (["track", "a.mp4", "--point", "1,2"], "Did you mean --click?"),
        (["convert", "a.pt", "out", "more"], "'more' is an unexpected argument"),
    ],
)
def test_a_misspelled_word_names_the_nearest(words, told, capsys):
    with pytest.raises(SystemExit):
        read_arguments(words)

    assert told in capsys.readouterr().err


def test_every_command_has_options_and_a_module():
    assert set(COMMANDS) == set(MODULES)
