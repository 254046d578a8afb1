"""How programs stop: their exit codes, and Ctrl-C between two steps instead of within one."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

DONE = 0
FAILED = 2  # also for wrong usage, as argparse does
INTERRUPTED = 130  # what a shell reports for a program that Ctrl-C ended
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequestedError(Exception):
    """A program was asked to stop and is about to save what it has."""


class Interruption:
    """While it is entered, a first signal is only noted; a second Ctrl-C acts at once.

    The signals are Ctrl-C and the system's request to end (SIGTERM), which schedulers send first.

    Attributes:
        is_requested: Whether the program is to stop.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._owner = os.getpid()
        self._requests_to_worker = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread gets signals
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        """Stop here if that was requested.

        Raises:
            StopRequestedError: It was.
        """
        if self.is_requested:
            raise StopRequestedError

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            self._note_in_worker(number)
            return
        if self.is_requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_requested = True

    def _note_in_worker(self, number: int) -> None:
        """Keep a worker of a data loader, which inherits this handler, alive.

        A signal to the whole process group reaches the workers as well, but their parent still
        needs them to finish its step. A parent that ends a worker sends SIGTERM twice.
        """
        if number != signal.SIGTERM:
            return
        self._requests_to_worker += 1
        if self._requests_to_worker > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
