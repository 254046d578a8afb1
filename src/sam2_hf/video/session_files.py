"""A running session in a folder, so that another process can go on where this one was.

    folder/current.json              which save counts, and how to know that it is whole
    folder/save-000012/session.json       the document, and a checksum of every other file
    folder/save-000012/state.safetensors
    folder/save-000012/history.safetensors      where each old record lies
    folder/save-000012/history-*.bin            the old records

Each save is a new folder, written to the end before `current.json` is replaced in one step. A
process killed at any moment leaves the save before or the new one. No pickle, no video inside.
"""

import contextlib
import json
import os
import re
import shutil
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from sam2_hf.errors import OutputError, SessionError

from .history import History
from .saved_history import SavedHistory, read_history, write_history
from .segment_files import reason_of
from .tensor_bytes import pack, unpack

FORMAT = 1  # goes up when an older version of this file could not read what a newer one writes
CURRENT, SESSION = "current.json", "session.json"
STATE, INDEX = "state.safetensors", "history.safetensors"
MOST_CURRENT_BYTES = 1 << 16
SAVE_NAME = re.compile(r"save-(\d{6,})")


@dataclass(frozen=True, slots=True, eq=False)
class SavedSession:
    """What there is to a session, besides its video and its model.

    Attributes:
        document: What JSON can carry. Mind that JSON makes keys strings, and tuples lists.
        tensors: Name -> tensor of any device and dtype. They come back in RAM.
        history: Everything that has left the device.
    """

    document: dict[str, Any]
    tensors: dict[str, Tensor]
    history: History


def write_session(folder: Path, saved: SavedSession) -> None:
    """Save a session; the save before counts until this one is whole, then it is removed.

    Args:
        folder: Where to, made if missing. What is in it besides saves is left alone.
        saved: The session. It goes on as before.

    Raises:
        OutputError: The folder cannot be written to or the disk is full. The save before is as it
            was, and nothing is left of this one.
        TypeError: The document holds something that JSON cannot carry.
    """
    folder = Path(folder)
    before = _current_name(folder)
    name = f"save-{1 + max(map(_number, _saves(folder)), default=0):06d}"
    counts = False
    try:
        (folder / name).mkdir(parents=True)
        _write_save(folder / name, saved, None if before is None else folder / before)
        (folder / name / CURRENT).replace(folder / CURRENT)
        counts = True
    except OSError as error:
        kept = "There is no earlier save" if before is None else "The save before is as it was"
        raise OutputError(
            f"cannot save the session in {folder}: {reason_of(error)}. {kept}, and the session can "
            "go on. Free some space or choose another folder."
        ) from error
    finally:
        # an interruption can come between the two lines, so the file is asked as well
        if not counts and _current_name(folder) != name:
            shutil.rmtree(folder / name, ignore_errors=True)
    _sync_names(folder)
    for other in _saves(folder):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def read_session(
    folder: Path, *, ram_budget: int, spill_folder: Path | None = None
) -> SavedSession:
    """Load what `write_session` saved last, after a look at every byte of it.

    Args:
        folder: The folder that was given to `write_session`.
        ram_budget: Bytes of RAM for records of the history.
        spill_folder: For the history's files. Without one they go to a folder of their own inside
            `folder`, where links suffice, or to a temporary one if `folder` is read-only.

    Raises:
        SessionError: There is no save, it is damaged, or a newer version wrote it.
        OutputError: The spill folder is on another disk, and cannot be written or is full.
    """
    folder = Path(folder)
    current = _read_current(folder)
    with damage_explained(folder):
        if not SAVE_NAME.fullmatch(current["save"]):
            raise SessionError(f"{current['save']!r} is not the name of a save")
        save = folder / current["save"]
        session = _mapping(json.loads(_read_checked(save / SESSION, current["session"])))
        tensors = unpack(_read_checked(save / STATE, session["files"][STATE]))
        index = unpack(_read_checked(save / INDEX, session["files"][INDEX]))
        found = SavedHistory(session["kinds"], session["segments"], index)
        near = folder if found.segments else None
        history = _new_history(spill_folder, near, ram_budget)
        try:
            read_history(found, save, history)
        except BaseException:
            history.close()
            raise
    return SavedSession(session["document"], tensors, history)


def _write_save(save: Path, saved: SavedSession, previous: Path | None) -> None:
    """Fill the folder of one save, and see that the disk has it."""
    history = write_history(saved.history, save, previous)
    files = {
        STATE: _write(save / STATE, pack(saved.tensors)),
        INDEX: _write(save / INDEX, pack(history.index)),
    }
    about = {"kinds": history.kinds, "segments": history.segments, "files": files}
    text = json.dumps({"document": saved.document, **about})
    session = _write(save / SESSION, text.encode())
    current = {"format": FORMAT, "save": save.name, "session": session}
    _write(save / CURRENT, json.dumps(current).encode())
    for file in save.iterdir():
        _sync_file(file)
    _sync_names(save)


def _write(path: Path, content: bytes) -> dict[str, int]:
    """Write a file; returns what `_read_checked` wants to know."""
    path.write_bytes(content)
    return {"bytes": len(content), "crc32": zlib.crc32(content)}


def _read_checked(path: Path, about: dict[str, int]) -> bytes:
    """Read a file that must be as it was written."""
    if (found := _size_of(path)) != about["bytes"]:
        raise SessionError(f"{path.name} has {found} bytes of {about['bytes']}")
    content = path.read_bytes()
    if (len(content), zlib.crc32(content)) != (about["bytes"], about["crc32"]):
        raise SessionError(
            f"{path.name} is not as it was written: {len(content)} bytes of {about['bytes']}, or "
            "other ones"
        )
    return content


def _size_of(path: Path) -> int:
    """Count the bytes of a plain file.

    Raises:
        SessionError: It is a pipe, a device or a folder, which might never end.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise SessionError(f"{path.name} is no plain file")
    return about.st_size


def _mapping(content: object) -> dict[str, Any]:
    """Refuse JSON of another kind."""
    if not isinstance(content, dict):
        raise SessionError(f"it holds a {type(content).__name__} where a mapping belongs")
    return content


def _sync_file(path: Path) -> None:
    """Wait until the disk has a file; a full one may show only here."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _sync_names(folder: Path) -> None:
    """Wait until the disk has the names in a folder, where the system can tell."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _saves(folder: Path) -> list[Path]:
    """List the saves in a folder, whole or not."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and SAVE_NAME.fullmatch(path.name)]


def _number(save: Path) -> int:
    return int(save.name.removeprefix("save-"))


def _current_name(folder: Path) -> str | None:
    """Name of the save that counts; None if there is none, or none that can be read."""
    try:
        return str(_read_current(folder)["save"])
    except (SessionError, KeyError):
        return None


def _read_current(folder: Path) -> dict[str, Any]:
    """Read which save counts."""
    with damage_explained(folder):
        try:
            if _size_of(folder / CURRENT) > MOST_CURRENT_BYTES:
                raise SessionError(f"{CURRENT} is too large")
            current = _mapping(json.loads((folder / CURRENT).read_bytes()))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _NoSaveError(
                f"there is no saved session in {folder}: it has no {CURRENT}. Give the folder that "
                "session.save(folder) wrote."
            ) from error
        if type(current["format"]) is not int or current["format"] < 1:
            raise SessionError(f"the format is {current['format']!r}, it must be 1 or more")
        if current["format"] > FORMAT:
            raise _NoSaveError(
                f"the session in {folder} was saved by a newer version of sam2_hf (format "
                f"{current['format']}, this one reads up to {FORMAT}). Update it: "
                "pip install -U sam2-hf."
            )
    return current


class _NoSaveError(SessionError):
    """A refusal that is no damage."""


@contextlib.contextmanager
def damage_explained(folder: Path) -> Iterator[None]:
    """Say of whatever goes wrong in reading that the save is damaged, and what to do.

    What is known to go wrong is named by a `SessionError`; files that somebody has changed bring
    more into JSON, safetensors and torch than could be listed.
    """
    try:
        yield
    except (OutputError, _NoSaveError):
        raise
    except Exception as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise SessionError(
            f"the session saved in {folder} is damaged: {reason}. Restore the folder from a copy, "
            "or start the session anew."
        ) from error


def _new_history(spill_folder: Path | None, near: Path | None, ram_budget: int) -> History:
    """Make an empty history, its files where the caller wants them or else near the save."""
    if spill_folder is None and near is not None:
        with contextlib.suppress(OutputError):
            return History(ram_budget=ram_budget, folder=near)
    return History(ram_budget=ram_budget, folder=spill_folder)
