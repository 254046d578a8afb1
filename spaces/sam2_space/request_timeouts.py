"""Requests that are sent too slowly are cut off, so that nobody keeps the server's connections.

uvicorn waits without end for the rest of a request that has begun. A few hundred half-sent requests
cost their sender nothing, but use up the files that the process may open, and nobody else gets in.
"""

import asyncio
import contextlib
import resource
from typing import ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # for the head of a request to come, from the first byte or the connection on
BODY_SECONDS = 10.0  # in which a body must bring at least
BODY_BYTES = 16 * 1024
MOST_HEADS = 100  # requests whose head may be awaited at a time; the one begun first has to go
SHARE_OF_FILES = 4  # of the files that the process may open they take at most one in so many
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def limit_slow_requests(server: uvicorn.Server) -> None:
    """Let a running server cut off slow requests on all connections from now on.

    Args:
        server: What Gradio has started.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # some systems cap it below what they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY:
        TimedProtocol.most_heads = max(1, min(MOST_HEADS, soft // SHARE_OF_FILES))
    # the server asks its config anew for each connection
    server.config.http_protocol_class = TimedProtocol


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP with a time limit for the head and a least rate for the body of a request."""

    most_heads: ClassVar[int] = MOST_HEADS
    _awaited: ClassVar[dict["TimedProtocol", None]] = {}  # connections without a whole head

    _timer: asyncio.TimerHandle | None = None
    _received = 0  # bytes since the timer was set

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take some bytes, and see what is still to come."""
        super().data_received(data)
        self._received += len(data)
        if self.transport.is_closing():
            return
        if self.conn.their_state is h11.IDLE:
            self._await_head()
        elif self.conn.their_state is h11.SEND_BODY:
            self._await_body()
        else:
            self._stop()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self in self._awaited:
            return  # more of the same head: the clock is running
        self._stop()
        self._awaited[self] = None
        self._timer = self.loop.call_later(HEAD_SECONDS, self._cut_off)
        if len(self._awaited) > self.most_heads:
            next(iter(self._awaited))._cut_off()

    def _await_body(self) -> None:
        if self in self._awaited or self._timer is None:
            self._stop()
            self._received = 0
            self._timer = self.loop.call_later(BODY_SECONDS, self._look_at_body)

    def _look_at_body(self) -> None:
        """Cut off a body that hardly comes, unless it is the server that does not read it."""
        self._timer = None
        if self._received < BODY_BYTES and not self.flow.read_paused:
            self._cut_off()
        else:
            self._await_body()

    def _cut_off(self) -> None:
        self._stop()
        if self.conn.our_state is h11.IDLE:
            self.transport.write(TOO_SLOW)
        self.transport.close()

    def _stop(self) -> None:
        self._awaited.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
