"""Ctrl-C and the system's request to end: a run finishes its step and saves before it stops."""

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was asked to stop, and is saved."""


class Interruption:
    """While it is entered, a first signal is only noted; a second Ctrl-C stops at once.

    Attributes:
        is_asked: Whether the run shall stop.
    """

    def __init__(self) -> None:
        self.is_asked = False
        self._owner = os.getpid()
        self._workers_told = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other may listen
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

    def _note(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:
            self._note_in_worker(number)
            return
        if self.is_asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.is_asked = True

    def _note_in_worker(self, number: int) -> None:
        """Let a loader's worker, which has this handler too, live on.

        What is sent to all processes at once reaches it as well, but its parent still needs it. A
        parent that wants it gone says so twice.
        """
        if number != signal.SIGTERM:
            return
        self._workers_told += 1
        if self._workers_told > 1:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
