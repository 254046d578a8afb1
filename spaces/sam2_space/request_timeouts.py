"""Timeouts of requests: slow senders are disconnected, so that connections stay free.

uvicorn waits forever for the rest of a request. A few hundred half-sent requests cost their sender
nothing, but exhaust the process's file descriptors, and lock others out.
"""

import asyncio
import contextlib
import resource
from typing import ClassVar

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10.0  # to receive the head of a request, from the first byte or the connection
BODY_SECONDS = 10.0  # in which a body must deliver at least
BODY_BYTES = 16 * 1024
MOST_HEADS = 100  # pending half-sent heads; beyond, the oldest is dropped
MOST_SILENT = 100_000  # connections without any data, in the same way
SHARE_OF_FILES = 4  # each kind may use at most this part of the process's file descriptors
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def limit_slow_requests(server: uvicorn.Server) -> None:
    """Install the timeouts in a running server, for new connections.

    Args:
        server: Gradio's server.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # some systems cap it below the stated limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft != resource.RLIM_INFINITY:
        share = max(1, soft // SHARE_OF_FILES)
        TimedProtocol.most_heads = min(MOST_HEADS, share)
        TimedProtocol.most_silent = min(MOST_SILENT, share)
    # the server reads its config for each connection
    server.config.http_protocol_class = TimedProtocol


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a timeout for the head and a minimum rate for the body."""

    most_heads: ClassVar[int] = MOST_HEADS
    most_silent: ClassVar[int] = MOST_SILENT
    # Connections without a complete head. A browser sends it at once, so a partial one is suspect;
    # an empty one may only not have been read yet.
    _half_sent: ClassVar[dict["TimedProtocol", None]] = {}
    _silent: ClassVar[dict["TimedProtocol", None]] = {}

    _timer: asyncio.TimerHandle | None = None
    _received = 0  # bytes since the timer was set

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the head."""
        super().connection_made(transport)
        self._silent[self] = None
        self._timer = self.loop.call_later(HEAD_SECONDS, self._cut_off)
        self._limit_heads()

    def data_received(self, data: bytes) -> None:
        """Receive bytes, and update the timers."""
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
        """Stop the timers."""
        self._stop()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self in self._half_sent:
            return  # more of the same head: the timer is running
        if self not in self._silent:
            self._stop()
            self._timer = self.loop.call_later(HEAD_SECONDS, self._cut_off)
        self._silent.pop(self, None)
        self._half_sent[self] = None
        self._limit_heads()

    def _limit_heads(self) -> None:
        """Disconnect the oldest if too many are half sent, or silent."""
        if len(self._half_sent) > self.most_heads:
            next(iter(self._half_sent))._cut_off()
        if len(self._silent) > self.most_silent:
            next(iter(self._silent))._cut_off()

    def _await_body(self) -> None:
        if self in self._silent or self in self._half_sent or self._timer is None:
            self._stop()
            self._received = 0
            self._timer = self.loop.call_later(BODY_SECONDS, self._check_body)

    def _check_body(self) -> None:
        """Disconnect a slow body, unless the server paused reading."""
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
        self._silent.pop(self, None)
        self._half_sent.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
