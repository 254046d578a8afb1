"""Run logging: the run's folder, CSV tables, TensorBoard, and console output.

A resumed run drops the rows of steps that it repeats, so that no step has two rows.
"""

import contextlib
import csv
import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.atomic_write import restore_folder, write_atomically
from sam2_hf.errors import MissingPackageError, TrainingError

from .checkpointing import checkpoints, sweep
from .config import TrainConfig
from .config_io import CONFIG_NAME, as_yaml

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


class TensorBoardLog:
    """The same numbers for TensorBoard; a disk error disables it, but not the run.

    Args:
        folder: Folder of its files.
        done: Finished steps; earlier records of later steps are purged.

    Raises:
        MissingPackageError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._writer, self._protocol = _tensorboard(folder)
        start = self._protocol.SessionLog(status=self._protocol.SessionLog.START)
        self._add(done + 1, session_log=start)

    def write(self, step: int, values: Mapping[str, Value]) -> bool:
        """Add values, except None; return whether the file is still writable."""
        summary = self._protocol.Summary()
        for name, value in values.items():
            if isinstance(value, (int, float)):
                summary.value.add(tag=name, simple_value=value)
        return self._add(step, summary=summary)

    def picture(self, step: int, picture_hw3: NDArray[np.uint8]) -> bool:
        """Add a picture, `(h, w, 3)` uint8; return whether the file is still writable."""
        height, width = picture_hw3.shape[:2]
        file = io.BytesIO()
        Image.fromarray(picture_hw3).save(file, "png")
        summary = self._protocol.Summary()
        added = summary.value.add(tag="predictions").image
        added.height, added.width, added.colorspace = height, width, len("RGB")
        added.encoded_image_string = file.getvalue()
        return self._add(step, summary=summary)

    def close(self) -> None:
        """Flush pending records, if possible."""
        with contextlib.suppress(OSError):
            self._writer.close()

    def _add(self, step: int, **content: object) -> bool:
        event = self._protocol.Event(wall_time=time.time(), step=step, **content)
        try:
            self._writer.add_event(event)  # raises earlier errors of its thread
        except OSError:
            return False
        return True


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


def _tensorboard(folder: Path) -> tuple[Any, SimpleNamespace]:
    """Open a writer; return it with its message types."""
    try:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise MissingPackageError(
            "tensorboard",
            purpose="logging.tensorboard",
            install="pip install 'sam2-hf[train]' installs it; logging.tensorboard=false goes "
            "without.",
        ) from error
    messages = SimpleNamespace(Event=Event, SessionLog=SessionLog, Summary=Summary)
    return EventFileWriter(str(folder)), messages


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
        self._board: TensorBoardLog | None = None

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
                f"{self.root} holds a run that has done {int(found[-1].name.split('-')[1])} "
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

    def open(self, done: int, labels: list[str]) -> None:
        """Write the settings and open the logs.

        Args:
            done: Finished steps.
            labels: Names of the validation sources.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.best, self.last):
            restore_folder(folder)
        sweep(self.checkpoints)
        (self.root / CONFIG_NAME).write_text(as_yaml(self.config), encoding="utf-8")
        self._train = CsvLog(self.root / "train.csv", TRAIN_COLUMNS, done)
        if labels:
            self._valid = CsvLog(self.root / "valid.csv", ("step", "score", *labels), done)
        if self.config.logging.tensorboard:
            self._board = TensorBoardLog(self.root / "tensorboard", done)

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
        self._write_board(lambda board: board.picture(step, picture_hw3))

    def close(self) -> None:
        """Close the logs."""
        if self._board is not None:
            self._board.close()

    def _write(self, table: CsvLog | None, prefix: str, row: Row) -> None:
        if table is not None and not table.write(row):
            log(f"cannot write {table.path}; its rows are kept and written when there is space")
        values = {prefix + name: value for name, value in row.items() if name != "step"}
        self._write_board(lambda board: board.write(int(row["step"] or 0), values))

    def _write_board(self, write: Callable[[TensorBoardLog], bool]) -> None:
        if self._board is not None and not write(self._board):
            log(f"cannot write {self.root / 'tensorboard'}; continuing without TensorBoard")
            self._board.close()
            self._board = None

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
