"""What leaves the server: without real paths, uploads in their owner's folder, a cookie if new."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from .file_places import FilePlaces

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

STREAM = b"text/event-stream"
PAGE = b"text/html"
# What a page may load, and who may show it in a frame. Gradio's page is made by inline scripts, and
# builds functions of text; everything comes from this server alone.
PAGE_POLICY = b"; ".join(
    (
        b"default-src 'self'",
        b"script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        b"style-src 'self' 'unsafe-inline'",
        b"img-src 'self' data: blob:",
        b"media-src 'self' data: blob:",
        b"font-src 'self' data:",
        b"worker-src 'self' blob:",
        b"connect-src 'self' data: blob:",
        b"object-src 'none'",
        b"base-uri 'self'",
        b"form-action 'self'",
        b"frame-ancestors 'self' https://huggingface.co https://*.hf.space",
    )
)
WHOLE = (b"application/json", b"text/html", b"text/plain")  # may hold a path; read as a whole
OK = 200


class AnswerFilter:
    """Passes the messages of one answer on.

    Args:
        places: Where files lie.
        cookie: The browser's.
        send: To the browser.
        is_upload: Whether the answer is the list of files that have come.
    """

    def __init__(self, places: FilePlaces, cookie: str, send: Send, *, is_upload: bool) -> None:
        self.new_cookie: bytes | None = None
        self._places = places
        self._cookie = cookie
        self._send = send
        self._is_upload = is_upload
        self.is_begun = False  # whether the browser has got anything
        self._start: Message = {}
        self._kind = b""
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        """Pass a message on, changed or held back until all of it is there."""
        if message["type"] == "http.response.start":
            await self._begin(message)
        elif message["type"] != "http.response.body":
            await self._send(message)
        elif self._kind.startswith(STREAM):
            await self._send({**message, "body": self._places.shown(message.get("body", b""))})
        elif self._kind.startswith(WHOLE):
            await self._collect(message)
        else:
            await self._send(message)

    async def _begin(self, message: Message) -> None:
        headers = list(message.get("headers", []))
        if self.new_cookie is not None:
            headers.append((b"set-cookie", self.new_cookie))
        self._kind = next((value for name, value in headers if name == b"content-type"), b"")
        self._start = {**message, "headers": headers}
        headers.append((b"x-content-type-options", b"nosniff"))
        if self._kind.startswith(PAGE):
            headers.append((b"content-security-policy", PAGE_POLICY))
        if not self._kind.startswith(WHOLE):
            self.is_begun = True
            await self._send(self._start)

    async def _collect(self, message: Message) -> None:
        self._parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        body = b"".join(self._parts)
        if self._is_upload and self._start["status"] == OK:
            body = self._keep_uploads(body)
        body = self._places.shown(body)
        headers = [pair for pair in self._start["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(body)).encode()))
        self.is_begun = True
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def _keep_uploads(self, body: bytes) -> bytes:
        """Give the files that have come to their owner, and tell their new places."""
        kept = [self._places.keep_upload(Path(one), self._cookie) for one in json.loads(body)]
        return json.dumps([str(path) for path in kept]).encode()
