"""The CSV files of a run, and TensorBoard.

A resumed run drops the rows of steps it will do again, so that no step has two rows.
"""

import contextlib
import csv
import io
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import MissingPackageError, TrainingError

Value = float | int | str | None


class CsvLog:
    """A CSV file that grows row by row, the first column being the step.

    A row that cannot be written, since the disk is full, is kept and written with the next one.

    Args:
        path: The file.
        columns: Names; the first is `step`.
        done: Steps that are done; rows of later steps are dropped.

    Raises:
        TrainingError: The file has other columns, so another run wrote it.
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
                f"{', '.join(columns)}. Move it away to begin a new one."
            )
        kept = [row for row in rows[1:] if done and _is_before(row, done)]
        hidden = path.with_name(f".{path.name}.part")
        hidden.write_text("".join(_line(row) for row in (self.columns, *kept)), encoding="utf-8")
        hidden.replace(path)

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
                    file.truncate(size)  # half a row would spoil the file
                    raise
        except OSError:
            return False
        self._pending.clear()
        return True


class TensorBoardLog:
    """The same numbers for TensorBoard; a disk that fails ends it, but nothing else.

    Args:
        folder: Where its files go.
        done: Steps that are done; what an earlier attempt wrote about later ones is hidden.

    Raises:
        MissingPackageError: The package tensorboard is not installed.
    """

    def __init__(self, folder: Path, done: int) -> None:
        self._writer, self._protocol = _tensorboard(folder)
        start = self._protocol.SessionLog(status=self._protocol.SessionLog.START)
        self._add(done + 1, session_log=start)

    def write(self, step: int, values: Mapping[str, Value]) -> bool:
        """Add numbers, but nothing that is none; tell whether the file can still be written."""
        summary = self._protocol.Summary()
        for name, value in values.items():
            if isinstance(value, (int, float)):
                summary.value.add(tag=name, simple_value=value)
        return self._add(step, summary=summary)

    def picture(self, step: int, picture_hw3: NDArray[np.uint8]) -> bool:
        """Add a picture, `(h, w, 3)` uint8; tell whether the file can still be written."""
        height, width = picture_hw3.shape[:2]
        file = io.BytesIO()
        Image.fromarray(picture_hw3).save(file, "png")
        summary = self._protocol.Summary()
        added = summary.value.add(tag="predictions").image
        added.height, added.width, added.colorspace = height, width, len("RGB")
        added.encoded_image_string = file.getvalue()
        return self._add(step, summary=summary)

    def close(self) -> None:
        """Write what is still held back, if it can be written."""
        with contextlib.suppress(OSError):
            self._writer.close()

    def _add(self, step: int, **content: object) -> bool:
        event = self._protocol.Event(wall_time=time.time(), step=step, **content)
        try:
            self._writer.add_event(event)  # which raises what went wrong in its own thread before
        except OSError:
            return False
        return True


def _rows(path: Path) -> list[list[str]]:
    """Read the whole rows of a file; a last one without its end was cut off by a kill."""
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
    """Write a number with as many digits as tell it from its neighbours on a plot."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _tensorboard(folder: Path) -> tuple[Any, SimpleNamespace]:
    """Open a writer, and name the messages it takes."""
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
