"""A folder for what does not fit into RAM, gone with its owner, even one that was killed."""

import contextlib
import os
import shutil
import tempfile
import weakref
from pathlib import Path

from sam2_hf.errors import OutputError

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
