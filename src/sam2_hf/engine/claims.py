"""Claims of work: which worker does which item, on any machine that shares a folder.

A claim is a file that is created exclusively, so only one worker gets it. It is alive while its
worker makes progress: the worker touches the file, and others look whether its time changes, so
clocks need not agree. On one machine a claim also dies with its process. A dead claim is never
removed to be taken over; its successor has the next number, which again only one worker creates.
"""

import contextlib
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sam2_hf.atomic_write import hidden_beside, make_folder
from sam2_hf.errors import OutputError

LEASE_S = 600.0  # without progress, after which a claim is dead
BEATS = 20  # touches of a file within a lease at most
WATCH_S = 1.0  # between two looks at the progress
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
Beat = Callable[[], object]  # called after each step, as a sign of progress; may raise to stop
CLAIM = re.compile(r"(?P<item>.+)\.(?P<number>[0-9]+)")


def no_beat() -> None:
    """Give no sign of progress, where nothing is claimed."""


@dataclass(slots=True)
class Claim:
    """A claim of this process.

    Attributes:
        item: What is claimed.
        path: Its file.
        attempt: How many workers have claimed the item, this one included.
        owner: What its file says, unlike that of any other claim.
        every: Seconds between two touches at least.
        beaten: When there was progress last; monotonic, seconds.
        touched: When the file was touched last.
        released: Set when it is released; its path may then be of another claim.
    """

    item: str
    path: Path
    attempt: int
    owner: str
    every: float = LEASE_S / BEATS
    beaten: float = field(default_factory=time.monotonic)
    touched: float = field(default_factory=time.monotonic)
    released: threading.Event = field(default_factory=threading.Event)

    def beat(self) -> None:
        """Record progress. A failing touch is ignored: others then take the item over."""
        self.beaten = now = time.monotonic()
        if now - self.touched >= self.every:
            self.touched = now
            with contextlib.suppress(OSError):
                os.utime(self.path)


class Claims:
    """The claims of a set.

    Args:
        folder: Their folder; created when the first claim is.
        lease: Seconds without progress after which a claim is dead.
        clock: Monotonic clock, seconds.
    """

    def __init__(
        self, folder: Path, lease: float = LEASE_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.folder = folder
        self.lease = lease
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}  # file -> its time, and when it was new

    def take(self, item: str) -> Claim | None:
        """Claim an item; None if another worker has it.

        Raises:
            OutputError: The folder cannot be written.
        """
        make_folder(self.folder)
        before = self._of(item)
        if any(map(self._is_alive, before.values())):
            return None
        number = max(before, default=0) + 1
        path = self.folder / f"{item}.{number}"
        owner = _this_process()
        if not _create(path, owner):
            return None
        # Another worker may have found no claim either, while dead ones were being cleared.
        rivals = (rival for rival in self._of(item).values() if rival != path)
        if any(map(self._is_alive, rivals)):
            path.unlink(missing_ok=True)
            return None
        return Claim(item, path, number, owner, self.lease / BEATS)

    def release(self, claim: Claim) -> None:
        """Remove a claim of this process, and the dead ones before it."""
        claim.released.set()
        for number, path in self._of(claim.item).items():
            with contextlib.suppress(OSError, UnicodeError):
                if number < claim.attempt:
                    path.unlink()
                elif number == claim.attempt:
                    _remove(path, claim.owner)

    @contextlib.contextmanager
    def hold(self, item: str) -> Iterator[Claim | None]:
        """Claim an item for a context; None if another worker has it."""
        claim = self.take(item)
        try:
            yield claim
        finally:
            if claim is not None:
                self.release(claim)

    def is_latest(self, claim: Claim) -> bool:
        """Whether a claim of this process has no successor, which thought it dead."""
        if max(self._of(claim.item), default=0) != claim.attempt:
            return False
        with contextlib.suppress(OSError, UnicodeError):
            return claim.path.read_text(encoding="ascii") == claim.owner
        return False

    def is_taken(self, item: str) -> bool:
        """Whether another worker has an item."""
        return any(map(self._is_alive, self._of(item).values()))

    def clear_ended(self) -> None:
        """Remove the claims of processes that have ended, so that their attempts do not count.

        Claims without progress stay, since their workers may go on and ask whether they have a
        successor.
        """
        for path in self._all():
            with contextlib.suppress(OSError, UnicodeError):
                owner = path.read_text(encoding="ascii")
                if _has_ended(owner):
                    _remove(path, owner)

    def are_alive(self, besides: str = "") -> bool:
        """Whether a worker holds any claim, besides those of one item."""
        paths = (path for path in self._all() if path.stem != besides)
        return any(map(self._is_alive, paths))

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except FileNotFoundError:
            return []

    def _all(self) -> list[Path]:
        return [self.folder / name for name in self._names() if CLAIM.fullmatch(name)]

    def _of(self, item: str) -> dict[int, Path]:
        """Find the claims of an item, by number."""
        start = f"{item}."
        ends = (name[len(start) :] for name in self._names() if name.startswith(start))
        return {int(end): self.folder / f"{start}{end}" for end in ends if end.isdecimal()}

    def _is_alive(self, path: Path) -> bool:
        try:
            changed, owner = path.stat().st_mtime_ns, path.read_text(encoding="ascii")
        except (OSError, UnicodeError):
            return False  # it was released meanwhile
        if _has_ended(owner):
            return False
        before, since = self._seen.get(str(path), (None, 0.0))
        if changed != before:
            since = self._clock()
            self._seen[str(path)] = changed, since
        return self._clock() - since < self.lease


def _remove(path: Path, text: str) -> None:
    """Remove a file of some text, and no other that has taken its name meanwhile.

    Raises:
        OSError: It cannot be removed, or is gone.
    """
    hidden = hidden_beside(path)
    path.rename(hidden)
    try:
        if hidden.read_text(encoding="ascii") != text:
            os.link(hidden, path)
    finally:
        hidden.unlink()


def _create(path: Path, text: str) -> bool:
    """Create a file whole, unless it exists.

    Returns:
        Whether this process created it.

    Raises:
        OutputError: The folder cannot be written.
    """
    hidden = hidden_beside(path)
    try:
        hidden.write_text(text, encoding="ascii")
        os.link(hidden, path)  # unlike a rename, this fails if there is one
    except FileExistsError:
        return False
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error
    finally:
        with contextlib.suppress(OSError):
            hidden.unlink(missing_ok=True)
    return True


def _place() -> str:
    """Identify what process numbers are valid in: this machine since it started, this container.

    Clones of a machine share their name, and the number of the container.
    """
    with contextlib.suppress(OSError):
        started = BOOT_ID.read_text(encoding="ascii").strip()
        return f"{socket.gethostname()} {started} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _started(process: int) -> str:
    """Return when a process started, so that its number is not mistaken; empty if unknown."""
    with contextlib.suppress(OSError):
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = stat.rpartition(")")[2].split()
        return "" if state == "Z" else fields[18]
    return ""


def _this_process() -> str:
    return f"{_place()}\n{os.getpid()}\n{_started(os.getpid())}\n{secrets.token_hex(6)}\n"


def _has_ended(owner: str) -> bool:
    """Whether the process of a claim is known to have ended."""
    place, _, rest = owner.partition("\n")
    number, _, rest = rest.partition("\n")
    if place != _place() or not number.isdecimal():
        return False  # on another machine, or not written yet
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    started = rest.partition("\n")[0]
    return bool(started) and _started(int(number)) != started


def exit_without_progress(claim: Claim, lease: float, leave: Callable[[int], object]) -> None:
    """End this process if a claim makes no progress, so that its launcher starts another one.

    Args:
        claim: The claim.
        lease: Seconds without progress that are allowed.
        leave: Ends the process.
    """

    def watch() -> None:
        while not claim.released.wait(min(WATCH_S, lease)):
            if time.monotonic() - claim.beaten > lease:
                leave(1)
                return

    threading.Thread(target=watch, name="watch progress", daemon=True).start()
