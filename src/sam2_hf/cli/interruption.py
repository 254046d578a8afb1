"""Ctrl-C between two frames instead of in the middle of one."""

import signal
import threading
from types import FrameType
from typing import Any, Self


class StopAskedError(Exception):
    """Somebody pressed Ctrl-C, and everything is in order to stop."""


class Interruption:
    """Within `with` the first Ctrl-C is only noted, for `check` to act on; a second acts at once.

    Attributes:
        asked: Whether there was one.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # others get no signals
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Stop here if that was asked for.

        Raises:
            StopAskedError: It was.
        """
        if self.asked:
            raise StopAskedError

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
