"""Keep visitors apart on the way in and out: a layer between the web server and Gradio.

It gives each browser a random cookie, lets it fetch and name its own files only, moves uploads into
its folder, and lets no real path of the server out.
"""

import json
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from .answer_filter import AnswerFilter
from .file_places import FilePlaces

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Json = Any  # numbers, texts, lists and dictionaries of them
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "sam2_space_visitor"
TOKEN = re.compile("[0-9a-f]{32}")
FILE = "/file="
REFUSED_ROUTES = ("/file/", "/proxy=", "/file=http:", "/file=https:", "/deep_link")
MAX_BODY = 64 * 2**20  # bytes of a request that is looked through; uploads do not come this way
REFUSAL = b"This file is not yours, or it has been deleted. Upload it again."


class PrivateFiles:
    """The layer, as ASGI wants it.

    Args:
        app: What comes behind it.
        places: Where files lie.
    """

    def __init__(self, app: App, places: FilePlaces) -> None:
        self.app = app
        self.places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        cookie = read_cookie(scope)
        is_new = cookie is None
        if cookie is None:
            cookie = secrets.token_hex(16)
            scope["headers"] = [*scope["headers"], (b"cookie", f"{COOKIE}={cookie}".encode())]
        path = scope["path"]
        answer = AnswerFilter(self.places, cookie, send, is_upload=path.endswith("/upload"))
        if is_new:
            answer.new_cookie = _cookie_header(scope, cookie)
        if any(route in path for route in REFUSED_ROUTES):
            await _refuse(answer)
        elif FILE in path:
            await self._fetch(scope, receive, answer, cookie)
        elif _is_json(scope):
            await self._pass_json(scope, receive, answer, cookie)
        else:
            await self.app(scope, receive, answer)

    async def _fetch(
        self, scope: Scope, receive: Receive, answer: AnswerFilter, cookie: str
    ) -> None:
        """Let a browser have a file that belongs to it."""
        before, _, shown = scope["path"].partition(FILE)
        real = self.places.real(unquote(shown))
        if not self.places.is_allowed(real, cookie):
            await _refuse(answer)
            return
        path = f"{before}{FILE}{real}"
        await self.app({**scope, "path": path, "raw_path": quote(path).encode()}, receive, answer)

    async def _pass_json(
        self, scope: Scope, receive: Receive, answer: AnswerFilter, cookie: str
    ) -> None:
        """Translate the paths in a request, and refuse those of others."""
        body = await _read_body(receive)
        try:
            content = self._own(json.loads(body or b"null"), cookie) if body is not None else None
        except (ValueError, RecursionError):
            await self.app(scope, _once(body or b""), answer)  # Gradio says what is wrong with it
            return
        except PermissionError:
            await _refuse(answer)
            return
        if body is None:
            await _refuse(answer)
            return
        sent = json.dumps(content).encode() if body else b""
        headers = [pair for pair in scope["headers"] if pair[0] != b"content-length"]
        headers.append((b"content-length", str(len(sent)).encode()))
        await self.app({**scope, "headers": headers}, _once(sent, receive), answer)

    def _own(self, value: Json, cookie: str) -> Json:
        """Translate every path below a value.

        Raises:
            PermissionError: One is not the browser's own.
        """
        if isinstance(value, list):
            return [self._own(one, cookie) for one in value]
        if not isinstance(value, dict):
            return value
        owned = {key: self._own(one, cookie) for key, one in value.items() if key != "path"}
        path = value.get("path")
        if isinstance(path, str) and path:
            real = self.places.real(path)
            if not self.places.is_allowed(real, cookie):
                raise PermissionError(path)
            path = str(real)
        return owned | ({"path": path} if "path" in value else {})


def read_cookie(scope: Scope) -> str | None:
    """Find the browser's cookie in a request; None if there is none that can be ours."""
    for name, value in scope["headers"]:
        if name == b"cookie":
            found = find_cookie(value.decode("latin-1"))
            if found is not None:
                return found
    return None


def find_cookie(header: str) -> str | None:
    """Find the browser's cookie in a header."""
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return None
    return morsel.value if morsel is not None and TOKEN.fullmatch(morsel.value) else None


def own_file(places: FilePlaces, path: object, cookie: str) -> Path:
    """Check a path that a visitor named.

    Raises:
        PermissionError: It leads to something else than a file of theirs, or a sample.
    """
    real = places.real(str(path))
    if not places.is_allowed(real, cookie) or not real.is_file():
        raise PermissionError(str(path))
    return real


def _is_json(scope: Scope) -> bool:
    kinds = [value for name, value in scope["headers"] if name == b"content-type"]
    return scope["method"] == "POST" and any(b"json" in kind for kind in kinds)


async def _read_body(receive: Receive) -> bytes | None:
    """Collect a request's body; None if it is too large or broken off."""
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
    """Hand out a body that has been read; afterwards tell what else comes, such as a goodbye."""
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
    # In a frame of another site, as on the Hub, a browser keeps nothing else than this.
    where = "SameSite=None; Secure; Partitioned" if is_secure else "SameSite=Lax"
    return f"{COOKIE}={cookie}; Path=/; HttpOnly; {where}".encode()


async def _refuse(answer: AnswerFilter) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await answer({"type": "http.response.start", "status": 403, "headers": headers})
    await answer({"type": "http.response.body", "body": REFUSAL, "more_body": False})
