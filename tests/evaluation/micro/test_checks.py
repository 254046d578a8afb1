"""What else a small model must do, on photos and clips of a few pixels."""

import json

import numpy as np
import pytest

from evaluation.micro.checks import box_around, edges_on_borders, main
from evaluation.micro.sets import HARD_CLIPS
from tests.labeled_squares import square_mask, write_clips

SIDE, WINDOW = 256, 32


def test_every_check_is_written_down(small_data, tiny_checkpoint, tmp_path, capsys):
    write_clips(small_data, HARD_CLIPS)
    out = tmp_path / "checks.json"
    options = ["--data", str(small_data), "--model", str(tiny_checkpoint), "--out", str(out)]

    assert main([*options, "--device", "cpu"]) == 0

    found = json.loads(out.read_text())["checks"]
    assert list(found) == [
        "bsds500/val, true boxes, mean IoU",
        "coco128 val, true boxes, mean IoU",
        "everything, 2 photos, mean best IoU",
        "edges on window borders, times chance",
        "true edges on window borders, times chance",
        "davis16 bmx-trees, J&F",
        "davis16 dance-twirl, J&F",
    ]
    assert capsys.readouterr().out.count("\n") == len(found)


def test_a_box_goes_from_the_first_to_the_last_pixel():
    assert box_around(square_mask()) == (6, 8, 13, 15)


def test_tiles_of_the_windows_size_have_all_their_edges_on_borders():
    rows, columns = np.indices((SIDE, SIDE)) // WINDOW

    on_border, edges, expected = edges_on_borders((rows + columns) % 2 == 0, SIDE, WINDOW)

    assert on_border == edges
    assert on_border / expected > 5


def test_edges_anywhere_lie_on_borders_by_chance():
    mask_hw = np.random.default_rng(0).random((240, 320)) < 0.5

    on_border, _, expected = edges_on_borders(mask_hw, SIDE, WINDOW)

    assert on_border / expected == pytest.approx(1.0, abs=0.03)


def test_the_frame_of_the_picture_is_no_border():
    mask_hw = np.zeros((SIDE, SIDE), bool)
    mask_hw[1:-1, 1:-1] = True

    assert edges_on_borders(mask_hw, SIDE, WINDOW).tolist() == [0, 0, 0]
