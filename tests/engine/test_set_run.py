"""A run through a set: whatever is killed when, the set becomes what it would have been."""

import random
import sys
import time

import pytest

from tests.engine.clips import content, run_label
from tests.engine.conftest import options
from tests.engine.killing import kill_a_worker, num_done, start, times_written, wait_until

LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
LAUNCH += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
LAUNCH += ["--dynamo_backend", "no", "--cpu", "-m", "sam2_hf.cli"]


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

    run_label(*arguments, launcher=LAUNCH)

    assert content(out) == content(whole_set)
    assert before.items() <= times_written(out).items()  # nothing was done twice
    assert 2 <= len(before) < clips.count


@pytest.mark.parametrize("seed", range(1))
def test_a_worker_alone_that_is_killed_is_continued(seed, clips, tiny_folder, whole_set, tmp_path):
    chance, out = random.Random(seed), tmp_path / "set"
    arguments = [clips.folder, *options(clips, tiny_folder), "--out", out]
    command = start(*arguments)
    wait_until(lambda: num_done(out) >= chance.randint(1, 30))
    time.sleep(chance.random() / 10)
    command.kill()
    command.wait()

    run_label(*arguments)

    assert content(out) == content(whole_set)
