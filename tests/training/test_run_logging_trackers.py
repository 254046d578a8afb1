"""Experiment trackers: what they are given, and what becomes of the run when one fails."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from accelerate import tracking
from accelerate.tracking import GeneralTracker

from sam2_hf.errors import MissingPackageError, TrainingError
from sam2_hf.training.config_io import as_yaml
from sam2_hf.training.run_logging import RunTrackers, require_trackers
from sam2_hf.training.trainer import make_accelerator
from tests.training.small_runs import (
    config_of,
    settings,
    tensors_of,
    train,
    trainer_of,
    unequal,
    validated,
)

NONE = {"every": 1, "picture_every": 0}


class FakeTracker(GeneralTracker):
    """Keeps what it is given, as W&B and others do elsewhere."""

    name = "fake"
    requires_logging_directory = False
    made: list["FakeTracker"] = []  # noqa: RUF012 - one list for all

    def __init__(self, project, **options):
        self.project, self.options = project, options
        self.settings, self.rows, self.is_finished = {}, [], False
        self.made.append(self)

    tracker = property(lambda self: self)

    def store_init_configuration(self, values):
        self.settings = values

    def log(self, values, step=None):
        self.rows.append((step, values))

    def finish(self):
        self.is_finished = True


@pytest.fixture
def fake(monkeypatch):
    """The trackers of that kind that were made; accelerate knows it as it knows W&B."""
    monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, "fake", FakeTracker)
    monkeypatch.setattr(FakeTracker, "made", [])
    return FakeTracker.made


def with_trackers(world, *names, **changes):
    return settings(world, logging={**NONE, "trackers": list(names)}, **changes)


def test_a_tracker_gets_the_settings_every_number_and_its_end(world, fake):
    train(with_trackers(world, "fake", validation=validated(world)))

    (tracker,) = fake
    assert tracker.project == "sam2-hf"
    assert tracker.settings["optimizer.learning_rate"] == 1e-3
    assert tracker.settings["data.0.path"] == "pairs"  # not where it is on the machine
    assert str(world) not in str(tracker.settings)
    steps = [step for step, values in tracker.rows if "train/loss" in values]
    scores = [values["valid/score"] for _, values in tracker.rows if "valid/score" in values]
    assert steps == [1, 2, 3, 4]
    assert len(scores) == 3  # before the first step and after every second
    assert tracker.is_finished


def test_tensorboard_gets_them_without_changing_a_bit_and_a_resumed_run_repeats_no_step(world):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    plain = train(settings(world, name="plain"))
    shown = with_trackers(world, "tensorboard")
    shown["logging"]["picture_every"] = 2
    first = trainer_of(shown)
    first.steps = 3
    shutil.rmtree(first.run().parent / "checkpoints" / "step-00000003")  # killed before it
    run = train(shown, resume=True)

    read = events.EventAccumulator(str(run / "trackers" / "sam2-hf")).Reload()

    assert unequal(tensors_of(plain, 4), tensors_of(run, 4)) == []
    losses = [(event.step, event.value) for event in read.Scalars("train/loss")]
    rows = (run / "train.csv").read_text().splitlines()[1:]
    assert losses == [
        (int(step), pytest.approx(float(loss), rel=1e-4))
        for step, loss in (row.split(",")[:2] for row in rows)
    ]
    assert [event.step for event in read.Images("predictions")] == [0, 2, 4]


def test_a_resumed_run_keeps_its_name_and_a_new_one_gets_another(world, fake):
    config = config_of(with_trackers(world, "fake"))
    name = Path(config.output) / "trackers" / "run-name.txt"
    names = []
    for done in (0, 3, 0):
        RunTrackers(make_accelerator(config), config, done).close()
        names.append(name.read_text())

    assert names[0].startswith("run-")
    assert names[0] == names[1] != names[2]
    assert [bool(tracker.settings) for tracker in fake] == [True, False, True]


def test_services_get_the_run_to_continue(world, fake, monkeypatch):
    config = config_of(with_trackers(world, "wandb", "trackio"))
    for name in config.logging.trackers:
        monkeypatch.setitem(tracking.LOGGER_TYPE_TO_CLASS, name, FakeTracker)
    monkeypatch.setattr(
        tracking, "_available_trackers", [tracking.LoggerType.WANDB, tracking.LoggerType.TRACKIO]
    )

    RunTrackers(make_accelerator(config), config, 2).close()

    name = (Path(config.output) / "trackers" / "run-name.txt").read_text().strip()
    wandb, trackio = (tracker.options for tracker in fake)
    assert (wandb["id"], wandb["resume"]) == (name, "allow")
    assert trackio == {"name": name, "resume": "allow"}


def test_a_tracker_that_fails_is_dropped_and_the_run_continues(world, fake, capsys, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("the service is down.\nmore")

    monkeypatch.setattr(FakeTracker, "log", fail)

    run = train(with_trackers(world, "fake"))

    assert capsys.readouterr().out.count("fake: the service is down; continuing without it") == 1
    assert fake[0].is_finished
    assert len((run / "train.csv").read_text().splitlines()) == 5


def test_a_tracker_that_cannot_start_is_one_line_and_leaves_no_run(world, fake, monkeypatch):
    def fail(_):
        raise ValueError("no API key.\nmore")

    monkeypatch.setattr(FakeTracker, "start", fail)
    content = with_trackers(world, "fake")

    with pytest.raises(TrainingError, match=r"^logging\.trackers \(fake\) cannot .* no API key\."):
        train(content)
    monkeypatch.undo()

    train({**content, "logging": NONE})


def test_unknown_trackers_and_missing_packages_are_named_before_the_model_is_read(
    world, monkeypatch
):
    monkeypatch.setattr(tracking, "_available_trackers", [])

    with pytest.raises(TrainingError, match=r"has 'wandbb'\. Did you mean wandb\?"):
        make_accelerator(config_of(with_trackers(world, "wandbb")))
    with pytest.raises(MissingPackageError, match="pip install trackio"):
        make_accelerator(config_of(with_trackers(world, "trackio", model="nowhere")))
    require_trackers(["all"])


def test_the_setting_of_earlier_versions_means_the_same(world):
    old = config_of(settings(world, logging__tensorboard=True))

    assert old.logging.trackers == ("tensorboard",)
    assert "- tensorboard" in as_yaml(old)


def test_a_tracker_without_pictures_gets_none(world, fake):
    config = config_of(with_trackers(world, "fake"))
    trackers = RunTrackers(make_accelerator(config), config, 0)

    trackers.picture(1, np.zeros((3, 4, 3), np.uint8))
    trackers.log(1, {"loss": 0.5, "learning_rate": None})

    assert fake[0].rows == [(1, {"loss": 0.5})]
