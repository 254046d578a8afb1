"""A run through a set: whatever is killed when, the set becomes what it would have been."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.engine.clips import SECONDS, content, label_command, run_label
from tests.engine.conftest import options

LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
LAUNCH += ["--num_processes", "2", "--num_machines", "1", "--mixed_precision", "no"]
LAUNCH += ["--dynamo_backend", "no", "--cpu", "-m", "sam2_hf.cli"]


def start(*arguments):
    """Start the command in a process; what it writes is read from a file."""
    return subprocess.Popen(
        label_command(*arguments),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )


def wait_until(condition):
    end = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.002)
    return found


def num_done(out):
    return len(list((out / "videos").glob("[!.]*.jsonl"))) if (out / "videos").exists() else 0


def kill_a_worker(out):
    """Kill the process of any claim at this moment; returns its number."""

    def killed():
        for path in (out / "claims").glob("[!.]*"):
            try:
                number = int(path.read_text().splitlines()[1])
                os.kill(number, signal.SIGKILL)
            except (OSError, IndexError):
                continue
            return number
        return None

    return wait_until(killed)


def times_written(out):
    """When each labeled video was written, by name."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "videos").glob("[!.]*.jsonl")}


def test_ray_workers_of_which_one_is_killed_make_the_same_set(
    clips, tiny_folder, whole_set, tmp_path
):
    chance, out = random.Random(0), tmp_path / "set"
    arguments = [clips.folder, *options(clips, tiny_folder), "--out", out, "--workers", 2]
    command = start(*arguments)

    wait_until(lambda: num_done(out) >= chance.randint(2, 12))
    kill_a_worker(out)

    assert command.wait(SECONDS) == 0
    assert content(out) == content(whole_set)
    assert not list((out / "claims").iterdir())


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
