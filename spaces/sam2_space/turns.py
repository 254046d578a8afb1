"""Who may use the model now: one at a time, first come, first served, in short slices."""

import contextlib
import threading
from collections import deque
from collections.abc import Iterator


class Turns:
    """A fair lock.

    A long job takes a turn for each frame or batch. Whoever came meanwhile is served in between, so
    nobody waits for longer than one slice of each of those before.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, hold it inside the `with`."""
        self._take()
        try:
            yield
        finally:
            self._give_up()

    def pass_on(self) -> None:
        """Inside a turn: let everybody who is waiting go first."""
        self._give_up()
        self._take()

    @property
    def num_waiting(self) -> int:
        """How many wait for a turn."""
        return len(self._waiting)

    def _take(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()

    def _give_up(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()  # it stays taken, by the next one
            else:
                self._is_taken = False
