"""Processes of `sam2-hf label` that are started, watched and killed."""

import os
import signal
import subprocess
import time

from tests.engine.clips import SECONDS, label_command


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
