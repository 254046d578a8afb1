"""A run through a set: whatever is killed when, the set becomes what it would have been."""

import random
import sys
from types import SimpleNamespace

import torch

from sam2_hf.engine.set_run import LaunchedProcesses
from tests.engine.clips import content, run_label
from tests.engine.conftest import options
from tests.engine.killing import kill_a_worker, num_done, start, times_written, wait_until

LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
LAUNCH += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
LAUNCH += ["--dynamo_backend", "no", "--multi_gpu", "-m", "sam2_hf.cli"]  # or on CPUs


def test_a_killed_driver_is_continued_by_launched_processes(
    clips, tiny_folder, whole_set, tmp_path
):
    chance, out = random.Random(1), tmp_path / "set"
    arguments = [clips.folder, *options(clips, tiny_folder), "--out", out]
    command = start(*arguments, "--workers", 2)
    wait_until(lambda: num_done(out) >= chance.randint(2, 12))
    kill_a_worker(out)
    command.kill()
    command.wait()
    before = times_written(out)

    written = run_label(*arguments, launcher=LAUNCH).stdout

    assert content(out) == content(whole_set)
    assert before.items() <= times_written(out).items()  # nothing was done twice
    assert 2 <= len(before) < clips.count
    assert written.count("40 of 40 videos labeled") == 1  # one of the two reports


def test_a_launched_process_on_a_cpu_computes_as_one_alone():
    """Accelerate calls the device cpu:0, on which torch and the fast paths compute otherwise."""
    state = SimpleNamespace(device=torch.device("cpu", 0), is_main_process=False)

    assert LaunchedProcesses(state).device == "cpu"
    assert LaunchedProcesses(SimpleNamespace(device=torch.device("cuda", 1))).device == "cuda:1"
    assert LaunchedProcesses().device is None
