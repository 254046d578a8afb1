import errno
import multiprocessing
import os
import shutil
import signal
import time

import pytest
import torch
from accelerate.state import AcceleratorState

from sam2_hf.errors import OutputError, TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.training import callbacks, checkpointing
from sam2_hf.training.learner import Learner
from sam2_hf.training.trainer import Stopped
from tests.training.small_runs import (
    losses_of,
    settings,
    tensors_of,
    train,
    trainer_of,
    unequal,
    validated,
)
from tests.training.test_learner import run_processes

pytestmark = pytest.mark.usefixtures("one_thread")


def after_steps(monkeypatch, steps, act):
    """Have something happen after so many steps."""
    whole_step, done = Learner.step, []

    def step(self, *arguments):
        values = whole_step(self, *arguments)
        done.append(values)
        if len(done) == steps:
            act()
        return values

    monkeypatch.setattr(Learner, "step", step)


def fail_with(error):
    def fail(*_, **__):
        raise error

    return fail


def scores(monkeypatch, *values):
    """Have validations give these scores."""
    left = list(values)
    monkeypatch.setattr(callbacks, "mean_score", lambda _: left.pop(0))


@pytest.fixture
def fresh_accelerate():
    """A process has one precision; for this test it is another one."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_run_that_is_killed_again_and_again_ends_with_the_bits_of_one_that_is_not(world):
    changes = {"ema_decay": 0.9, "steps": 6}
    whole = train(settings(world, "whole", **changes))

    killed = run_processes("killed", world, "killed", **changes)

    assert unequal(tensors_of(whole, 6), tensors_of(killed, 6)) == []
    assert losses_of(whole) == losses_of(killed)
    assert len(list((killed / "checkpoints").iterdir())) == 2


def test_a_run_resumed_between_two_lines_of_the_log_tells_the_same_means(world):
    changes = {"steps": 3, "logging__every": 3, "checkpoints__every": 2}
    whole = train(settings(world, "whole", **changes))
    shutil.copytree(whole, world / "parts")
    shutil.rmtree(world / "parts" / "checkpoints" / "step-00000003")

    parts = train(settings(world, "parts", **changes), resume=True)

    assert losses_of(whole) == losses_of(parts)


def test_workers_change_nothing(world):
    alone = train(settings(world, "alone", steps=2))

    helped = train(settings(world, "helped", steps=2, workers=2))

    assert unequal(tensors_of(alone, 2), tensors_of(helped, 2)) == []


@pytest.mark.usefixtures("fresh_accelerate")
def test_half_precision_learns_too(world):
    run = train(settings(world, steps=2, precision="bf16", validation=validated(world)))

    assert all(tensor.dtype == torch.float32 for tensor in tensors_of(run, 2).values())
    assert float(losses_of(run)["2"][0]) > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_and_the_run_goes_on_with_equal_bits(world, monkeypatch, number):
    whole = train(settings(world, "whole", steps=3))
    after_steps(monkeypatch, 1, lambda: os.kill(os.getpid(), number))
    with pytest.raises(Stopped, match=r"stopped after step 1 of 3; the run is saved"):
        train(settings(world, "stopped", steps=3))
    monkeypatch.undo()

    stopped = train(settings(world, "stopped", steps=3), resume=True)

    assert unequal(tensors_of(whole, 3), tensors_of(stopped, 3)) == []
    assert losses_of(whole) == losses_of(stopped)


def test_a_finished_run_is_resumed_without_a_step(world, monkeypatch):
    run = train(settings(world, steps=2))
    before = (run / "train.csv").read_text()
    monkeypatch.setattr(Learner, "step", fail_with(AssertionError("a step")))

    train(settings(world, steps=2), resume=True)

    assert (run / "train.csv").read_text() == before


def test_another_config_is_refused_with_the_difference(world):
    train(settings(world, steps=2))

    with pytest.raises(TrainingError, match=r"(?s)seed was 0, is 3.*--allow-changes"):
        trainer_of(settings(world, steps=2, seed=3), resume=True)


def test_another_config_is_taken_on_request_and_told(world, capsys):
    train(settings(world, steps=2))

    trainer = trainer_of(settings(world, steps=3), resume=True, allow_changes=True)

    assert (trainer.state.step, trainer.steps) == (2, 3)
    assert "changed since the run was started: steps was 2, is 3" in capsys.readouterr().out


def test_the_best_model_is_kept(world, monkeypatch):
    scores(monkeypatch, 0.2, 0.9, 0.4)  # before the run, after 2 steps, at its end

    run = train(settings(world, validation=validated(world)))

    best, last = (Sam2VideoModel.from_pretrained(run / name) for name in ("best", "last"))
    name = "mask_decoder.mask_tokens.weight"
    assert best.get_parameter(name).equal(tensors_of(run, 2)[f"weights/{name}"])
    assert last.get_parameter(name).equal(tensors_of(run, 4)[f"weights/{name}"])
    assert "0.9000" in (run / "best" / "README.md").read_text()


def test_a_hook_sees_the_model_at_each_validation(world):
    trainer, seen = trainer_of(settings(world, steps=2, validation=validated(world))), []
    trainer.callbacks.hooks.append(lambda model, step: seen.append((step, model.training)))

    trainer.run()

    assert seen == [(0, False), (2, False)]


def test_pictures_are_drawn_as_often_as_asked(world):
    picked = settings(world, validation=validated(world, every=100), logging__picture_every=3)

    run = train(picked)

    drawn = sorted(path.stem for path in (run / "pictures").iterdir())
    assert drawn == ["step-00000000", "step-00000003", "step-00000004"]


def test_a_full_disk_loses_no_checkpoint_and_does_not_end_the_run(world, monkeypatch, capsys):
    whole_save, full = checkpointing.save_file, OSError(errno.ENOSPC, "No space left on device")
    failing = iter([False] * 2 + [True])  # the second checkpoint's first file

    def save(*arguments, **options):
        if next(failing, False):
            raise full
        whole_save(*arguments, **options)

    monkeypatch.setattr(checkpointing, "save_file", save)
    run = train(settings(world, steps=6))

    assert "No space left on device" in capsys.readouterr().out
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == [
        "step-00000002",
        "step-00000006",
    ]


def test_a_full_disk_at_the_end_is_an_error_and_the_run_can_be_resumed(world, monkeypatch):
    whole = train(settings(world, "whole"))
    fail = fail_with(OSError(errno.ENOSPC, "No space left on device"))
    after_steps(monkeypatch, 3, lambda: monkeypatch.setattr(checkpointing, "save_file", fail))
    with pytest.raises(OutputError, match="No space left"):
        train(settings(world, "full"))
    monkeypatch.undo()

    resumed = train(settings(world, "full"), resume=True)

    assert unequal(tensors_of(whole, 4), tensors_of(resumed, 4)) == []


def test_a_lack_of_memory_saves_and_says_what_to_lower(world, monkeypatch):
    fail = fail_with(torch.OutOfMemoryError("CUDA out of memory"))
    after_steps(monkeypatch, 1, lambda: monkeypatch.setattr(Learner, "_forward", fail))
    with pytest.raises(TrainingError) as caught:
        train(settings(world))
    monkeypatch.undo()

    assert "ran out of memory while training on 2 clip(s)" in str(caught.value)
    assert "The run is saved" in str(caught.value)
    assert trainer_of(settings(world), resume=True).state.step == 1


def test_a_lack_of_memory_in_a_validation_saves_too(world, monkeypatch):
    fail = fail_with(torch.OutOfMemoryError("CUDA out of memory"))
    act = lambda: monkeypatch.setattr(callbacks.Validation, "run", fail)  # noqa: E731
    after_steps(monkeypatch, 2, act)
    content = settings(world, validation=validated(world), checkpoints__every=100)

    with pytest.raises(TrainingError, match=r"ran out of memory\. Lower .*The run is saved"):
        train(content)

    assert trainer_of(content, resume=True).state.step == 2


def test_a_lack_of_memory_before_the_first_step_says_so(world, monkeypatch):
    fail = fail_with(torch.OutOfMemoryError("CUDA out of memory"))
    monkeypatch.setattr(callbacks.Validation, "run", fail)

    with pytest.raises(TrainingError, match="No step is done yet; --resume starts over"):
        train(settings(world, validation=validated(world)))

    assert trainer_of(settings(world), resume=True).state.step == 0


def test_a_worker_that_dies_saves_and_says_what_to_lower(world, monkeypatch):
    def kill_workers():
        for worker in multiprocessing.active_children():
            os.kill(worker.pid, signal.SIGKILL)
        time.sleep(0.5)

    after_steps(monkeypatch, 1, kill_workers)
    with pytest.raises(TrainingError, match=r"data worker died.*DataLoader worker.*workers: 0"):
        train(settings(world, workers=1, steps=20, checkpoints__every=100))


def test_weights_that_moved_without_being_counted_are_not_saved(world, monkeypatch):
    fail = fail_with(RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "))
    after_steps(monkeypatch, 3, fail)

    with pytest.raises(TrainingError, match=r"Killed\. Lower .* --resume continues from the last"):
        train(settings(world))

    assert trainer_of(settings(world), resume=True).state.step == 2


def test_a_gradient_that_is_no_number_ends_the_run_with_good_weights(world, monkeypatch):
    fail = lambda *_: torch.tensor(float("nan"))  # noqa: E731
    after_steps(monkeypatch, 2, lambda: monkeypatch.setattr(Learner, "_clip", fail))

    with pytest.raises(TrainingError, match="the loss or its gradient was not a finite number"):
        train(settings(world))

    assert all(tensor.isfinite().all() for tensor in tensors_of(world / "run", 2).values())


def test_weights_that_are_no_numbers_are_never_saved(world, monkeypatch):
    monkeypatch.setattr(Learner, "is_finite", lambda _: False)

    with pytest.raises(TrainingError, match="weights are not finite after step 2"):
        train(settings(world))

    assert not list((world / "run" / "checkpoints").glob("step-*"))


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(world, monkeypatch):
    spoilt = settings(world, optimizer__learning_rate=1e30, logging__every=100)
    spoilt["optimizer"] |= {"clip_norm": None, "warmup_steps": 0}

    with pytest.raises(TrainingError, match=r"not? .*finite number.*learning_rate"):
        train(spoilt)

    assert not list((world / "run" / "checkpoints").glob("step-*"))


def test_damaged_photos_are_counted_and_told(world, capsys):
    shutil.copytree(world / "pairs", world / "damaged")
    for number in range(3):
        (world / "damaged" / f"p{number}.jpg").write_bytes(b"no picture")
    damaged = {"kind": "pairs", "path": str(world / "damaged"), "batch_size": 2}

    run = train({**settings(world, steps=2), "data": [damaged]})

    assert int((run / "train.csv").read_text().split(",")[-1]) > 0
    assert "skipped pairs:" in capsys.readouterr().out
