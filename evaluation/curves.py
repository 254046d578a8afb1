"""Curves of a training run: losses, learning rate and validation scores over steps.

    python -m evaluation.curves runs/micro curves.png

The folder holds the trainer's CSV files: `train.csv` (or `training.csv`) with one row for some
steps, and `valid.csv`. Every column with numbers becomes a curve.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import DataError, MissingPackageError, Sam2Error
from sam2_hf.interruption import FAILED

Axes = Any  # matplotlib's, which need not be installed
Figures = Any
LOSSES = ("loss", "focal", "dice", "iou", "object_score")
IOUS = ("first_iou", "last_iou")  # after the first prompt, and after the last click

SMOOTHING = 0.02  # fraction of the run to average over
STEP = "step"
MOST_DOTS = 100  # of a curve; more would hide the line
WIDTH, HEIGHT, DPI = 11.0, 3.4, 110  # inches of the picture, inches of a panel, dots an inch


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Columns of numbers over steps; NaN where a cell is empty.

    Attributes:
        steps: `(n,)` step of each row.
        columns: `(n,)` numbers by name, of nonempty columns.
    """

    steps: NDArray[np.float64]
    columns: dict[str, NDArray[np.float64]]


def read_table(path: Path) -> Table:
    """Read a CSV file with a column `step`.

    Raises:
        DataError: The file is missing, has no such column, or no rows.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}). Name the folder of a run.") from error
    if not rows or STEP not in rows[0]:
        raise DataError(f"{path} has no rows with a column {STEP!r}, so there is nothing to draw.")
    numbers = {name: np.array([_number(row[name]) for row in rows]) for name in rows[0]}
    steps = numbers.pop(STEP)
    return Table(
        steps, {name: values for name, values in numbers.items() if np.isfinite(values).any()}
    )


def smoothed(values: NDArray[np.float64], rows: int) -> NDArray[np.float64]:
    """Moving average, over fewer values at the ends; NaN are ignored.

    Args:
        values: `(n,)`.
        rows: Width of the window.
    """
    known = np.isfinite(values)
    window = np.ones(max(min(rows, len(values)), 1))
    total = np.convolve(np.where(known, values, 0), window, "same")
    count = np.convolve(known.astype(float), window, "same").round()
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def draw_curves(train: Table, valid: Table | None, path: Path) -> None:
    """Draw losses, training IoUs, validation scores and the learning rate.

    Args:
        train: The trainer's log. Losses and IoUs are smoothed; raw values are drawn behind.
        valid: Validation scores, if there are any.
        path: The PNG.

    Raises:
        MissingPackageError: matplotlib is not installed.
        DataError: There is no loss to draw.
    """
    losses = [name for name in LOSSES if name in train.columns]
    if not losses:
        raise DataError(f"there is none of the columns {', '.join(LOSSES)} in the training log.")
    ious = [name for name in IOUS if name in train.columns]
    scores = list(valid.columns) if valid else []
    rates = [name for name in ("learning_rate",) if name in train.columns]
    panels = sum(map(bool, (losses, ious, scores, rates)))
    figure = figure_class()(figsize=(WIDTH, HEIGHT * panels), layout="constrained")
    places = iter(figure.subplots(panels, 1, sharex=True, squeeze=False)[:, 0])
    _draw_smoothed(next(places), train, losses, "loss").set_yscale("log")
    if ious:
        _draw_smoothed(next(places), train, ious, "mean IoU in training")
    if valid and scores:
        _draw_plain(next(places), valid, scores, "validation")
    if rates:
        _draw_plain(next(places), train, rates, "learning rate")
    figure.supxlabel(STEP)
    figure.savefig(path, dpi=DPI, metadata={"Software": None})


def find_logs(folder: Path) -> tuple[Path, Path | None]:
    """Find the CSV files of a run, in a run's folder or a bundled model's.

    Raises:
        DataError: There is no training log.
    """
    train = [path for name in ("train.csv", "training.csv") if (path := folder / name).is_file()]
    if not train:
        raise DataError(f"{folder} has neither train.csv nor training.csv. Name a run's folder.")
    valid = [p for name in ("valid.csv", "validation.csv") if (p := folder / name).is_file()]
    return train[0], valid[0] if valid else None


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.curves", description=__doc__.splitlines()[0]
    )
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("out", type=Path, metavar="OUT.png")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the curves of a run."""
    options = build_parser().parse_args(arguments)
    try:
        train, valid = find_logs(options.run)
        draw_curves(read_table(train), read_table(valid) if valid else None, options.out)
    except Sam2Error as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED
    return 0


def _draw_smoothed(axes: Axes, train: Table, names: Sequence[str], title: str) -> Axes:
    rows = round(SMOOTHING * len(train.steps))
    for name in names:
        values = train.columns[name]
        (line,) = axes.plot(train.steps, smoothed(values, rows), label=name, linewidth=1.6)
        axes.plot(train.steps, values, color=line.get_color(), linewidth=0.5, alpha=0.25)
    return _finished(axes, title)


def _draw_plain(axes: Axes, table: Table, names: Sequence[str], title: str) -> Axes:
    for name in names:
        known = np.isfinite(table.columns[name])
        marker = "." if known.sum() <= MOST_DOTS else ""
        axes.plot(table.steps[known], table.columns[name][known], marker=marker, label=name)
    return _finished(axes, title)


def _finished(axes: Axes, title: str) -> Axes:
    axes.set_ylabel(title)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize="small")
    return axes


def _number(text: str | None) -> float:
    """Read a cell; anything but a number counts as empty."""
    try:
        return float(text or "nan")
    except ValueError:
        return float("nan")


def figure_class() -> Figures:
    """Return matplotlib's figure class, without windows and global state.

    Raises:
        MissingPackageError: It is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "matplotlib",
            purpose="drawing curves",
            install="Install it with: pip install matplotlib.",
        ) from error
    return Figure


if __name__ == "__main__":
    sys.exit(main())
