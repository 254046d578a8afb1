"""The bundled model's folder from the runs that made it."""

import csv
import shutil

import pytest
import torch
from safetensors.torch import load_file

from evaluation.micro.bundle import joined, main
from sam2_hf import Sam2VideoModel

TRAIN = "step,loss,learning_rate,seconds\n20,3.0,0.1,10\n40,2.0,0.1,20.5\n"
VALID = "step,score,photos\n0,0.1,0.1\n40,0.2,0.2\n"


@pytest.fixture
def runs(tiny_checkpoint, tmp_path):
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        shutil.copytree(tiny_checkpoint, folder / "best")
        (folder / "train.csv").write_text(TRAIN)
        (folder / "valid.csv").write_text(VALID)
        (folder / "config.yaml").write_text(f"output: {folder.name}\n")
    return folders


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_weights_take_half_the_space_and_load_as_float32(runs, tmp_path):
    assert main([*map(str, runs), str(tmp_path / "out")]) == 0

    stored = load_file(tmp_path / "out" / "model.safetensors")
    before = Sam2VideoModel.from_pretrained(runs[-1] / "best").state_dict()
    loaded = Sam2VideoModel.from_pretrained(tmp_path / "out")
    assert stored["no_object_pointer"].dtype == torch.bfloat16
    assert loaded.dtype == torch.float32
    for name, weight in loaded.state_dict().items():
        torch.testing.assert_close(weight, before[name], rtol=1e-2, atol=1e-2)


def test_logs_are_joined_and_counted_through(runs, tmp_path):
    main([*map(str, runs), str(tmp_path / "out")])

    training, validation = (
        rows_of(tmp_path / "out" / name) for name in ("training.csv", "validation.csv")
    )
    assert [row["step"] for row in training] == ["20", "40", "60", "80"]
    assert [row["seconds"] for row in training] == ["10", "20.5", "30.5", "41"]
    assert [row["loss"] for row in training] == ["3.0", "2.0", "3.0", "2.0"]
    assert [row["step"] for row in validation] == ["0", "40", "40", "80"]
    assert [row["part"] for row in validation] == ["1", "1", "2", "2"]


def test_what_was_replaced_is_counted_through_too():
    row = {"step": "20", "seconds": "1"}
    logs = [[{**row, "skipped": "3"}], [{**row, "skipped": "0"}, {**row, "skipped": "4"}]]

    assert [row["skipped"] for row in joined(logs, logs)] == ["3", "3", "7"]


def test_recipes_and_curves_lie_beside_and_the_card_stays(runs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("the card")

    main([*map(str, runs), str(out)])

    assert (out / "recipe-2.yaml").read_text() == "output: second\n"
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "README.md").read_text() == "the card"


@pytest.mark.parametrize("lost", ["train.csv", "config.yaml", "best/model.safetensors"])
def test_a_run_that_is_not_whole_is_one_line_and_nothing_is_written(runs, tmp_path, capsys, lost):
    (runs[-1] / lost).unlink()

    assert main([*map(str, runs), str(tmp_path / "out")]) == 2

    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "out").exists()
