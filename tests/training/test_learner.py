import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sam2_hf.errors import TrainingError
from sam2_hf.training.data_loader import ClipRequest
from sam2_hf.training.learner import Totals, seed_for
from tests.training.small_runs import (
    farthest,
    settings,
    tensors_of,
    train,
    trainer_of,
    validated,
    write_config,
)

ROOT = Path(__file__).parents[2]
TIMES = ("seconds", "clips_per_second", "loader_share")
CLOSE = 1e-5  # parts of a batch are added up in another order


@pytest.fixture
def trainer(world, one_thread):
    return trainer_of(settings(world, ema_decay=0.9))


def one_step(trainer, step=0):
    batch = trainer.loader._loader.dataset._stream[ClipRequest(step)]
    return trainer.learner.step([batch], step, float(batch.num_objects))


def rows_of(run):
    """All rows of a run's logs, leaving out how long things took."""
    kept = []
    for name in ("train.csv", "valid.csv"):
        with (run / name).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                kept.append({key: float(row[key]) for key in row if key not in TIMES})
    return kept


def run_processes(mode, world, name, **changes):
    """Run trainings in forks of a process of their own."""
    path = write_config(settings(world, name, **changes), world / f"{name}.yaml")
    paths = [ROOT, ROOT / "tests" / "golden", ROOT / "tests" / "parity"]
    known = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
    program = [sys.executable, str(ROOT / "tests/training/forked_runs.py"), mode, str(path), "2"]
    done = subprocess.run(program, env=os.environ | known, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return world / name


def test_a_step_moves_what_learns(trainer):
    before = {name: p.detach().clone() for name, p in trainer.learner.model.named_parameters()}

    one_step(trainer)

    after = dict(trainer.learner.model.named_parameters())
    moved = {name.split(".")[0] for name in before if not before[name].equal(after[name])}
    assert {"vision_encoder", "mask_decoder"} <= moved
    assert all(parameter.grad is None for parameter in after.values())


def test_a_step_depends_on_nothing_but_its_number(world, one_thread):
    one, other = (trainer_of(settings(world, name)) for name in ("a", "b"))
    torch.manual_seed(99)

    values = one_step(one, step=3)

    torch.rand(7)
    assert one_step(other, step=3).equal(values)


def test_frozen_parts_do_not_move(world, one_thread):
    frozen = ["vision_encoder.*", "prompt_encoder.*"]
    trainer = trainer_of(settings(world, frozen=frozen, ema_decay=0.9))
    before = {name: p.detach().clone() for name, p in trainer.learner.model.named_parameters()}

    one_step(trainer)

    for name, parameter in trainer.learner.model.named_parameters():
        if name.startswith(("vision_encoder", "prompt_encoder")):
            assert parameter.equal(before[name])
            assert name not in trainer.learner.average.averages


def test_a_snapshot_takes_the_averaged_weights(trainer):
    for step in range(3):
        one_step(trainer, step)

    copy, name = trainer.learner.snapshot(), "mask_decoder.mask_tokens.weight"

    assert copy.get_parameter(name).equal(trainer.learner.average.averages[name])
    assert not copy.get_parameter(name).equal(trainer.learner.model.get_parameter(name))


def test_what_was_gathered_is_taken_over_bit_by_bit(trainer, world):
    one_step(trainer)
    tensors = trainer.learner.tensors()
    kept = {file: {n: t.clone() for n, t in part.items()} for file, part in tensors.items()}
    other = trainer_of(settings(world, "other", ema_decay=0.9, seed=5))

    other.learner.load(kept)

    again = other.learner.tensors()
    assert all(again[f][n].equal(t) for f, part in kept.items() for n, t in part.items())
    assert one_step(other, 1).isfinite().all()


def test_another_model_is_refused(trainer):
    tensors = trainer.learner.tensors()
    tensors["weights"]["strange"] = torch.zeros(1)

    with pytest.raises(TrainingError, match="weights do not fit the model: 1 names differ"):
        trainer.learner.load(tensors)


def test_the_gradient_is_limited(world, one_thread):
    tight = settings(world, optimizer__clip_norm=1e-3, optimizer__layer_decay=1.0)
    trainer = trainer_of(tight)
    norms = []
    trainer.learner.optimizer.step = lambda: norms.append(
        torch.stack(
            [p.grad.norm() for p in trainer.learner.learning.values() if p.grad is not None]
        )
    )

    one_step(trainer)

    assert norms[0].norm().item() == pytest.approx(1e-3, rel=1e-3)


def test_a_gradient_that_is_no_number_moves_nothing(trainer):
    learner = trainer.learner
    learner.model.mask_decoder.mask_tokens.weight.register_hook(lambda grad: grad * float("inf"))
    before = {name: p.detach().clone() for name, p in learner.learning.items()}

    values = one_step(trainer)

    assert Totals.of(values.tolist(), processes=1).spoilt == 1
    for name, parameter in learner.learning.items():
        assert parameter.equal(before[name])
        assert learner.average.averages[name].equal(before[name])
        assert parameter.grad is None


def test_weights_that_are_no_numbers_are_found(trainer):
    assert trainer.learner.is_finite()

    with torch.no_grad():
        trainer.learner.model.mask_decoder.mask_tokens.weight[0, 0] = float("nan")

    assert not trainer.learner.is_finite()


def test_accumulated_parts_learn_what_a_whole_batch_does(world, one_thread):
    whole = train(settings(world, "whole"))

    parts = train(settings(world, "parts", gradient_accumulation=2))

    assert farthest(tensors_of(whole, 4), tensors_of(parts, 4)) < CLOSE


def test_activations_computed_twice_give_the_same_step(world, one_thread):
    plain = train(settings(world, "plain", steps=2, drop_path=0.2))

    frugal = train(settings(world, "frugal", steps=2, drop_path=0.2, gradient_checkpointing=True))

    assert farthest(tensors_of(plain, 2), tensors_of(frugal, 2)) < CLOSE


def test_two_processes_learn_what_one_does(world, one_thread):
    changes = {"ema_decay": 0.9, "validation": validated(world, every=4)}
    one = train(settings(world, "one", **changes))

    two = run_processes("shared", world, "two", **changes)

    assert farthest(tensors_of(one, 4), tensors_of(two, 4)) < CLOSE
    for found, expected in zip(rows_of(two), rows_of(one), strict=True):
        assert found == pytest.approx(expected, rel=CLOSE)


@pytest.mark.slow
def test_two_processes_that_share_the_weights_learn_what_one_does(world, one_thread):
    one = train(settings(world, "one", ema_decay=0.9, steps=2))

    two = run_processes("sharded", world, "two", ema_decay=0.9, steps=2)

    assert farthest(tensors_of(one, 2), tensors_of(two, 2)) < CLOSE


def test_seeds_differ_for_any_other_numbers():
    seeds = {seed_for(a, b, c, d) for a in (0, 1) for b in range(5) for c in (0, 1) for d in (0, 1)}

    assert len(seeds) == 40
    assert all(0 <= seed < 2**63 for seed in seeds)
