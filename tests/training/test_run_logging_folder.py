from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import TrainingError
from sam2_hf.training.config_io import read_config
from sam2_hf.training.run_logging import RunFolder, duration, training_line
from tests.training.small_runs import config_of, settings, trainer_of

ROW = {
    **{"step": 20, "loss": 1.5, "focal": 0.01, "dice": 0.5, "iou": 0.1, "object_score": 0.2},
    **{"first_iou": 0.5, "last_iou": 0.75, "gradient_norm": 1.0, "learning_rate": 1e-4},
    **{
        "seconds": 10.0,
        "clips_per_second": 4.0,
        "loader_share": 0.25,
        "click_share": 0.125,
        "skipped": 3,
    },
}


@pytest.fixture
def folder(world):
    return RunFolder(config_of(settings(world)))


def test_a_folder_without_a_run_begins_one(folder):
    assert folder.newest(resume=False) is None
    assert folder.newest(resume=True) is None


def test_a_run_is_only_gone_on_with_on_request(folder):
    for step in (20, 100):
        (folder.checkpoints / f"step-{step:08d}").mkdir(parents=True)

    assert folder.newest(resume=True).name == "step-00000100"
    with pytest.raises(TrainingError, match=r"has finished 100 steps\. --resume"):
        folder.newest(resume=False)


def test_a_file_is_no_output(folder):
    folder.root.write_text("mine")

    with pytest.raises(TrainingError, match="which is a file"):
        folder.newest(resume=True)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("name", ["best", "last", "train.csv"])
def test_data_of_others_are_not_replaced(folder, name, resume):
    (folder.root / name).mkdir(parents=True)

    with pytest.raises(TrainingError, match=rf"no checkpoint of a run, but {name}.*Choose another"):
        folder.newest(resume=resume)


def test_a_run_killed_before_its_first_checkpoint_begins_anew_on_request(folder):
    folder.open(0, [])

    with pytest.raises(TrainingError, match=r"train\.csv.*--resume starts the run there over"):
        folder.newest(resume=False)

    assert folder.newest(resume=True) is None


def test_an_output_that_cannot_be_used_is_refused_before_the_model_is_read(world):
    (world / "run").write_text("mine")

    with pytest.raises(TrainingError, match="which is a file"):
        trainer_of(settings(world, model="nowhere"))


def test_settings_are_written_as_they_can_be_read(folder):
    folder.open(0, [])

    assert read_config(str(folder.root / "config.yaml")) == folder.config


def test_rows_go_to_their_files(folder):
    folder.open(0, ["photos"])

    folder.log_training(ROW)
    folder.log_validation({"step": 20, "score": 0.5, "photos": 0.5})

    assert (folder.root / "train.csv").read_text().splitlines()[1].startswith("20,1.5,0.01,0.5")
    assert (folder.root / "valid.csv").read_text() == "step,score,photos\n20,0.5,0.5\n"


def test_a_picture_that_cannot_be_written_does_not_end_a_run(folder, monkeypatch, capsys):
    folder.open(0, [])
    picture = np.zeros((3, 4, 3), np.uint8)
    folder.log_picture(7, picture)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "full")))
        folder.log_picture(8, picture)

    assert [p.name for p in (folder.root / "pictures").iterdir()] == ["step-00000007.png"]
    with Image.open(folder.root / "pictures" / "step-00000007.png") as written:
        assert written.size == (4, 3)
    assert "full; continuing without it" in capsys.readouterr().out


def test_a_line_tells_the_loss_the_speed_and_the_wait_for_data():
    line = training_line(ROW, 100, left_s=3700)

    for part in (
        "step 20/100",
        "loss 1.500",
        "0.500 -> 0.750",
        "4.00 clips/s",
        "loader 25 %  clicks 12 %",
    ):
        assert part in line
    assert line.endswith("skipped 3  left 1 h 1 min")


@pytest.mark.parametrize(
    ("seconds", "text"), [(5.2, "5 s"), (61, "1 min"), (3600, "1 h 0 min"), (90061, "25 h 1 min")]
)
def test_durations_are_written_in_two_units(seconds, text):
    assert duration(seconds) == text
