"""Checkpoints of a run: all it takes to go on as if nothing had happened.

A checkpoint is a folder `step-00001000` with

- `weights.safetensors`: the model as it learns, by the model's own names;
- `optimiser.safetensors`: AdamW's averages, `name/exp_avg` and so on;
- `ema.safetensors`: the averaged weights, if there are any;
- `state.json`: counters and scores; `config.yaml`: the settings.

It is written under a hidden name that it loses when all of it is on the disk, so a folder of that
name is whole. Random numbers need no saving: each follows from the seed and the step.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sam2_hf.errors import OutputError, TrainingError

FORMAT = 1
NAME = re.compile(r"step-(\d{8})")
STATE, CONFIG = "state.json", "config.yaml"


@dataclass(slots=True)
class RunState:
    """The counters of a run.

    Attributes:
        step: Steps done.
        seconds: Time spent on them, over all attempts.
        skipped: Damaged photos and clips that were left out.
        best_score: Best validation score so far.
        best_step: After how many steps.
        totals: Sums of the logged values since the last line of the log.
        threads: Threads torch used; another number adds in another order.
        processes: Training processes.
        scaler: State of the fp16 loss scaler.
    """

    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    best_score: float | None = None
    best_step: int | None = None
    totals: list[float] | None = None
    threads: int = 0
    processes: int = 1
    scaler: dict[str, float] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All of a run at one moment.

    Attributes:
        state: Counters.
        config: The settings, as YAML.
        tensors: File name without its ending -> name -> tensor on the CPU.
    """

    state: RunState
    config: str
    tensors: Mapping[str, Mapping[str, Tensor]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint, whole or not at all.

    Args:
        folder: The folder of all checkpoints of the run.
        checkpoint: What to write.

    Returns:
        The folder it is in.

    Raises:
        OutputError: The disk is full or the folder cannot be written; earlier checkpoints stay.
    """
    target = folder / f"step-{checkpoint.state.step:08d}"
    hidden = folder / f".{target.name}.part"
    try:
        shutil.rmtree(hidden, ignore_errors=True)
        hidden.mkdir(parents=True)
        for name, tensors in checkpoint.tensors.items():
            save_file(dict(tensors), hidden / f"{name}.safetensors")
        state = {"format": FORMAT, **asdict(checkpoint.state)}
        (hidden / STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
        (hidden / CONFIG).write_text(checkpoint.config, encoding="utf-8")
        for path in hidden.iterdir():
            _flush(path)
        shutil.rmtree(target, ignore_errors=True)
        hidden.replace(target)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(hidden, ignore_errors=True)
        raise OutputError(
            f"cannot write the checkpoint {target}: {getattr(error, 'strerror', None) or error}. "
            "Earlier ones are as they were. Free some space or choose another output."
        ) from error
    return target


def checkpoints(folder: Path) -> list[Path]:
    """List the complete checkpoints of a run, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def drop_old(folder: Path, keep: int) -> None:
    """Remove all checkpoints but the newest."""
    for path in checkpoints(folder)[:-keep]:
        # under a hidden name first, since removing takes several moves and may be cut short
        hidden = path.with_name(f".{path.name}.old")
        shutil.rmtree(hidden, ignore_errors=True)
        path.replace(hidden)
    sweep(folder)


def sweep(folder: Path) -> None:
    """Remove what a kill left half-written or half-removed."""
    for ending in ("part", "old"):
        for leftover in folder.glob(f".step-*.{ending}"):
            shutil.rmtree(leftover, ignore_errors=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Args:
        path: Its folder.

    Raises:
        TrainingError: A file is missing or damaged, or another version wrote it.
    """
    try:
        content = json.loads((path / STATE).read_text(encoding="utf-8"))
        config = (path / CONFIG).read_text(encoding="utf-8")
        tensors = {one.stem: load_file(one) for one in sorted(path.glob("*.safetensors"))}
    except (OSError, ValueError, SafetensorError) as error:
        raise TrainingError(
            f"the checkpoint {path} cannot be read: {error}. Remove it to go on from the one "
            "before it."
        ) from error
    known = {field.name for field in fields(RunState)}
    if content.pop("format", None) != FORMAT or set(content) - known:
        raise TrainingError(
            f"the checkpoint {path} was written by another version of sam2-hf, which can go on "
            "with it."
        )
    return Checkpoint(RunState(**content), config, tensors)


def _flush(path: Path) -> None:
    """Have the system write a file or the list of a folder to the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
