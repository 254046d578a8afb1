"""Files of a saved session, from which another process can continue.

    folder/current.json              name and checksum of the current save
    folder/save-000012/session.json       the document, and a checksum of every other file
    folder/save-000012/state.safetensors
    folder/save-000012/history.safetensors      index of offloaded records
    folder/save-000012/history-*.bin            offloaded records


Each save is a new folder, completed before `current.json` is replaced atomically. A process killed
at any moment leaves the previous save or the new one. No pickle, no video inside.

Record segments are hard-linked in both directions, so that nothing large is written twice; without
hard links, or across file systems, they are copied once and then linked from the previous save.
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

import torch
from torch import Tensor

from sam2_hf.errors import OutputError, SessionError

from .record_store import Key, RecordStore, pack, unpack
from .spill_files import PLACE, Segment, new_name, read_blocks, reason_of

LARGEST_NUMBER, LARGEST_LENGTH = 2**32 - 1, 2**63 - 1
SEGMENT_NAME = re.compile(r"history-[0-9a-f]{16}\.bin")


@dataclass(frozen=True, slots=True, eq=False)
class SavedHistory:
    """Index of saved records.

    Attributes:
        kinds: Kinds of records, in the order of their numbers.
        segments: Number, name, used bytes and their CRC-32 of each segment.
        index: Columns `object_id`, `frame`, `kind`, each `(n,)` int64, and `place`, `(n, 20)`
            uint8, for n records.
    """

    kinds: list[str]
    segments: list[dict[str, Any]]
    index: dict[str, Tensor]


def write_history(history: RecordStore, folder: Path, previous: Path | None) -> SavedHistory:
    """Write the records of a history to a folder.

    Args:
        history: Stays usable; records that are only in RAM are also written to its files.
        folder: Target of the segments.
        previous: The previous save, to link from if spill files cannot be linked.

    Raises:
        OSError: The files cannot be written.
    """
    with contextlib.suppress(OutputError):  # the spill disk is full; the save may be on another
        history.flush()
    numbered = dict(history.files.segments)
    rest = Segment(folder / new_name())
    rest_number = max(numbered, default=-1) + 1
    rows = []
    for key, place in history.places():
        rows.append((key, place or _write_rest(history, key, rest, rest_number)))
    if rest.end:
        numbered[rest_number] = rest
    for segment in numbered.values():
        _link_or_copy(segment, folder / segment.path.name, previous)
    about = [
        {
            "number": number,
            "name": segment.path.name,
            "bytes": segment.end,
            "crc32": segment.checksum,
        }
        for number, segment in numbered.items()
    ]
    kinds = sorted({kind for (_, _, kind), _ in rows})
    return SavedHistory(kinds, about, _index(rows, kinds))


def read_history(saved: SavedHistory, folder: Path, history: RecordStore) -> None:
    """Fill a new history from a folder of `write_history`.

    Args:
        saved: Output of `write_history`.
        folder: Folder of the segments.
        history: An empty history. It gets its own links, so the folder may be deleted.

    Raises:
        OutputError: The spill folder is on another disk, which is full.
        SessionError: A segment is missing, too short, or modified.
    """
    for about in saved.segments:
        _check_numbers(about)
        if about["number"] in history.files.segments:
            raise SessionError(f"there are two history files number {about['number']}")
        if not SEGMENT_NAME.fullmatch(about["name"]):
            raise SessionError(f"{about['name']!r} is not the name of a history file")
        source = Segment(folder / about["name"], about["bytes"], about["crc32"])
        _check(source)
        target = history.files.folder / source.path.name
        try:
            _link_or_copy(source, target, None)
        except OSError as error:
            raise OutputError(
                f"cannot copy saved frames to {target.parent}: {reason_of(error)}. Free some space "
                "or choose a spill folder on the disk of the save, where nothing is copied."
            ) from error
        history.files.adopt(about["number"], Segment(target, source.end, source.checksum))
    history.restore(_counted(saved, history))


def _write_rest(history: RecordStore, key: Key, rest: Segment, number: int) -> bytes:
    """Write a record that is only in RAM to a separate segment of the save."""
    if not rest.path.exists():
        rest.path.open("xb").close()
    content = pack(history.get(key) or {})
    return PLACE.pack(number, rest.append(content), len(content))


def _link_or_copy(segment: Segment, target: Path, previous: Path | None) -> None:
    """Link a segment, or copy it if no link is possible."""
    if segment.path == target:
        return
    if not segment.path.exists():
        raise OSError(f"{segment.path} is gone")
    sources = [segment.path]
    if previous is not None:
        sources.append(previous / target.name)
    for source in sources:
        with contextlib.suppress(OSError):
            if source.stat().st_size >= segment.end:
                os.link(source, target)
                return
    with target.open("xb") as file:
        copied = sum(map(file.write, read_blocks(segment.path, segment.end)))
    if copied < segment.end:
        raise OSError(f"{segment.path} is shorter than it was")


def _check_numbers(about: dict[str, Any]) -> None:
    """Refuse an impossible segment number or length."""
    for name, most in (("number", LARGEST_NUMBER), ("bytes", LARGEST_LENGTH)):
        value = about[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise SessionError(f"{name} of a history file is {value!r}")


def _check(segment: Segment) -> None:
    """Check the length and checksum of a file."""
    name, checksum, found = segment.path.name, 0, 0
    try:
        if not stat.S_ISREG(segment.path.stat().st_mode):
            raise SessionError(f"{name} is not a regular file")
        for block in read_blocks(segment.path, segment.end):
            checksum = zlib.crc32(block, checksum)
            found += len(block)
    except OSError as error:
        raise SessionError(f"{name}: {reason_of(error)}") from error
    if found < segment.end:
        raise SessionError(f"{name} has {found} bytes of {segment.end}")
    if checksum != segment.checksum:
        raise SessionError(f"the bytes of {name} have changed")


def _index(rows: list[tuple[Key, bytes]], kinds: list[str]) -> dict[str, Tensor]:
    """Return keys and places as columns."""
    numbers = [(object_id, frame, kinds.index(kind)) for (object_id, frame, kind), _ in rows]
    columns = torch.tensor(numbers, dtype=torch.int64).reshape(-1, 3)
    places = bytearray(b"".join(place for _, place in rows))
    place_n20 = torch.frombuffer(places, dtype=torch.uint8) if rows else torch.empty(0).byte()
    return {
        "object_id": columns[:, 0],
        "frame": columns[:, 1],
        "kind": columns[:, 2],
        "place": place_n20.reshape(-1, PLACE.size),
    }


def _counted(saved: SavedHistory, history: RecordStore) -> Iterator[tuple[Key, bytes]]:
    """Read keys and places from their columns; add up the needed bytes of each segment.

    Raises:
        SessionError: Columns differ in length, a record is duplicated, or lies outside.
    """
    names = ("object_id", "frame", "kind")
    columns, places_n20 = [saved.index[name] for name in names], saved.index["place"]
    shapes_fit = all(column.shape == places_n20.shape[:1] for column in columns)
    if not shapes_fit or places_n20.dtype != torch.uint8 or places_n20.shape[1:] != (PLACE.size,):
        raise SessionError("the columns of the history's index do not fit each other")
    if any(column.dtype != torch.int64 for column in columns):
        raise SessionError("the history's index holds other numbers than int64")
    places = places_n20.numpy().tobytes()
    seen: set[Key] = set()
    for row, (object_id, frame, kind) in enumerate(
        zip(*(c.tolist() for c in columns), strict=True)
    ):
        place = places[row * PLACE.size : (row + 1) * PLACE.size]
        number, start, length = PLACE.unpack(place)
        segment = history.files.segments.get(number)
        if segment is None or start + length > segment.end or not 0 <= kind < len(saved.kinds):
            raise SessionError(f"record {row} of the history lies outside its files")
        key = (object_id, frame, saved.kinds[kind])
        if key in seen:
            raise SessionError(f"record {key} of the history appears twice")
        seen.add(key)
        segment.needed += length
        yield key, place


# raised when older versions cannot read the new format; 2 adds references, memory policies with
# their notes, and approximations
FORMAT = 2
PLAIN_FORMAT = 1  # of sessions that every version can read
CURRENT, SESSION = "current.json", "session.json"
STATE, INDEX = "state.safetensors", "history.safetensors"
SAVE_NAME = re.compile(r"save-(\d{6,})")


@dataclass(frozen=True, slots=True, eq=False)
class SavedSession:
    """State of a session, without video and model.

    Attributes:
        document: JSON data. Note that JSON turns keys into strings and tuples into lists.
        tensors: Name -> tensor of any device and dtype. They are loaded to RAM.
        history: Offloaded records.
        format: Format that a version must know to read it.
    """

    document: dict[str, Any]
    tensors: dict[str, Tensor]
    history: RecordStore
    format: int = PLAIN_FORMAT


def write_session(folder: Path, saved: SavedSession) -> None:
    """Save a session; once complete it replaces the previous save.

    Args:
        folder: Target, created if missing. Other content is left alone.
        saved: The session; stays usable.

    Raises:
        OutputError: The folder cannot be written to or the disk is full. The previous save is
            intact, and partial output is removed.
        TypeError: The document cannot be written as JSON.
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
            "continue. Free some space or choose another folder."
        ) from error
    finally:
        # an interruption may fall between the two lines, so the file is read as well
        if not counts and _current_name(folder) != name:
            shutil.rmtree(folder / name, ignore_errors=True)
    _sync_names(folder)
    for other in _saves(folder):
        if other.name != name:
            shutil.rmtree(other, ignore_errors=True)


def read_session(
    folder: Path, *, ram_budget: int, spill_folder: Path | None = None
) -> SavedSession:
    """Load the last save of `write_session`, after verifying every byte.

    Args:
        folder: The folder of `write_session`.
        ram_budget: Bytes of RAM for records of the history.
        spill_folder: For the history's files. Defaults to a subfolder of `folder`, where links
            suffice, or a temporary folder if `folder` is read-only.

    Raises:
        SessionError: There is no save, it is damaged, or a newer version wrote it.
        OutputError: The spill folder is on another disk, which cannot be written or is full.
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
    """Write the folder of one save and sync it to disk."""
    history = write_history(saved.history, save, previous)
    files = {
        STATE: _write(save / STATE, pack(saved.tensors)),
        INDEX: _write(save / INDEX, pack(history.index)),
    }
    about = {"kinds": history.kinds, "segments": history.segments, "files": files}
    text = json.dumps({"document": saved.document, **about})
    session = _write(save / SESSION, text.encode())
    current = {"format": saved.format, "save": save.name, "session": session}
    _write(save / CURRENT, json.dumps(current).encode())
    for file in save.iterdir():
        _sync_file(file)
    _sync_names(save)


def _write(path: Path, content: bytes) -> dict[str, int]:
    """Write a file; return its size and checksum for `_read_checked`."""
    path.write_bytes(content)
    return {"bytes": len(content), "crc32": zlib.crc32(content)}


def _read_checked(path: Path, about: dict[str, int]) -> bytes:
    """Read a file and verify that it is unmodified."""
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
        SessionError: It is not a regular file; a pipe or device might never end.
    """
    about = path.stat()
    if not stat.S_ISREG(about.st_mode):
        raise SessionError(f"{path.name} is not a regular file")
    return about.st_size


def _mapping(content: object) -> dict[str, Any]:
    """Check that JSON is a mapping."""
    if not isinstance(content, dict):
        raise SessionError(f"it holds a {type(content).__name__} where a mapping is expected")
    return content


def _sync_file(path: Path) -> None:
    """Sync a file to disk; a full disk may show only here."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def _sync_names(folder: Path) -> None:
    """Sync the names in a folder to disk, if the system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _saves(folder: Path) -> list[Path]:
    """List the saves in a folder, complete or not."""
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if path.is_dir() and SAVE_NAME.fullmatch(path.name)]


def _number(save: Path) -> int:
    return int(save.name.removeprefix("save-"))


def _current_name(folder: Path) -> str | None:
    """Name of the current save; None if there is none or it is unreadable."""
    try:
        return str(_read_current(folder)["save"])
    except (SessionError, KeyError):
        return None


def _read_current(folder: Path) -> dict[str, Any]:
    """Read the pointer to the current save."""
    with damage_explained(folder):
        try:
            if _size_of(folder / CURRENT) > 1 << 16:
                raise SessionError(f"{CURRENT} is too large")
            current = _mapping(json.loads((folder / CURRENT).read_bytes()))
        except (FileNotFoundError, NotADirectoryError) as error:
            raise _NoSaveError(
                f"there is no saved session in {folder}: it has no {CURRENT}. Give the folder that "
                "session.save(folder) wrote."
            ) from error
        if type(current["format"]) is not int or current["format"] < 1:
            raise SessionError(f"the format is {current['format']!r}; it must be 1 or more")
        if current["format"] > FORMAT:
            raise _NoSaveError(
                f"the session in {folder} was saved by a newer version of sam2_hf (format "
                f"{current['format']}, this one reads up to {FORMAT}). Update it: "
                "pip install -U sam2-hf."
            )
    return current


class _NoSaveError(SessionError):
    """An error other than damage."""


@contextlib.contextmanager
def damage_explained(folder: Path) -> Iterator[None]:
    """Report any error in reading as a damaged save.

    Known problems raise a `SessionError`; modified files raise more kinds of errors in JSON,
    safetensors and torch than could be listed.
    """
    try:
        yield
    except (OutputError, _NoSaveError):
        raise
    except Exception as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise SessionError(
            f"the session saved in {folder} is damaged: {reason}. Restore the folder from a copy, "
            "or start a new session."
        ) from error


def _new_history(spill_folder: Path | None, near: Path | None, ram_budget: int) -> RecordStore:
    """Make an empty history, its files in the caller's folder or else near the save."""
    if spill_folder is None and near is not None:
        with contextlib.suppress(OutputError):
            return RecordStore(ram_budget=ram_budget, folder=near)
    return RecordStore(ram_budget=ram_budget, folder=spill_folder)
