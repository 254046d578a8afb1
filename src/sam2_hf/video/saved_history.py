"""A history in a folder of files that no longer change, and back.

Segments are hard-linked, in both directions, so that nothing large is written twice; where the file
system has no such links, or another one holds the folder, they are copied once and linked from the
save before.
"""

import contextlib
import os
import re
import stat
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sam2_hf.errors import OutputError, SessionError

from .history import History, Key
from .segment_files import (
    PLACE,
    Segment,
    new_name,
    read_blocks,
    reason_of,
)
from .tensor_bytes import pack

LARGEST_NUMBER, LARGEST_LENGTH = 2**32 - 1, 2**63 - 1
SEGMENT_NAME = re.compile(r"history-[0-9a-f]{16}\.bin")


@dataclass(frozen=True, slots=True, eq=False)
class SavedHistory:
    """What finds the records again.

    Attributes:
        kinds: Kinds of records, in the order of their numbers.
        segments: Of each segment: number, name, bytes that count and their CRC-32.
        index: Columns `object_id`, `frame`, `kind`, each `(n,)` int64, and `place`, `(n, 20)`
            uint8, for n records.
    """

    kinds: list[str]
    segments: list[dict[str, Any]]
    index: dict[str, Tensor]


def write_history(history: History, folder: Path, previous: Path | None) -> SavedHistory:
    """Put the records of a history into a folder.

    Args:
        history: It goes on as before; what was only in its RAM gets into its files too.
        folder: Where the segments go.
        previous: The save before, to link from where the spill files cannot be linked.

    Raises:
        OSError: The files cannot be written.
    """
    with contextlib.suppress(OutputError):  # the spill disk is full; the save's may be another
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
        {"number": number, "name": one.path.name, "bytes": one.end, "crc32": one.checksum}
        for number, one in numbered.items()
    ]
    kinds = sorted({kind for (_, _, kind), _ in rows})
    return SavedHistory(kinds, about, _index(rows, kinds))


def read_history(saved: SavedHistory, folder: Path, history: History) -> None:
    """Fill a new history with what `write_history` put into a folder.

    Args:
        saved: What `write_history` returned.
        folder: Where the segments are.
        history: An empty history. It gets links of its own, so the folder may go.

    Raises:
        OutputError: The spill folder is on another disk, and that is full.
        SessionError: A segment is missing, too short, or has other bytes than were written.
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


def _write_rest(history: History, key: Key, rest: Segment, number: int) -> bytes:
    """Write a record that is only in RAM to a segment of the save's own."""
    if not rest.path.exists():
        rest.path.open("xb").close()
    content = pack(history.get(key) or {})
    return PLACE.pack(number, rest.append(content), len(content))


def _link_or_copy(segment: Segment, target: Path, previous: Path | None) -> None:
    """Give a segment's bytes another name; only bytes that no link leads to are copied."""
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
    """Refuse a segment whose number or length no segment can have."""
    for name, most in (("number", LARGEST_NUMBER), ("bytes", LARGEST_LENGTH)):
        value = about[name]
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise SessionError(f"{name} of a history file is {value!r}")


def _check(segment: Segment) -> None:
    """Hold the bytes of a file against their number and checksum."""
    name, checksum, found = segment.path.name, 0, 0
    try:
        if not stat.S_ISREG(segment.path.stat().st_mode):
            raise SessionError(f"{name} is no plain file")
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
    """Write keys and places as columns."""
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


def _counted(saved: SavedHistory, history: History) -> Iterator[tuple[Key, bytes]]:
    """Read keys and places from their columns; note how much of each segment they need.

    Raises:
        SessionError: Columns do not fit each other, a record comes twice, or lies outside.
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
            raise SessionError(f"record {key} of the history comes twice")
        seen.add(key)
        segment.needed += length
        yield key, place
