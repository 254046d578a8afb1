"""Interruption of programs: exit codes, and Ctrl-C handled between steps."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

DONE = 0
FAILED = 2  # also for wrong usage, as argparse does
INTERRUPTED = 130  # a shell's exit code after Ctrl-C


class StopRequestedError(Exception):
    """A program was requested to stop, and is about to save its work."""


class Interruption:
    """Context in which a first signal is only recorded; a second Ctrl-C acts immediately.

    The signals are Ctrl-C and SIGTERM, which schedulers send before killing.

    Attributes:
        is_requested: Whether the program is to stop.
    """

    def __init__(self) -> None:
        self.is_requested = False
        self._owner = os.getpid()
        self._requests_to_worker = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # it receives signals
            self._before = {
                number: signal.signal(number, self._note)
                for number in (signal.SIGINT, signal.SIGTERM)
            }
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
        """Raise if a stop was requested.

        Raises:
            StopRequestedError: A stop was requested.
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
        """Keep a data loader's worker, which inherits this handler, alive.

        A signal to the process group reaches workers as well, but their parent needs them to finish
        its step. A parent that ends a worker sends SIGTERM twice.
        """
        if number != signal.SIGTERM:
            return
        self._requests_to_worker += 1
        if self._requests_to_worker > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
