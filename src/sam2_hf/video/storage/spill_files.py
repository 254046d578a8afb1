"""Spill files: records in append-only segment files, in a folder removed with its owner.

Written bytes never change: a segment is appended to until full, and deleted when none of its
records is needed. A saved session can therefore hard-link the segments of a running one; it stores
their used length, and later appends do not affect it. Folders of killed processes are removed by
the next process (not on Windows, which lacks such locks).
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
except ImportError:  # no such locks on Windows: folders of killed processes stay
    fcntl = None  # type: ignore[assignment]

PREFIX = "sam2_hf-spill-"
LOCK = "lock"  # held while the owner lives; released by the system when a process dies


class SpillFolder:
    """A new, exclusive folder in `parent`.

    It is removed when closed or garbage-collected, and at exit. Folders that killed processes left
    in `parent` are removed too.

    Args:
        parent: Parent folder, created if missing; the system's temporary folder if None.

    Raises:
        OutputError: It cannot be created.
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
        """Remove the folder and its content; idempotent."""
        self._remove()


def _take_lock(folder: Path) -> int | None:
    """Mark a folder as in use, if the file system supports locks.

    The file gets its name only once locked, so that the folder is never taken for an orphan.
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
    """Delete a folder, unless this is a forked child that inherited the finalizer."""
    if os.getpid() != owner:
        return
    if lock is not None:
        os.close(lock)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_orphans(parent: Path) -> None:
    """Delete the spill folders of dead processes."""
    if fcntl is None:
        return
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        with contextlib.suppress(OSError), lock.open("rb") as file:  # another user's, or in use
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


SEGMENT_BYTES = 64 << 20  # few files for a long video, little to copy for a short one
# Place of a record in 20 bytes: segment number, offset and length.
PLACE = struct.Struct("<IQQ")


@dataclass(slots=True)
class Segment:
    """One segment file.

    Attributes:
        path: Its name is unique, so equal names mean equal bytes.
        end: Number of used bytes.
        checksum: CRC-32 of these.
        needed: Bytes of records in use.
    """

    path: Path
    end: int = 0
    checksum: int = 0
    needed: int = 0

    def append(self, record: bytes) -> int:
        """Append a record; on a full disk the segment is unchanged.

        Returns:
            Offset of the record.

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
            # frees the space; if even that fails, the next record overwrites the rest
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
    """All segments of one history, in a spill folder created on first need.

    Attributes:
        segments: Number of each segment -> the segment.

    Args:
        parent: Parent of the spill folder, created at once; None for a temporary one, on need.
        segment_bytes: Maximum size of a segment.

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
        """Bytes on disk, including deleted records."""
        return sum(segment.end for segment in self.segments.values())

    def append(self, record: bytes) -> bytes:
        """Write a record.

        Returns:
            Its place, 20 bytes.

        Raises:
            OutputError: The disk is full; earlier records are still readable.
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
        """Free a record; a segment without records in use is deleted."""
        number, _, length = PLACE.unpack(place)
        segment = self.segments[number]
        segment.needed -= length
        if segment.needed <= 0:
            del self.segments[number]
            self._growing = None if self._growing == number else self._growing
            with contextlib.suppress(OSError):
                segment.path.unlink()

    def move(self, place: bytes) -> bytes:
        """Copy a record to the growing segment, so that its old segment can be deleted.

        Returns:
            Its new place.
        """
        moved = self.append(self.read(place))
        self.free(place)
        return moved

    def wasteful(self) -> set[int]:
        """List the numbers of full segments that are mostly unused."""
        return {
            number
            for number, segment in self.segments.items()
            if number != self._growing and segment.needed < self._segment_bytes / 2
        }

    def adopt(self, number: int, segment: Segment) -> None:
        """Adopt a segment of another process, read-only."""
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
    """Make a globally unique file name of a segment."""
    return f"history-{secrets.token_hex(8)}.bin"


def segment_of(place: bytes) -> int:
    """Segment number of a place."""
    return int(PLACE.unpack(place)[0])


def reason_of(error: OSError) -> str:
    """Return the system's reason for a failed file operation."""
    return error.strerror or str(error)


def read_blocks(path: Path, num_bytes: int, *, block: int = 1 << 20) -> Iterator[bytes]:
    """Read the first bytes of a file, a block at a time; fewer if the file is shorter."""
    with path.open("rb") as file:
        while num_bytes > 0 and (content := file.read(min(block, num_bytes))):
            num_bytes -= len(content)
            yield content


def _unreadable(path: Path, reason: str) -> SessionError:
    return SessionError(
        f"old frames of this session cannot be read from {path}: {reason}. Spill files must stay "
        "until the session is closed. Load the last save, or track these frames again."
    )
