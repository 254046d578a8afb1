import os
import signal

import pytest
import yaml

from sam2_hf.errors import TrainingError
from sam2_hf.interruption import DONE, FAILED, INTERRUPTED
from sam2_hf.training import checkpointing, train as program, trainer
from sam2_hf.training.learner import Learner
from sam2_hf.training.train import main, train
from tests.training.small_runs import settings, write_config
from tests.training.test_checkpointing_models import FakeHub

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def file(world):
    return str(write_config(settings(world, steps=1), world / "run.yaml"))


def test_the_program_trains_and_says_where_the_model_is(file, world, capsys):
    assert train(["--config", file, "--set", "seed=4", "--set", "checkpoints.keep=1"]) == DONE

    assert f"the model to use is in {world / 'run' / 'last'}" in capsys.readouterr().out
    written = yaml.safe_load((world / "run" / "config.yaml").read_text())
    assert (written["seed"], written["checkpoints"]["keep"]) == (4, 1)


def test_the_model_is_pushed_on_request(file, monkeypatch, capsys):
    hub = FakeHub()
    monkeypatch.setattr(checkpointing, "HfApi", hub)

    train(["--config", file, "--push", "me/mine"])

    assert hub.uploaded[-1] == ("me/mine", "last")
    assert "pushed to https://hf.co/me/mine" in capsys.readouterr().out


def test_a_second_run_in_the_same_folder_has_to_be_asked_for(file):
    train(["--config", file])

    with pytest.raises(TrainingError, match="--resume continues"):
        train(["--config", file])
    assert train(["--config", file, "--resume"]) == DONE


def test_ctrl_c_says_how_to_go_on(file, monkeypatch, capsys):
    stop = lambda *_, **__: os.kill(os.getpid(), signal.SIGINT)  # noqa: E731
    whole = Learner.step
    monkeypatch.setattr(Learner, "step", lambda *arguments: (stop(), whole(*arguments))[1])

    assert train(["--config", file, "--set", "steps=3"]) == INTERRUPTED

    assert "stopped after step 1 of 3" in (said := capsys.readouterr().out)
    assert "--resume continues" in said


def test_a_second_ctrl_c_says_what_is_left(file, world, monkeypatch, capsys):
    whole, done = Learner.step, []

    def step(*arguments):
        done.append(arguments)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return whole(*arguments)

    monkeypatch.setattr(Learner, "step", step)
    assert train(["--config", file, "--set", "steps=4"]) == INTERRUPTED

    said = capsys.readouterr().out
    assert f"stopped at once; the last checkpoint is {world / 'run' / 'checkpoints'}" in said
    assert "step-00000002" in said


def test_ctrl_c_before_the_run_begins_says_that_nothing_is_there(file, monkeypatch, capsys):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "make_model", stop)

    assert train(["--config", file]) == INTERRUPTED

    assert "there is no checkpoint of the run" in capsys.readouterr().out


def test_an_error_is_one_message_and_an_exit_code(monkeypatch, capsys):
    monkeypatch.setattr(program.sys, "argv", ["train", "--config", "nowhere.yaml"])

    assert main() == FAILED

    assert capsys.readouterr().err.startswith("error: there is no file nowhere.yaml")
