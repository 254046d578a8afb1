"""Where the files of a run are, and what it tells."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import TrainingError

from .config import TrainConfig
from .config_files import CONFIG_NAME, as_yaml
from .model_folder import restore_model
from .run_log import CsvLog, TensorBoardLog, Value
from .run_state import checkpoints, sweep

TRAIN_COLUMNS = (
    *("step", "loss", "focal", "dice", "iou", "object_score", "first_iou", "last_iou"),
    *("gradient_norm", "learning_rate", "seconds", "clips_per_second", "loader_share", "skipped"),
)


Row = Mapping[str, Value]


class RunFolder:
    """The folder of a run; only one of several processes has one.

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
        """Find the checkpoint to go on from; None to begin.

        Raises:
            TrainingError: There is a run already, and it is not to be resumed; or `output` is no
                folder, or has files of that name which are none of a run.
        """
        if self.root.exists() and not self.root.is_dir():
            raise TrainingError(f"output is {self.root}, which is a file. Choose a folder.")
        found = checkpoints(self.checkpoints)
        if found and not resume:
            raise TrainingError(
                f"{self.root} holds a run that has done {int(found[-1].name.split('-')[1])} "
                "steps. --resume goes on with it; choose another output to begin a new one."
            )
        there = [path.name for path in self._replaced() if path.exists()]
        is_run = (self.root / CONFIG_NAME).is_file()  # killed before its first checkpoint
        if there and not found and not (resume and is_run):
            way = "--resume begins the run there anew; or choose" if is_run else "Choose"
            raise TrainingError(
                f"{self.root} has no checkpoint of a run, but {', '.join(there)}, which a new run "
                f"would replace. {way} another output."
            )
        return found[-1] if found else None

    def open(self, done: int, labels: list[str]) -> None:
        """Write the settings and open the logs.

        Args:
            done: Steps that are done.
            labels: Names of the validation sources.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        for folder in (self.best, self.last):
            restore_model(folder)
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
        """Write a picture of predictions; a full disk is no reason to stop."""
        path = self.root / "pictures" / f"step-{step:08d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(picture_hw3).save(path)
        except OSError as error:
            say(f"cannot write {path}: {error.strerror or error}; going on without it")
        self._tell_board(lambda board: board.picture(step, picture_hw3))

    def close(self) -> None:
        """Close the logs."""
        if self._board is not None:
            self._board.close()

    def _write(self, log: CsvLog | None, prefix: str, row: Row) -> None:
        if log is not None and not log.write(row):
            say(f"cannot write {log.path}; its rows are kept and written when there is space")
        values = {prefix + name: value for name, value in row.items() if name != "step"}
        self._tell_board(lambda board: board.write(int(row["step"] or 0), values))

    def _tell_board(self, write: Callable[[TensorBoardLog], bool]) -> None:
        if self._board is not None and not write(self._board):
            say(f"cannot write {self.root / 'tensorboard'}; going on without TensorBoard")
            self._board.close()
            self._board = None

    def _replaced(self) -> tuple[Path, ...]:
        """List what a new run writes over."""
        return self.best, self.last, self.root / "train.csv", self.root / "valid.csv"


def say(line: str) -> None:
    """Tell the user something, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def training_line(row: Row, steps: int, left_s: float) -> str:
    """Write a row of `train.csv` for people."""
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
    """Write a time span in its two largest units."""
    minutes = int(seconds // 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"
