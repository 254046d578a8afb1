"""Uploads, checked by our own code, with a quota per browser and in total.

Gradio's picture input parses a file before passing it on, and fails silently.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .file_places import SPILL, UPLOADS, FilePlaces
from .limits import MILLION


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file.

    Attributes:
        path: Its claimed path, unchecked.
        name: The visitor's name for it, unchecked.
    """

    path: str
    name: str

    @classmethod
    def of_payload(cls, payload: object) -> "Upload | None":
        """Parse a file reference of a browser or a client; None if invalid."""
        path = payload.get("path") if isinstance(payload, Mapping) else None
        if not isinstance(payload, Mapping) or not isinstance(path, str) or not path:
            return None
        return cls(path, str(payload.get("orig_name") or ""))


def forget(path: Path) -> None:
    """Delete an upload that has been read."""
    path.unlink(missing_ok=True)


FORBIDDEN, LENGTH_NEEDED, TOO_LARGE, NO_ROOM = 403, 411, 413, 507
FORM_SLACK = MILLION  # bytes of a form besides its file
OWN_FILES = 20  # quota of a browser, in files of the largest size, results included
UNUSED_FILES = 60  # quota of all unopened uploads, in files of the largest size
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal of a request.

    Attributes:
        status: HTTP status.
        text: Reason.
    """

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class UploadQuota:
    """Quota checked before an upload is read.

    Attributes:
        places: Folders of files.
        file_mb: Size of one file, millions of bytes.
    """

    places: FilePlaces
    file_mb: int

    async def refusal(self, headers: Headers, cookie: str) -> Refusal | None:
        """Return why an upload is refused; None if it is allowed."""
        length = content_length(headers)
        if length is None:
            return Refusal(LENGTH_NEEDED, "Send the length of this upload (Content-Length).")
        most = self.file_mb * MILLION
        if length > most + FORM_SLACK:
            text = (
                f"This exceeds the maximum allowed file size: {self.file_mb} MB are allowed here."
            )
            return Refusal(TOO_LARGE, text)
        own, unused = await asyncio.to_thread(self._stored, cookie)
        if own + length > OWN_FILES * most:
            text = (
                "You have too many files here. Close other tabs of this site, or come back later."
            )
            return Refusal(NO_ROOM, text)
        if unused + length > UNUSED_FILES * most:
            return Refusal(NO_ROOM, "The server is full. Try again in a few minutes.")
        return None

    def _stored(self, cookie: str) -> tuple[int, int]:
        """Return the bytes of a browser, and of all unopened uploads."""
        unused = sum(_bytes_below(folder) for folder in self.places.root.glob(f"*/{UPLOADS}"))
        return _bytes_below(self.places.owner_folder(cookie)), unused


def content_length(headers: Headers) -> int | None:
    """Return the Content-Length of a request; None if missing."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _bytes_below(folder: Path) -> int:
    """Return the bytes below a folder, without spilled session data, which has its own limit."""
    total = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != SPILL]
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except OSError:  # deleted concurrently
                continue
    return total
