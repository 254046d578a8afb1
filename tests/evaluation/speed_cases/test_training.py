"""How fast training is."""

import pytest

from evaluation.speed_cases.training import (
    TRAINING_CASES,
    clip_source,
    photo_source,
    spread_of,
    steady_rows,
    time_training,
)
from sam2_hf.data.config import SourceConfig

pytest.importorskip("accelerate", reason="training needs accelerate")


def test_it_trains_and_reads_speed_and_waiting_from_the_log(tiny_checkpoint, capsys):
    source = SourceConfig("synthetic", name="photos", batch_size=2)

    speed, waiting = time_training(source, 2, str(tiny_checkpoint))

    assert speed.case == "training, photos, 2 a step (made up)"
    assert speed.unit == "/s"
    assert speed.ours > 0
    assert (waiting.unit, waiting.transformers) == ("%", None)
    assert 0 <= waiting.ours < 100
    assert capsys.readouterr().out == ""


def test_data_are_made_up_or_lie_in_a_folder(tmp_path):
    assert photo_source(None).kind == clip_source(None).kind == "synthetic"
    assert photo_source(tmp_path).path == str(tmp_path / "bsds500/train")
    assert clip_source(tmp_path).path == str(tmp_path / "davis16-half")
    assert (photo_source(None).num_frames, clip_source(None).num_frames) == (1, 4)


def test_the_log_is_read_as_numbers_without_its_first_row(tmp_path):
    (tmp_path / "train.csv").write_text("step,loss\n2,0.5\n4,0.25\n6,0.125\n")

    assert steady_rows(tmp_path / "train.csv") == [
        {"step": 4, "loss": 0.25},
        {"step": 6, "loss": 0.125},
    ]


def test_the_spread_is_the_distance_of_the_quartiles_over_the_median():
    assert spread_of([4, 1, 2, 3]) == pytest.approx((4 - 2) / 2.5)
    assert spread_of([5]) == 0


def test_there_is_a_case_for_photos_and_one_for_clips():
    assert list(TRAINING_CASES) == ["train-photos", "train-clips"]
