"""Uploads: files as they came, checked by our own code, within a quota of each browser and of all.

Gradio's picture input looks into a file before it hands it on, and fails without a word.
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
    """A file that has come.

    Attributes:
        path: Where it says it is; to be checked.
        name: What the visitor calls it; to be cleaned.
    """

    path: str
    name: str

    @classmethod
    def of_payload(cls, payload: object) -> "Upload | None":
        """Read what a browser or a client sends for a file; None if it is none."""
        path = payload.get("path") if isinstance(payload, Mapping) else None
        if not isinstance(payload, Mapping) or not isinstance(path, str) or not path:
            return None
        return cls(path, str(payload.get("orig_name") or ""))


def forget(path: Path) -> None:
    """Delete an upload that has been read."""
    path.unlink(missing_ok=True)


FORBIDDEN, LENGTH_NEEDED, TOO_LARGE, NO_ROOM = 403, 411, 413, 507
FORM_SLACK = MILLION  # bytes of a form around its file
OWN_FILES = 20  # of the largest size: all that a browser may have here, its results included
UNUSED_FILES = 60  # of the largest size: what has come, from everybody, and was not opened yet
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that says no.

    Attributes:
        status: Of HTTP.
        text: Why.
    """

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class UploadQuota:
    """What is looked at before an upload is read.

    Attributes:
        places: Where files lie.
        file_mb: Size of one file, millions of bytes.
    """

    places: FilePlaces
    file_mb: int

    async def refusal(self, headers: Headers, cookie: str) -> Refusal | None:
        """Tell why an upload may not come; None if it may."""
        length = content_length(headers)
        if length is None:
            return Refusal(LENGTH_NEEDED, "Say how long this upload is (Content-Length).")
        most = self.file_mb * MILLION
        if length > most + FORM_SLACK:
            text = (
                f"This exceeds the maximum allowed file size: {self.file_mb} MB are allowed here."
            )
            return Refusal(TOO_LARGE, text)
        own, unused = await asyncio.to_thread(self._stored, cookie)
        if own + length > OWN_FILES * most:
            text = (
                "You have too many files here. Close other pages of this site, or come back later."
            )
            return Refusal(NO_ROOM, text)
        if unused + length > UNUSED_FILES * most:
            return Refusal(NO_ROOM, "There is no room now. Try again in a few minutes.")
        return None

    def _stored(self, cookie: str) -> tuple[int, int]:
        """Count the bytes of a browser, and of all uploads that are not opened yet."""
        unused = sum(_bytes_below(one) for one in self.places.root.glob(f"*/{UPLOADS}"))
        return _bytes_below(self.places.owner_folder(cookie)), unused


def content_length(headers: Headers) -> int | None:
    """Read how long a request says it is; None if it does not say."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None


def _bytes_below(folder: Path) -> int:
    """Add up the files below a folder, but for the memory of sessions, which is bounded itself."""
    total = 0
    for place, folders, names in os.walk(folder):
        folders[:] = [one for one in folders if one != SPILL]
        for name in names:
            try:
                total += (Path(place) / name).stat().st_size
            except OSError:  # deleted in between
                continue
    return total
