"""Run trainings in forks; run by test_trainer.py and test_learner.py as a program of its own.

Forks, since starting Python takes longer than the runs; a program, since what a test process has
done before must not reach them.

Usage: forked_runs.py killed|shared|sharded CONFIG PROCESSES
"""

import os
import signal
import socket
import sys
from pathlib import Path

import accelerate
import datasets  # noqa: F401 - read before forking, so that it is read once
import torch
import yaml

from sam2_hf.training.checkpointing import prune_checkpoints, save_checkpoint
from sam2_hf.training.learner import Learner
from tests.training import small_runs

SAVES = (save_checkpoint.__code__, prune_checkpoints.__code__)
# steps (s) and file operations of saves (f) of a process before it kills itself
KILLS = (("s", 1), ("f", 9), ("s", 3), ("f", 14), ("f", 21))


def kill_oneself_in_a_save(operation):
    """End this process as kill -9 does, just before the so-manieth file operation of saves."""
    left = operation

    def count(event, _):
        nonlocal left
        if event == "open" or event.startswith(("os.", "shutil.")):
            frame = sys._getframe()
            while frame and frame.f_code not in SAVES:
                frame = frame.f_back
            left -= frame is not None
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def kill_oneself_after_steps(steps):
    """End this process as kill -9 does, when it has done so many steps and begins another."""
    whole_step, left = Learner.step, steps

    def step(self, *arguments):
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
        return whole_step(self, *arguments)

    Learner.step = step


def in_fork(work):
    """Begin some work in another process; returns its id."""
    child = os.fork()
    if not child:
        try:
            torch.set_num_threads(1)
            work()
        finally:
            sys.stdout.flush()
            os._exit(1 if sys.exc_info()[0] else 0)
    return child


def was_killed(child):
    """Wait for a process."""
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise RuntimeError("a run failed, see above")
    return os.WIFSIGNALED(status)


def train_killed(content):
    """Train with a process that is killed again and again; returns how often."""
    number = 0
    for kind, count in KILLS:
        prepare = kill_oneself_in_a_save if kind == "f" else kill_oneself_after_steps

        def work(prepare=prepare, count=count):
            prepare(count)
            small_runs.trainer_of(content, resume=True).run()

        number += was_killed(in_fork(work))
    if was_killed(in_fork(lambda: small_runs.trainer_of(content, resume=True).run())):
        raise RuntimeError("nobody kills the last one")
    return number


def train_shared(content, processes):
    """Train with several processes at a time."""

    def work(rank):
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
        small_runs.trainer_of(content).run()

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    os.environ |= {"WORLD_SIZE": str(processes), "ACCELERATE_USE_CPU": "true"}
    children = [in_fork(lambda rank=rank: work(rank)) for rank in range(processes)]
    for child in children:
        was_killed(child)


def shard_weights():
    """Have processes on the CPU share the weights, which accelerate only does for GPUs."""
    make = small_runs.make_accelerator

    def sharding(config):
        accelerator = make(config)
        accelerator.state.distributed_type = accelerate.DistributedType.FSDP
        accelerator.state.fsdp_plugin = accelerate.FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            transformer_cls_names_to_wrap=["HieraBlock"],
            cpu_ram_efficient_loading=False,
        )
        return accelerator

    small_runs.make_accelerator = sharding


def free_port():
    """Find a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


if __name__ == "__main__":
    os.fsync = lambda descriptor: None  # what a killed process wrote is not lost; disks are slow
    settings = yaml.safe_load(Path(sys.argv[2]).read_text(encoding="utf-8"))
    if sys.argv[1] == "killed":
        sys.stdout.write(f"\nkilled {train_killed(settings)} times\n")
    else:
        if sys.argv[1] == "sharded":
            shard_weights()
        train_shared(settings, int(sys.argv[3]))
