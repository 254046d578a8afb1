import errno
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sam2_hf import atomic_write
from sam2_hf.errors import OutputError, TrainingError
from sam2_hf.training import checkpointing
from sam2_hf.training.checkpointing import (
    Checkpoint,
    RunState,
    checkpoints,
    prune_checkpoints,
    read_checkpoint,
    save_checkpoint,
)


def checkpoint(step):
    tensors = {"weights": {"a": torch.full((3,), float(step))}, "ema": {"b": torch.ones(())}}
    state = RunState(step=step, seconds=1.5, best_score=0.1 + 0.2, totals=[0.1, 3.0])
    return Checkpoint(state, "steps: 9\n", tensors)


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_checkpoint_is_read_as_it_was_written(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(7))

    read = read_checkpoint(path)

    assert read.state == checkpoint(7).state
    assert read.config == "steps: 9\n"
    assert read.tensors["weights"]["a"].equal(torch.full((3,), 7.0))
    assert read.tensors["ema"]["b"].shape == ()


def test_checkpoints_are_listed_by_step_and_only_whole_ones(tmp_path):
    for step in (100, 20, 3):
        save_checkpoint(tmp_path, checkpoint(step))
    (tmp_path / ".step-00000999.part").mkdir()
    (tmp_path / "step-9").mkdir()

    assert [path.name[-3:] for path in checkpoints(tmp_path)] == ["003", "020", "100"]
    assert checkpoints(tmp_path / "nowhere") == []


def test_only_the_newest_are_kept(tmp_path):
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, checkpoint(step))
    (tmp_path / ".step-00000000.old").mkdir()  # left behind by a kill

    prune_checkpoints(tmp_path, keep=2)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize(
    ("module", "name"), [(checkpointing, "save_file"), (atomic_write, "_flush")]
)
def test_a_full_disk_loses_no_earlier_checkpoint(tmp_path, monkeypatch, module, name):
    first = save_checkpoint(tmp_path, checkpoint(1))
    monkeypatch.setattr(module, name, full_disk)

    with pytest.raises(OutputError, match="No space left on device"):
        save_checkpoint(tmp_path, checkpoint(2))

    assert list(tmp_path.iterdir()) == [first]
    assert read_checkpoint(first).state.step == 1


def test_what_a_killed_save_left_is_no_hindrance(tmp_path):
    (tmp_path / ".step-00000001.part").mkdir(parents=True)
    (tmp_path / ".step-00000001.part" / "weights.safetensors").write_bytes(b"half")

    path = save_checkpoint(tmp_path, checkpoint(1))

    assert read_checkpoint(path).state.step == 1


def test_a_step_that_is_saved_already_stays_with_the_settings_of_now(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path, checkpoint(1))
    monkeypatch.setattr(checkpointing, "save_file", full_disk)

    save_checkpoint(tmp_path, replace(checkpoint(1), config="steps: 10\n"))

    assert read_checkpoint(path).config == "steps: 10\n"
    assert read_checkpoint(path).tensors["weights"]["a"].eq(1).all()


def test_a_kill_between_two_names_leaves_no_half_checkpoint(tmp_path, monkeypatch):
    first, half = (save_checkpoint(tmp_path, checkpoint(step)) for step in (1, 2))
    (half / "weights.safetensors").unlink()
    whole_replace = Path.replace

    def replace_once(self, target):
        if self.name.endswith(".part"):
            raise KeyboardInterrupt
        return whole_replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, checkpoint(2))

    assert checkpoints(tmp_path) == [first]


def test_a_half_checkpoint_is_replaced(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(1))
    (path / "ema.safetensors").unlink()

    save_checkpoint(tmp_path, checkpoint(1))

    assert read_checkpoint(path).tensors["ema"]["b"] == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("file", ["weights.safetensors", "state.json", "config.yaml"])
def test_a_file_that_is_missing_is_named(tmp_path, file):
    path = save_checkpoint(tmp_path, checkpoint(1))
    (path / file).unlink()

    with pytest.raises(TrainingError, match=rf"step-00000001 cannot be read: it has no .*{file}"):
        read_checkpoint(path)


def earlier_version(path):
    """Rewrite a checkpoint as it was before its files were listed."""
    state = json.loads((path / "state.json").read_text())
    del state["files"]
    (path / "state.json").write_text(json.dumps({**state, "processes": 1}))


def test_a_checkpoint_of_an_earlier_version_is_read(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(7))
    earlier_version(path)
    with pytest.raises(TrainingError, match=r"it has no optimiser\.safetensors"):
        read_checkpoint(path)
    (path / "optimiser.safetensors").write_bytes((path / "ema.safetensors").read_bytes())

    assert read_checkpoint(path).state == checkpoint(7).state


def test_an_old_checkpoint_that_cannot_be_removed_does_not_end_a_run(tmp_path, monkeypatch):
    paths = [save_checkpoint(tmp_path, checkpoint(step)) for step in (1, 2)]
    monkeypatch.setattr(Path, "replace", full_disk)

    prune_checkpoints(tmp_path, keep=1)

    assert checkpoints(tmp_path) == paths


@pytest.mark.parametrize("file", ["weights.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path, file):
    path = save_checkpoint(tmp_path, checkpoint(1))
    (path / file).write_bytes(b"{")

    with pytest.raises(TrainingError, match=r"step-00000001 cannot be read.*Remove it"):
        read_checkpoint(path)


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    path = save_checkpoint(tmp_path, checkpoint(1))
    state = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**state, "format": 99}))

    with pytest.raises(TrainingError, match="another version"):
        read_checkpoint(path)
