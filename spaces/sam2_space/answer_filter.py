"""Filter of responses: hides real paths, moves uploads to their owner, sets a new cookie."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from .file_places import FilePlaces

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

STREAM = b"text/event-stream"
PAGE = b"text/html"
# What a page may load, and which sites may embed it. Gradio's page uses inline scripts and eval;
# everything comes from this server only.
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
WHOLE = (b"application/json", b"text/html", b"text/plain")  # may contain a path, so read completely
OK = 200


class AnswerFilter:
    """Filter of the messages of one response.

    Args:
        places: Folders of files.
        cookie: The browser's cookie.
        send: Sends to the browser.
        is_upload: Whether the response is the list of uploaded files.
    """

    def __init__(self, places: FilePlaces, cookie: str, send: Send, *, is_upload: bool) -> None:
        self.new_cookie: bytes | None = None
        self._places = places
        self._cookie = cookie
        self._send = send
        self._is_upload = is_upload
        self.is_begun = False  # whether anything was sent to the browser
        self._start: Message = {}
        self._kind = b""
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        """Forward a message, modified, or buffered until complete."""
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
        """Move uploaded files to their owner's folder, and return their new paths."""
        kept = [self._places.keep_upload(Path(path), self._cookie) for path in json.loads(body)]
        return json.dumps([str(path) for path in kept]).encode()
