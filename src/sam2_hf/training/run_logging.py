"""Run logging: the run's folder, CSV tables, experiment trackers, and console output.

A resumed run drops the rows of steps that it repeats, so that no step has two rows. The tables are
what `evaluation` and the model cards read; trackers get the same numbers and the pictures.
"""

import contextlib
import csv
import io
import re
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import restore_folder, write_atomically
from sam2_hf.errors import MissingPackageError, TrainingError

from .checkpointing import checkpoints, sweep
from .config import TrainConfig
from .config_io import CONFIG_NAME, as_yaml, nearest_name, set_values
from .training_card import without_places

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

Value = float | int | str | None


class CsvLog:
    """Append-only CSV file with the step in the first column.

    A row that cannot be written to a full disk is kept and written with the next one.

    Args:
        path: The file.
        columns: Names; the first is `step`.
        done: Finished steps; rows of later steps are dropped.

    Raises:
        TrainingError: The file has other columns, so it is from another run.
    """

    def __init__(self, path: Path, columns: Sequence[str], done: int) -> None:
        self.path = path
        self.columns = tuple(columns)
        self._pending: list[str] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = _rows(path)
        if done and rows and tuple(rows[0]) != self.columns:
            raise TrainingError(
                f"{path} has the columns {', '.join(rows[0])}, but this run writes "
                f"{', '.join(columns)}. Move it away to start a new one."
            )
        kept = [row for row in rows[1:] if done and _is_before(row, done)]
        write_atomically(path, "".join(_line(row) for row in (self.columns, *kept)).encode())

    def write(self, values: Mapping[str, Value]) -> bool:
        """Add a row.

        Args:
            values: By column; missing ones stay empty.

        Returns:
            Whether it is on the disk.
        """
        self._pending.append(_line([_text(values.get(name)) for name in self.columns]))
        try:
            size = self.path.stat().st_size
            with self.path.open("a", encoding="utf-8") as file:
                try:
                    file.write("".join(self._pending))
                    file.flush()
                except OSError:
                    file.truncate(size)  # a partial row would corrupt the file
                    raise
        except OSError:
            return False
        self._pending.clear()
        return True


PROJECT = "sam2-hf"  # of every run, in trackers that have projects
TRACKERS = "trackers"  # folder of their files in that of the run
RUN_NAME = "run-name.txt"


def require_trackers(names: Sequence[str]) -> None:
    """Refuse trackers that accelerate does not know, or whose package is not installed.

    Args:
        names: As in `Accelerator(log_with=...)`; "all" for every installed one.

    Raises:
        TrainingError: A name is unknown.
        MissingPackageError: A package is not installed.
    """
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    from accelerate.utils import LoggerType

    known, installed = [*LOGGER_TYPE_TO_CLASS, "all"], [*map(str, get_available_trackers()), "all"]
    for name in names:
        if name not in known:
            raise TrainingError(f"logging.trackers has {name!r}. {nearest_name(name, known)}")
        if name in LoggerType.list() and name not in installed:
            raise MissingPackageError(
                name,
                purpose=f"logging.trackers: [{name}]",
                install=f"Install it with: pip install {name}; or set logging.trackers=[].",
            )


class RunTrackers:
    """The experiment trackers of a run; one that fails is dropped, and the run continues.

    TensorBoard, W&B and trackio continue their run when training is resumed. The others get a new
    one.

    Args:
        accelerator: Made with the names of the trackers; in the main process.
        config: The run.
        done: Finished steps; TensorBoard hides earlier records of later steps.

    Raises:
        TrainingError: A tracker cannot be started.
    """

    def __init__(self, accelerator: "Accelerator", config: TrainConfig, done: int) -> None:
        self._active: list[GeneralTracker] = accelerator.trackers
        if not accelerator.log_with:
            return
        folder = Path(config.output) / TRACKERS
        folder.mkdir(parents=True, exist_ok=True)
        name = _run_name(folder, done)
        options = {
            "tensorboard": {"purge_step": done + 1 if done else 0},
            "wandb": {"id": name, "name": name, "resume": "allow", "dir": str(folder)},
            "trackio": {"name": name, "resume": "allow"},
        }
        settings = None if done else dict(_flat(set_values(without_places(config))))
        try:
            accelerator.init_trackers(PROJECT, config=settings, init_kwargs=options)
        except Exception as error:  # kinds of their own: no login, no network, damaged package
            self._active.clear()
            names = ", ".join(map(str, accelerator.log_with))
            raise TrainingError(
                f"logging.trackers ({names}) cannot be started: {_reason(error)}. Fix that, or "
                "leave the tracker out."
            ) from error

    def log(self, step: int, values: Mapping[str, Value]) -> None:
        """Add values, except None."""
        known = {name: value for name, value in values.items() if value is not None}
        self._each(lambda tracker: tracker.log(known, step=step))

    def picture(self, step: int, picture_hw3: NDArray[np.uint8]) -> None:
        """Add a picture of predictions, `(h, w, 3)` uint8, to trackers that take pictures."""

        def add(tracker: "GeneralTracker") -> None:
            layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
            if hasattr(tracker, "log_images"):
                tracker.log_images({"predictions": picture_hw3[None]}, step=step, **layout)

        self._each(add)

    def close(self) -> None:
        """Finish the trackers. A second call does nothing."""
        self._each(lambda tracker: tracker.finish())
        self._active.clear()

    def _each(self, write: "Callable[[GeneralTracker], None]") -> None:
        for tracker in tuple(self._active):
            try:
                write(tracker)
            except Exception as error:  # a full disk, or no network; each has kinds of its own
                log(f"cannot write to {tracker.name}: {_reason(error)}; continuing without it")
                self._active.remove(tracker)
                with contextlib.suppress(Exception):
                    tracker.finish()


def _run_name(folder: Path, done: int) -> str:
    """Name a run uniquely, in letters that every tracker takes; a resumed one keeps its name."""
    path = folder / RUN_NAME
    if done and path.is_file():
        return path.read_text(encoding="utf-8").strip()
    own = re.sub(r"[^A-Za-z0-9_.-]+", "-", folder.resolve().parent.name)[:40]
    name = f"{own}-{secrets.token_hex(3)}"
    path.write_text(name + "\n", encoding="utf-8")
    return name


def _flat(settings: object, place: str = "") -> Iterator[tuple[str, Value]]:
    """List nested settings as trackers take them: `optimizer.learning_rate` and its value."""
    if isinstance(settings, (Mapping, list)):
        pairs = settings.items() if isinstance(settings, Mapping) else enumerate(settings)
        for name, value in pairs:
            yield from _flat(value, f"{place}.{name}" if place else str(name))
    elif settings is not None:
        yield place, settings if isinstance(settings, (int, float)) else str(settings)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def _rows(path: Path) -> list[list[str]]:
    """Read the complete rows of a file; a last row without newline was cut off by a kill."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.reader(io.StringIO(whole)) if row]


def _is_before(row: Sequence[str], done: int) -> bool:
    return row[0].isdigit() and int(row[0]) <= done


def _line(row: Sequence[str]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerow(row)
    return file.getvalue()


def _text(value: Value) -> str:
    """Format a number with enough digits for a plot."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


TRAIN_COLUMNS = (
    *("step", "loss", "focal", "dice", "iou", "object_score", "first_iou", "last_iou"),
    *("gradient_norm", "learning_rate", "seconds", "clips_per_second", "loader_share", "skipped"),
)


Row = Mapping[str, Value]


class RunFolder:
    """Folder of a run, in the main process only.

    Args:
        config: The run.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.root = Path(config.output)
        self.config = config
        self.checkpoints = self.root / "checkpoints"
        self.best, self.last = self.root / "best", self.root / "last"
        self._train: CsvLog | None = None
        self._valid: CsvLog | None = None
        self._trackers: RunTrackers | None = None

    def newest(self, *, resume: bool) -> Path | None:
        """Find the checkpoint to resume from; None to start.

        Raises:
            TrainingError: There is a run that is not to be resumed; or `output` is not a folder, or
                has such files that belong to no run.
        """
        if self.root.exists() and not self.root.is_dir():
            raise TrainingError(f"output is {self.root}, which is a file. Choose a folder.")
        found = checkpoints(self.checkpoints)
        if found and not resume:
            raise TrainingError(
                f"{self.root} holds a run that has finished {int(found[-1].name.split('-')[1])} "
                "steps. --resume continues it; choose another output to start a new one."
            )
        there = [path.name for path in self._replaced() if path.exists()]
        is_run = (self.root / CONFIG_NAME).is_file()  # killed before its first checkpoint
        if there and not found and not (resume and is_run):
            way = "--resume starts the run there over; or choose" if is_run else "Choose"
            raise TrainingError(
                f"{self.root} has no checkpoint of a run, but {', '.join(there)}, which a new run "
                f"would replace. {way} another output."
            )
        return found[-1] if found else None

    def open(self, done: int, labels: list[str], accelerator: "Accelerator | None" = None) -> None:
        """Write the settings and open the logs.

        Args:
            done: Finished steps.
            labels: Names of the validation sources.
            accelerator: Made with the trackers of the run; None for none.

        Raises:
            TrainingError: A table is from another run, or a tracker cannot be started.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        if accelerator is not None:  # first: where it fails, no run was begun
            self._trackers = RunTrackers(accelerator, self.config, done)
        for folder in (self.best, self.last):
            restore_folder(folder)
        sweep(self.checkpoints)
        (self.root / CONFIG_NAME).write_text(as_yaml(self.config), encoding="utf-8")
        self._train = CsvLog(self.root / "train.csv", TRAIN_COLUMNS, done)
        if labels:
            self._valid = CsvLog(self.root / "valid.csv", ("step", "score", *labels), done)

    def log_training(self, row: Row) -> None:
        """Add a row to `train.csv`."""
        self._write(self._train, "train/", row)

    def log_validation(self, row: Row) -> None:
        """Add a row to `valid.csv`."""
        self._write(self._valid, "valid/", row)

    def log_picture(self, step: int, picture_hw3: NDArray[np.uint8]) -> None:
        """Write a picture of predictions; a full disk does not end the run."""
        path = self.root / "pictures" / f"step-{step:08d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture_hw3).save(path)
        except OSError as error:
            log(f"cannot write {path}: {error.strerror or error}; continuing without it")
        if self._trackers is not None:
            self._trackers.picture(step, picture_hw3)

    def close(self) -> None:
        """Close the logs."""
        if self._trackers is not None:
            self._trackers.close()

    def _write(self, table: CsvLog | None, prefix: str, row: Row) -> None:
        if table is not None and not table.write(row):
            log(f"cannot write {table.path}; its rows are kept and written when there is space")
        if self._trackers is not None:
            values = {prefix + name: value for name, value in row.items() if name != "step"}
            self._trackers.log(int(row["step"] or 0), values)

    def _replaced(self) -> tuple[Path, ...]:
        """List the files that a new run overwrites."""
        return self.best, self.last, self.root / "train.csv", self.root / "valid.csv"


def log(line: str) -> None:
    """Print a line and flush."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def training_line(row: Row, steps: int, left_s: float) -> str:
    """Format a row of `train.csv` for the console."""
    number: Any = row
    return (
        f"step {number['step']}/{steps}  loss {number['loss']:.3f} (focal {number['focal']:.4f} "
        f"dice {number['dice']:.3f} iou {number['iou']:.3f} object {number['object_score']:.3f})  "
        f"IoU {number['first_iou']:.3f} -> {number['last_iou']:.3f}  "
        f"lr {number['learning_rate']:.2e}  {number['clips_per_second']:.2f} clips/s  "
        f"loader {100 * number['loader_share']:.0f} %  "
        f"clicks {100 * number['click_share']:.0f} %  skipped {number['skipped']}  "
        f"left {duration(left_s)}"
    )


def duration(seconds: float) -> str:
    """Format a time span in its two largest units."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
