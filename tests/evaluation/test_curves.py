"""Curves of a training run."""

import sys

import numpy as np
import pytest
from PIL import Image

from evaluation.curves import draw_curves, find_logs, main, read_table, smoothed
from sam2_hf.errors import DataError, MissingPackageError

TRAIN = "step,loss,focal,dice,last_iou,learning_rate\n" + "".join(
    f"{step},{9 / step},{0.1 / step},{1 / step},{1 - 1 / step},0.001\n" for step in range(1, 40)
)
VALID = "step,score,photos\n10,0.3,0.2\n20,,\n30,0.5,0.4\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "train.csv").write_text(TRAIN)
    (tmp_path / "valid.csv").write_text(VALID)
    return tmp_path


def test_columns_are_read_and_empty_cells_are_gaps(run):
    table = read_table(run / "valid.csv")

    assert table.steps.tolist() == [10, 20, 30]
    np.testing.assert_array_equal(table.columns["score"], [0.3, np.nan, 0.5])


def test_a_column_without_numbers_is_left_out(tmp_path):
    (tmp_path / "a.csv").write_text("step,loss,note\n1,2,fine\n")

    assert set(read_table(tmp_path / "a.csv").columns) == {"loss"}


def test_smoothing_averages_neighbors_and_leaves_gaps_out():
    values = np.array([1, 2, np.nan, 4, 5])

    np.testing.assert_allclose(smoothed(values, 3), [1.5, 1.5, 3, 4.5, 4.5])
    np.testing.assert_array_equal(smoothed(values, 0), values)
    assert np.isnan(smoothed(np.full(3, np.nan), 3)).all()


def test_a_panel_is_drawn_for_all_that_there_is(run):
    full, bare = run / "full.png", run / "bare.png"

    draw_curves(read_table(run / "train.csv"), read_table(run / "valid.csv"), full)
    losses = read_table(run / "train.csv")
    losses.columns.pop("last_iou")
    losses.columns.pop("learning_rate")
    draw_curves(losses, None, bare)

    heights = []
    for path in (full, bare):
        with Image.open(path) as picture:
            heights.append(picture.height)
    assert heights[0] == 4 * heights[1]


def test_a_log_without_losses_is_refused(run, tmp_path):
    with pytest.raises(DataError, match="none of the columns loss"):
        draw_curves(read_table(run / "valid.csv"), None, tmp_path / "a.png")


def test_logs_are_found_in_a_run_and_in_a_bundled_folder(run, tmp_path):
    bundled = tmp_path / "bundled"
    bundled.mkdir()
    (bundled / "training.csv").write_text(TRAIN)

    assert find_logs(run) == (run / "train.csv", run / "valid.csv")
    assert find_logs(bundled) == (bundled / "training.csv", None)


def test_the_program_writes_the_picture(run):
    assert main([str(run), str(run / "curves.png")]) == 0

    assert (run / "curves.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [None, "", "step,loss\n", "loss\n1\n"])
def test_a_folder_without_a_usable_log_is_an_error_in_one_line(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "train.csv").write_text(content)

    assert main([str(tmp_path), str(tmp_path / "curves.png")]) == 2

    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "curves.png").exists()


def test_without_matplotlib_the_error_says_what_to_install(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(MissingPackageError, match="pip install matplotlib"):
        draw_curves(read_table(run / "train.csv"), None, run / "a.png")
