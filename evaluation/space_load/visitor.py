"""Visitor of the Space without a browser: sends the page's HTTP requests.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import io
import json
import secrets
import socket
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sam2_hf.errors import Sam2Error

API = "gradio_api"
TIMEOUT = 120.0  # seconds
Json = Any  # numbers, texts, lists and dictionaries of them


class VisitError(Sam2Error):
    """The server refused, or sent an invalid answer."""


class SpaceVisitor:
    """One page in one browser; a context manager of the visit.

    Args:
        address: The server, such as `http://127.0.0.1:7860/`.
    """

    def __init__(self, address: str) -> None:
        self._page = secrets.token_hex(6)
        self._http = httpx.Client(base_url=address, timeout=TIMEOUT)
        config = self._http.get("config").json()
        self._ids = {
            component["props"].get("elem_id"): component["id"] for component in config["components"]
        }
        self._events = config["dependencies"]
        self._alive = self._stay(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._alive.close()
        self._http.close()

    def upload(self, name: str, content: bytes) -> Json:
        """Upload a file; return its reference for events."""
        answer = self._http.post(f"{API}/upload", files={"files": (name, content)})
        answer.raise_for_status()
        kind = {"_type": "gradio.FileData"}
        return {"path": answer.json()[0], "orig_name": name, "meta": kind}

    def fire(
        self, component: str, event: str, data: list[Json], about: Json = None
    ) -> dict[str, Json]:
        """Fire an event of a component.

        Args:
            component: Its id on the page.
            event: Name of the event, such as "click".
            data: Values of the components that the event reads.
            about: Details of the event, such as the position of a click.

        Returns:
            The final updates of components, by id, without those that have none.

        Raises:
            VisitError: The server refused.
        """
        target = [self._ids[component], event]
        handler = next(listener for listener in self._events if target in listener["targets"])
        updates = self._run(handler, data, about)
        for after in self._events:
            if after["trigger_after"] == handler["id"] and after["trigger_only_on_success"]:
                return self._run(after, data, about)
        return updates

    def _run(self, handler: Json, data: list[Json], about: Json) -> dict[str, Json]:
        """Run one handler."""
        sent = {
            "data": data if handler["inputs"] else [],
            "event_data": about,
            "fn_index": handler["id"],
            "session_hash": self._page,
            "trigger_id": handler["targets"][0][0],
        }
        joined = self._http.post(f"{API}/queue/join", json=sent)
        joined.raise_for_status()
        output = self._completed(joined.json()["event_id"])
        names = {number: name for name, number in self._ids.items() if name}
        pairs = zip(handler["outputs"], output["data"], strict=True)
        return {names[number]: value for number, value in pairs if number in names}

    def picture(self, update: Json) -> NDArray[np.uint8]:
        """Fetch the picture that an update shows, `(height, width, 3)`."""
        value = update["value"] if "__type__" in update else update
        answer = self._http.get(f"{API}/file={value['path']}")
        answer.raise_for_status()
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))

    def _completed(self, event_id: str) -> dict[str, Json]:
        address = f"{API}/queue/data?session_hash={self._page}"
        with self._http.stream("GET", address) as answer:
            for message in _messages(answer):
                if message.get("event_id") != event_id or message["msg"] != "process_completed":
                    continue
                output: dict[str, Json] = message["output"]
                if not message["success"]:
                    raise VisitError(str(output.get("error")))
                return output
        raise VisitError("the server ended the stream of messages.")

    def _stay(self, address: str) -> socket.socket:
        """Open the heartbeat connection that marks the page as open."""
        where = urlsplit(address)
        held = socket.create_connection((where.hostname or "", where.port or 80), TIMEOUT)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self._http.cookies.jar)
        held.sendall(
            f"GET /{API}/heartbeat/{self._page} HTTP/1.1\r\nHost: {where.netloc}\r\n"
            f"Cookie: {cookies}\r\n\r\n".encode()
        )
        return held


def _messages(answer: httpx.Response) -> Iterator[dict[str, Json]]:
    for line in answer.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line.removeprefix("data:"))
