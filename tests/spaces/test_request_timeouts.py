"""Requests that hardly come: cut off, while all others are answered."""

import asyncio
import contextlib
import socket
import threading
import time

import pytest
import uvicorn

from sam2_space import request_timeouts
from sam2_space.request_timeouts import TimedProtocol, limit_slow_requests

HALF = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
WHOLE = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n"
LIMIT = 0.3


async def answer(scope, receive, send):
    """Read the body, if told so wait, and say how long the body was."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    if scope["path"] == "/slow":
        await asyncio.sleep(3 * LIMIT)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{size} bytes".encode()})


@pytest.fixture
def place(monkeypatch):
    """Where a server listens that is as impatient as a test."""
    monkeypatch.setattr(request_timeouts, "HEAD_SECONDS", LIMIT)
    monkeypatch.setattr(request_timeouts, "BODY_SECONDS", LIMIT)
    monkeypatch.setattr(request_timeouts, "BODY_BYTES", 20)
    monkeypatch.setattr(TimedProtocol, "most_heads", 5)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(answer, log_level="critical", lifespan="off", http=TimedProtocol)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    yield listening.getsockname()
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture
def connect(place):
    """Open a connection and send something; all are closed in the end."""
    with contextlib.ExitStack() as opened:

        def send(sent):
            connection = opened.enter_context(socket.create_connection(place, timeout=10))
            connection.sendall(sent)
            return connection

        yield send


def read_all(connection, until=None):
    """Read to the end, or until something has come."""
    found = part = b""
    with contextlib.suppress(ConnectionError):
        while (part := connection.recv(4096)) and not (until and until in found + part):
            found += part
    return found + part


def test_half_a_head_is_waited_for_only_so_long(connect):
    started = time.monotonic()
    connection = connect(HALF)

    assert read_all(connection).startswith(b"HTTP/1.1 408 ")
    assert LIMIT * 0.9 < time.monotonic() - started < 10


def test_a_head_byte_by_byte_does_not_move_the_limit(connect):
    connection = connect(HALF)
    started = time.monotonic()

    with contextlib.suppress(ConnectionError):
        while time.monotonic() - started < 10:
            connection.sendall(b"a")
            time.sleep(LIMIT / 10)

    assert time.monotonic() - started < 5


def test_nothing_at_all_and_a_second_half_request_end_as_well(connect):
    silent = connect(b"")
    second = connect(WHOLE % b"")
    read_all(second, until=b"0 bytes")
    second.sendall(HALF)

    assert b"408" in read_all(silent)
    assert b"408" in read_all(second)


def test_a_body_that_hardly_comes_is_cut_off_and_one_that_comes_is_not(connect):
    hardly, steadily = connect(BODY), connect(BODY)
    for _ in range(10):
        steadily.sendall(b"x" * 10)
        with contextlib.suppress(ConnectionError):
            hardly.sendall(b"x")
        time.sleep(LIMIT / 4)

    assert b"200 OK" not in read_all(hardly)
    assert b"100 bytes" in read_all(steadily, until=b"bytes")


def test_an_answer_may_take_as_long_as_it_takes(connect):
    assert b"0 bytes" in read_all(connect(WHOLE % b"slow"), until=b"bytes")


def test_of_too_many_half_requests_the_first_goes_and_others_are_answered(connect, monkeypatch):
    monkeypatch.setattr(request_timeouts, "HEAD_SECONDS", 60)
    halves = [connect(HALF) for _ in range(7)]

    assert b"0 bytes" in read_all(connect(WHOLE % b""), until=b"bytes")
    assert all(b"408" in read_all(one) for one in halves[:2])


def test_a_connection_that_has_sent_nothing_yet_is_kept_before_half_requests(connect, monkeypatch):
    """A browser's whole request may only not have been read yet while others flood the server."""
    monkeypatch.setattr(request_timeouts, "HEAD_SECONDS", 60)
    first = connect(b"")
    halves = [connect(HALF) for _ in range(7)]
    assert all(b"408" in read_all(one) for one in halves[:2])

    first.sendall(WHOLE % b"")

    assert b"0 bytes" in read_all(first, until=b"bytes")


def test_a_running_server_takes_it_for_new_connections(monkeypatch):
    monkeypatch.setattr(TimedProtocol, "most_heads", 0)
    server = uvicorn.Server(uvicorn.Config(answer))

    limit_slow_requests(server)

    assert server.config.http_protocol_class is TimedProtocol
    assert TimedProtocol.most_heads > 0
