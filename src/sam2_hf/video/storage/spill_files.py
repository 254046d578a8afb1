"""Spill files: records in a few append-only files, segments, in a folder gone with its owner.

A byte, once written, never changes: a segment only grows at its end until it is full, and goes when
none of its records is needed. A saved session may therefore hold hard links to the segments of a
running one; it notes how many bytes of each count, and what is appended later does not disturb it.
The next process removes what a killed one left (not on Windows, which has no such locks).
"""

import contextlib
import os
import secrets
import shutil
import struct
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sam2_hf.errors import OutputError, SessionError

try:
    import fcntl
except ImportError:  # no such locks on Windows: what a killed process leaves there stays
    fcntl = None  # type: ignore[assignment]

PREFIX = "sam2_hf-spill-"
LOCK = "lock"  # held as long as the owner lives; the system lets go of it when a process dies


class SpillFolder:
    """A new folder in `parent` that nobody else uses.

    It disappears when it is closed, when its owner is forgotten, and when Python ends. Folders that
    killed processes left in `parent` are removed on the way.

    Args:
        parent: Where to make it, itself made if missing; the system's temporary folder if None.

    Raises:
        OutputError: It cannot be made there.
    """

    def __init__(self, parent: Path | None) -> None:
        place = Path(tempfile.gettempdir()) if parent is None else Path(parent)
        try:
            place.mkdir(parents=True, exist_ok=True)
            _remove_orphans(place)
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        except OSError as error:
            raise OutputError(
                f"cannot make a spill folder in {place}: {error.strerror or error}. "
                "Choose a folder you may write to."
            ) from error
        lock = _take_lock(self.path)
        self._remove = weakref.finalize(self, _remove_own, self.path, lock, os.getpid())

    def close(self) -> None:
        """Remove the folder and all in it; a second call does nothing."""
        self._remove()


def _take_lock(folder: Path) -> int | None:
    """Mark a folder as in use, where the file system knows locks.

    The file gets its name only once it is locked, so that nobody takes the folder for an orphan.
    """
    if fcntl is None:
        return None
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / "unlocked", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            (folder / "unlocked").rename(folder / LOCK)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    return None


def _remove_own(folder: Path, lock: int | None, owner: int) -> None:
    """Delete a folder, unless this is a forked child that only inherited the wish to."""
    if os.getpid() != owner:
        return
    if lock is not None:
        os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_orphans(parent: Path) -> None:
    """Delete the spill folders whose owner no longer lives."""
    if fcntl is None:
        return
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as file:  # another user's, or in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


SEGMENT_BYTES = 64 << 20  # a full segment: few files for a long video, little to copy for a short
# A place is kept once per record, so it is 20 bytes: number of the segment, offset and length.
PLACE = struct.Struct("<IQQ")


@dataclass(slots=True)
class Segment:
    """One file.

    Attributes:
        path: Its name is unique, so equal names mean equal bytes.
        end: How many of its bytes count.
        checksum: CRC-32 of these.
        needed: Bytes of records that somebody still needs.
    """

    path: Path
    end: int = 0
    checksum: int = 0
    needed: int = 0

    def append(self, record: bytes) -> int:
        """Write behind what is there; on a full disk the segment is as if nothing had happened.

        Returns:
            Where the record begins.

        Raises:
            OSError: It does not fit.
        """
        try:
            with self.path.open("r+b") as file:
                if file.seek(0, os.SEEK_END) < self.end:
                    raise OSError(f"{self.path} is shorter than it was")
                file.seek(self.end)
                file.write(record)
        except OSError:
            # gives back the room; if even that fails, the next record is written over the rest
            with contextlib.suppress(OSError):
                if self.path.stat().st_size > self.end:
                    os.truncate(self.path, self.end)
            raise
        start = self.end
        self.end += len(record)
        self.checksum = zlib.crc32(record, self.checksum)
        self.needed += len(record)
        return start


class SegmentFiles:
    """All segments of one history, in a spill folder made on first need.

    Attributes:
        segments: Number of each segment -> the segment.

    Args:
        parent: Where the spill folder goes, made at once; None for a temporary one, made on need.
        segment_bytes: How large a segment may grow.

    Raises:
        OutputError: `parent` cannot be written to.
    """

    def __init__(self, parent: Path | None, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.segments: dict[int, Segment] = {}
        self._segment_bytes = segment_bytes
        self._folder = None if parent is None else SpillFolder(parent)
        self._next_number = 0
        self._growing: int | None = None

    @property
    def folder(self) -> Path:
        """The spill folder."""
        if self._folder is None:
            self._folder = SpillFolder(None)
        return self._folder.path

    @property
    def num_bytes(self) -> int:
        """Bytes on disk, also of records that nobody needs any more."""
        return sum(segment.end for segment in self.segments.values())

    def append(self, record: bytes) -> bytes:
        """Write a record.

        Returns:
            Its place, 20 bytes.

        Raises:
            OutputError: The disk is full; what was written before is still readable.
        """
        folder = self.folder
        try:
            number = self._growing_segment(folder)
            start = self.segments[number].append(record)
        except OSError as error:
            raise OutputError(
                f"cannot move old frames from RAM to {folder}: {reason_of(error)}. Nothing is "
                "lost, they stay in RAM for now. Free some space there, choose another spill "
                'folder, or track with keep="window".'
            ) from error
        return PLACE.pack(number, start, len(record))

    def read(self, place: bytes) -> bytes:
        """Read a record.

        Raises:
            SessionError: The file is gone or shorter than it was.
        """
        number, start, length = PLACE.unpack(place)
        path = self.segments[number].path
        try:
            with path.open("rb") as file:
                file.seek(start)
                record = file.read(length)
        except OSError as error:
            raise _unreadable(path, reason_of(error)) from error
        if len(record) < length:
            raise _unreadable(path, "it is shorter than it was")
        return record

    def free(self, place: bytes) -> None:
        """Say that nobody needs a record; a segment without any needed one is removed."""
        number, _, length = PLACE.unpack(place)
        segment = self.segments[number]
        segment.needed -= length
        if segment.needed <= 0:
            del self.segments[number]
            self._growing = None if self._growing == number else self._growing
            with contextlib.suppress(OSError):
                segment.path.unlink()

    def move(self, place: bytes) -> bytes:
        """Write a record anew in the growing segment, so that its old one can go.

        Returns:
            Its new place.
        """
        moved = self.append(self.read(place))
        self.free(place)
        return moved

    def wasteful(self) -> set[int]:
        """Number the segments that no longer grow and hold little that is needed."""
        return {
            number
            for number, segment in self.segments.items()
            if number != self._growing and segment.needed < self._segment_bytes / 2
        }

    def adopt(self, number: int, segment: Segment) -> None:
        """Take over a segment that another process wrote; it is read and never appended to."""
        self.segments[number] = segment
        self._next_number = max(self._next_number, number + 1)

    def close(self) -> None:
        """Remove all files."""
        self.segments.clear()
        if self._folder is not None:
            self._folder.close()

    def _growing_segment(self, folder: Path) -> int:
        """Number of the segment to append to, a new one if the last is full."""
        growing = self._growing
        if growing is not None and self.segments[growing].end < self._segment_bytes:
            return growing
        path = folder / new_name()
        path.open("xb").close()
        growing = self._growing = self._next_number
        self._next_number += 1
        self.segments[growing] = Segment(path)
        return growing


def new_name() -> str:
    """Make up a file name that no other segment has, in this process or any."""
    return f"history-{secrets.token_hex(8)}.bin"


def segment_of(place: bytes) -> int:
    """Number of the segment that a place lies in."""
    return int(PLACE.unpack(place)[0])


def reason_of(error: OSError) -> str:
    """Say why a file operation failed, in the system's words."""
    return error.strerror or str(error)


def read_blocks(path: Path, num_bytes: int, *, block: int = 1 << 20) -> Iterator[bytes]:
    """Read the first bytes of a file, a block at a time; fewer come where the file is shorter."""
    with path.open("rb") as file:
        while num_bytes > 0 and (content := file.read(min(block, num_bytes))):
            num_bytes -= len(content)
            yield content


def _unreadable(path: Path, reason: str) -> SessionError:
    return SessionError(
        f"old frames of this session cannot be read from {path}: {reason}. Spill files must stay "
        "until the session is closed. Load the last save, or track these frames anew."
    )
