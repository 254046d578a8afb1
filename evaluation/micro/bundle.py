"""Bundling of a trained model into the package: weights in half the space, recipes and logs.

    python -m evaluation.micro.bundle runs/first-part runs/second-part FOLDER

Each run started from the best model of the previous one; that of the last run is bundled. The logs
are concatenated, with cumulative steps and seconds.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from evaluation.curves import draw_curves, find_logs, read_table
from evaluation.exit_status import exit_status
from sam2_hf import Sam2VideoConfig, Sam2VideoModel
from sam2_hf.errors import DataError
from sam2_hf.training.checkpointing import write_model
from sam2_hf.training.config_io import CONFIG_NAME

COUNTED = ("step", "seconds", "skipped")  # cumulative over parts
PART = "part"
TRAINING, VALIDATION, CURVES = "training.csv", "validation.csv", "curves.png"
Rows = list[dict[str, str]]


def bundle(runs: Sequence[Path], folder: Path) -> None:
    """Write the model's folder, replacing all but the card.

    Weights are stored as bfloat16 and load as float32 by default.

    Args:
        runs: Folders of the parts of the training, in order.
        folder: The model's.

    Raises:
        DataError: A run has no logs, or no settings.
        CheckpointError: The last run has no model.
    """
    logs = [find_logs(run) for run in runs]
    settings = [run / CONFIG_NAME for run in runs]
    if missing := [str(path) for path in settings if not path.is_file()]:
        raise DataError(f"there is no {missing[0]}. Name the folders of whole runs.")
    model = Sam2VideoModel.from_pretrained(runs[-1] / "best")
    folder.mkdir(parents=True, exist_ok=True)
    write_model(model, folder, torch.bfloat16)
    config = Sam2VideoConfig.from_pretrained(folder)
    config.dtype = torch.float32
    config.save_pretrained(folder)
    training = [_read(train) for train, _ in logs]
    validation = [_read(valid) if valid else [] for _, valid in logs]
    _write(joined(training, training), folder / TRAINING)
    _write(joined(validation, training), folder / VALIDATION)
    for stale in folder.glob("recipe-*.yaml"):
        stale.unlink()
    for number, path in enumerate(settings, start=1):
        shutil.copyfile(path, folder / f"recipe-{number}.yaml")
    scores = read_table(folder / VALIDATION) if any(validation) else None
    if scores is not None:
        del scores.columns[PART]  # no score
    draw_curves(read_table(folder / TRAINING), scores, folder / CURVES)


def joined(parts: Sequence[Rows], training: Sequence[Rows]) -> Rows:
    """Concatenate the rows of all parts, with cumulative counters.

    Args:
        parts: Rows of each part.
        training: Rows of each part's training log, whose last row is the end of the part.
    """
    ends = dict.fromkeys(COUNTED, 0.0)
    found: Rows = []
    for number, (rows, log) in enumerate(zip(parts, training, strict=True), start=1):
        for row in rows:
            counted = {
                name: f"{float(row[name]) + ends[name]:g}" for name in COUNTED if name in row
            }
            found.append({**row, **counted, PART: str(number)})
        for name in COUNTED:
            ends[name] += float(log[-1].get(name, 0))
    return found


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.micro.bundle", description=__doc__.splitlines()[0]
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of the parts, in order")
    parser.add_argument("folder", type=Path, help="folder of the model")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the model's folder."""
    options = build_parser().parse_args(arguments)
    return exit_status(lambda: bundle(options.runs, options.folder), "run it again")


def _read(path: Path) -> Rows:
    """Read a log.

    Raises:
        DataError: It has no rows.
    """
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DataError(f"{path} has no rows, so nothing was trained. Name the folder of a run.")
    return rows


def _write(rows: Rows, path: Path) -> None:
    if not rows:
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[-1]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
