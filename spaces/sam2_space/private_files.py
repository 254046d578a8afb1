"""Isolation of visitors: middleware between the web server and Gradio.

It gives each browser a random cookie, restricts it to its own files, moves uploads to its folder,
and hides real paths of the server.
"""

import json
import math
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from .answer_filter import AnswerFilter
from .file_places import FilePlaces
from .readable_errors import log_unexpected
from .uploads import FORBIDDEN, Refusal, UploadQuota, content_length

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Json = Any  # numbers, texts, lists and dictionaries of them
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "sam2_space_visitor"
NEW = "sam2_space_is_new"  # internal: the browser sent no cookie
# Browsers also send a site's other cookies, in forms that cookie parsers reject.
OURS = re.compile(rf"(?:^|;\s*){COOKIE}=([0-9a-f]{{32}})(?=\s*(?:;|$))")
FILE, UPLOAD, HEARTBEAT = "/file=", "/upload", "/heartbeat/"
REFUSED_ADDRESSES = ("/file=http:", "/file=https:")
REFUSED_ROUTES = (
    *("/file/", "/proxy=", "/deep_link", "/process_recording", "/dev/reload", "/profiling"),
    *("/component_server", "/monitoring", "vibe-", "/run-history", "/runs"),
)
POSTED = re.compile(r"/gradio_api/(upload|queue/join|call/.+|run/.+|stream/.+|cancel|reset)/?$")
MAX_BODY = 8 * 2**20  # bytes of a parsed request; uploads take another path
# Parsing takes microseconds per value, twice here and twice in Gradio, and blocks all other
# requests. A thousand clicks are 10,000 values.
MAX_VALUES = 50_000
NOT_YOURS = Refusal(FORBIDDEN, "This file is not yours, or it was deleted. Upload it again.")
TOO_LARGE = Refusal(413, "This request is too large. Upload files, and send fewer prompts.")
NO_JSON = Refusal(400, "This request is not JSON.")
NO_ROUTE = Refusal(404, "There is no such endpoint. /gradio_api/info lists the endpoints.")
FAILED = Refusal(500, "This request cannot be answered. /gradio_api/info describes the endpoints.")


class PrivateFiles:
    """The ASGI middleware.

    Args:
        app: The wrapped application.
        places: Folders of files.
        quota: Quota of uploads.
        came_back: Called with the cookie and the page of a browser's heartbeat.
    """

    def __init__(
        self,
        app: App,
        places: FilePlaces,
        quota: UploadQuota,
        came_back: Callable[[str, str], None],
    ) -> None:
        self.app = app
        self.places = places
        self.quota = quota
        self.came_back = came_back

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cookie = read_cookie(scope)
        is_new = cookie is None
        if cookie is None:
            cookie = secrets.token_hex(16)
        answer = AnswerFilter(self.places, cookie, send, is_upload=_is_upload(scope))
        if is_new:
            answer.new_cookie = _cookie_header(scope, cookie)
        try:
            await self._pass(_with_cookie(scope, cookie, is_new=is_new), receive, answer, cookie)
        except Exception as error:  # the web server would log a long traceback
            log_unexpected(error)
            if not answer.is_begun:
                whole = AnswerFilter(self.places, cookie, send, is_upload=False)
                await _refuse(whole, FAILED)

    async def _pass(
        self, scope: Scope, receive: Receive, answer: AnswerFilter, cookie: str
    ) -> None:
        """Dispatch a request by its route."""
        path = scope["path"]
        route, is_file, _ = path.partition(FILE)
        if any(refused in route for refused in REFUSED_ROUTES) or any(
            refused in path for refused in REFUSED_ADDRESSES
        ):
            await _refuse(answer, NOT_YOURS)
        elif is_file:
            await self._fetch(scope, receive, answer, cookie)
        elif _is_upload(scope):
            refusal = await self.quota.refusal(scope["headers"], cookie)
            if refusal is not None:
                await _refuse(answer, refusal)
                return
            await self.app(scope, receive, answer)
        elif scope["method"] != "GET" and scope["method"] != "HEAD" and not POSTED.search(path):
            await _refuse(answer, NO_ROUTE)
        elif scope["method"] == "POST":  # whatever its content type: the application may ignore it
            await self._pass_json(scope, receive, answer, cookie)
        else:
            if HEARTBEAT in path:
                self.came_back(cookie, path.rpartition("/")[2])
            await self.app(scope, receive, answer)

    async def _fetch(
        self, scope: Scope, receive: Receive, answer: AnswerFilter, cookie: str
    ) -> None:
        """Serve a file to its owner."""
        before, _, shown = scope["path"].partition(FILE)
        real = self.places.real(unquote(shown))
        if not self.places.is_allowed(real, cookie):
            await _refuse(answer, NOT_YOURS)
            return
        path = f"{before}{FILE}{real}"
        await self.app({**scope, "path": path, "raw_path": quote(path).encode()}, receive, answer)

    async def _pass_json(
        self, scope: Scope, receive: Receive, answer: AnswerFilter, cookie: str
    ) -> None:
        """Translate the paths in a request, and refuse foreign ones."""
        if (content_length(scope["headers"]) or 0) > MAX_BODY:
            await _refuse(answer, TOO_LARGE)
            return
        body = await _read_body(receive)
        if body is None:
            await _refuse(answer, TOO_LARGE)
            return
        if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MAX_VALUES:
            await _refuse(answer, TOO_LARGE)
            return
        try:
            content = json.loads(body or b"null")
        except (ValueError, RecursionError):
            await _refuse(answer, NO_JSON)  # never forwarded: other parsers may read it differently
            return
        try:
            content = self._own(content, cookie)
        except (PermissionError, RecursionError):
            await _refuse(answer, NOT_YOURS)
            return
        except ValueError:
            await _refuse(answer, NO_JSON)
            return
        sent = json.dumps(content).encode() if body else b""
        headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(sent)).encode()))
        await self.app({**scope, "headers": headers}, _once(sent, receive), answer)

    def _own(self, value: Json, cookie: str) -> Json:
        """Translate every path in a nested value.

        Raises:
            PermissionError: A path is not the browser's own.
            ValueError: A number is infinite or NaN, which JSON does not allow.
        """
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(value)
        if isinstance(value, list):
            return [self._own(item, cookie) for item in value]
        if not isinstance(value, dict):
            return value
        owned = {key: self._own(item, cookie) for key, item in value.items() if key != "path"}
        path = value.get("path")
        if isinstance(path, str) and path:
            real = self.places.real(path)
            if not self.places.is_allowed(real, cookie):
                raise PermissionError(path)
            path = str(real)
        return owned | ({"path": path} if "path" in value else {})


def read_cookie(scope: Scope) -> str | None:
    """Return the browser's cookie of a request; None if there is no valid one."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            found = find_cookie(value.decode("latin-1"))
            if found is not None:
                return found
    return None


def find_cookie(header: str) -> str | None:
    """Return the browser's cookie of a header."""
    found = OURS.search(header)
    return found[1] if found is not None else None


def own_file(places: FilePlaces, path: object, cookie: str, *, samples: bool) -> Path:
    """Check a path sent by a visitor.

    Args:
        places: Folders of files.
        path: The path.
        cookie: Their browser's cookie.
        samples: Whether samples are allowed; not if the file will be moved or deleted.

    Raises:
        PermissionError: It is neither a file of theirs nor a sample.
    """
    real = places.real(str(path))
    if not places.is_allowed(real, cookie, samples=samples) or not real.is_file():
        raise PermissionError(str(path))
    return real


def _is_upload(scope: Scope) -> bool:
    return scope["method"] == "POST" and scope["path"].rstrip("/").endswith(UPLOAD)


def _with_cookie(scope: Scope, cookie: str, *, is_new: bool) -> Scope:
    """Pass on only our cookie, as read here."""
    headers = [pair for pair in scope["headers"] if pair[0] != b"cookie"]
    sent = f"{COOKIE}={cookie}" + (f"; {NEW}=1" if is_new else "")
    return {**scope, "headers": [*headers, (b"cookie", sent.encode())]}


async def _read_body(receive: Receive) -> bytes | None:
    """Read a request's body; None if it is too large or incomplete."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


def _once(body: bytes, receive: Receive | None = None) -> Receive:
    """Replay a body that was read; afterward forward further messages, such as a disconnect."""
    given = False

    async def read() -> Message:
        nonlocal given
        if given and receive is not None:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return read


def _cookie_header(scope: Scope, cookie: str) -> bytes:
    forwarded = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    is_secure = scope.get("scheme") == "https" or any(b"https" in value for value in forwarded)
    # Embedded in another site, as on the Hub, a browser only keeps such cookies.
    where = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
    return f"{COOKIE}={cookie}; Path=/; HttpOnly; {where}".encode()


async def _refuse(answer: AnswerFilter, refusal: Refusal) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    start = {"type": "http.response.start", "status": refusal.status, "headers": headers}
    await answer(start)
    body = refusal.text.encode()
    await answer({"type": "http.response.body", "body": body, "more_body": False})
