"""Save sessions until killed, many times; run by test_checkpoint_files.py as a program of its own.

A fork for each round, since starting Python takes longer than the rounds.

Usage: save_until_killed.py FOLDER ROUNDS SEED
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

from sam2_hf.video.storage.checkpoint_files import SavedSession, read_session, write_session
from sam2_hf.video.storage.record_store import RecordStore

FRAMES = 12


def save_for_ever(folder, first):
    """Track frames round and round, and save each lap."""
    history = RecordStore(ram_budget=20_000, folder=folder / "spill", segment_bytes=30_000)
    for lap in range(first, first + 10_000):
        values = torch.full((3000,), lap, dtype=torch.int64)
        for frame in range(FRAMES):
            history.put((1, frame, "memory"), {"values": values + frame})
        write_session(folder, SavedSession({"lap": lap}, {"lap": values}, history))


def lap_of_the_last_save(folder):
    """Read the last save, whole; a part of another lap in it is an error."""
    saved = read_session(folder, ram_budget=0, spill_folder=folder / "spill")
    with saved.history as history:
        lap = saved.document["lap"]
        if not (saved.tensors["lap"] == lap).all() or len(history) != FRAMES:
            raise ValueError(f"save {lap} is not whole")
        for frame in range(FRAMES):
            if not (history.get((1, frame, "memory"))["values"] == lap + frame).all():
                raise ValueError(f"frame {frame} of save {lap} is of another save")
    return lap


def kill_oneself_while_saving(operation):
    """End this process, as kill -9 does, just before the first save's so-manieth file operation."""
    left = operation

    def count(event, _):
        nonlocal left
        if event == "open" or event.startswith(("os.", "shutil.")):
            frame = sys._getframe()
            while frame and frame.f_code is not write_session.__code__:
                frame = frame.f_back
            left -= frame is not None
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def main(folder, rounds, seed):
    """Kill every second process at the next file operation of a save, the others at any moment."""
    chance = random.Random(seed)
    os.fsync = lambda descriptor: (
        None
    )  # what a killed process wrote is not lost, and disks are slow
    lap = -1
    for number in range(rounds):
        child = os.fork()
        if not child:
            kill_oneself_while_saving(1 + number // 2 if number % 2 else sys.maxsize)
            save_for_ever(folder, lap + 1)
        if not number % 2:
            time.sleep(chance.uniform(0.0, 0.05))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if lap >= 0 or (folder / "current.json").exists():
            newer = lap_of_the_last_save(folder)
            if newer < lap:
                raise ValueError(f"save {newer} after save {lap}")
            lap = newer
    sys.stdout.write(f"{lap}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
