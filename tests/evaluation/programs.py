"""Running evaluations as programs: in several processes, and killed in the middle."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "true"}
PATIENCE_S = 120
TWO_FORKS = """
import importlib, os, sys, traceback

main = importlib.import_module(sys.argv[1]).main
children = []
for rank in range(2):
    if not (child := os.fork()):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        status = 1
        try:
            status = main(sys.argv[2:])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    children.append(child)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


def all_files(folder):
    """Read every file of a folder, by its place there."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def run_in_two_processes(module, *options):
    """Run a module in two processes that talk by gloo, to the end.

    Each has as many threads as this process, since sums depend on them in their last bits. They are
    forks of a program that has imported the module, which takes longer than the run.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    done = subprocess.run(
        [sys.executable, "-c", TWO_FORKS, module, *map(str, options)],
        env=os.environ | ENVIRONMENT | place | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def kill_after(count, pattern, folder, module, *options):
    """Run a module, and kill it without warning once `count` files of a pattern are in a folder.

    It has as many threads as this process, since sums depend on them in their last bits.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *map(str, options)],
        env=os.environ | ENVIRONMENT | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
    )
    deadline = time.monotonic() + PATIENCE_S
    while len(list(folder.rglob(pattern))) < count:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline, "it does not get on"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
