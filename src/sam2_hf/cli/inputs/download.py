"""Download of a picture or video from the web to a file, with limits of size and time."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from sam2_hf import __version__
from sam2_hf.cli.progress import draw_bar

SILENCE_SECONDS = 10.0  # without a byte from the server
CHUNK = 2**18
MIB = 2**20
SAFE = "%/:=&?~+!$,;'@()*[]|"  # what is quoted already stays
HEADERS = {"User-Agent": f"sam2-hf/{__version__}"}  # some servers refuse Python's own


class DownloadError(Exception):
    """A download failed; the message says why."""


def download(address: str, target: Path, limit: int) -> None:
    """Write what lies at an address to a file.

    Args:
        address: `http(s)` or `data:` address.
        target: The file.
        limit: Maximum size, bytes.

    Raises:
        DownloadError: The server does not answer or refuses, it is a web page, or too large.
    """
    with _failures(address), urlopen(_request(address), timeout=SILENCE_SECONDS) as response:
        expected = int(response.headers.get("Content-Length") or 0)
        if response.headers.get_content_type() == "text/html":
            raise DownloadError("it is a web page. Give the URL of the picture or video itself")
        _check_size(expected, limit)
        with target.open("wb") as file, _bar(target.name, expected) as bar:
            received = 0
            while chunk := response.read(CHUNK):
                received += len(chunk)
                _check_size(received, limit)
                file.write(chunk)
                bar.update(len(chunk))
        if received < expected:  # `read` with a size ends without an error
            raise DownloadError(f"the connection broke after {received} of {expected} bytes")


def _request(address: str) -> Request:
    if address.startswith("data:"):
        return Request(address.replace(" ", "%20"), headers=HEADERS)
    parts = urlsplit(address)
    account, at, host = parts.netloc.rpartition("@")
    if not host.isascii():
        name, colon, port = host.partition(":")
        host = f"{name.encode('idna').decode()}{colon}{port}"
    ascii_parts = parts._replace(
        netloc=f"{quote(account, SAFE)}{at}{host}",
        path=quote(parts.path, SAFE),
        query=quote(parts.query, SAFE),
        fragment="",
    )
    return Request(urlunsplit(ascii_parts), headers=HEADERS)


def _bar(name: str, expected: int) -> Any:  # noqa: ANN401
    return draw_bar(desc=f"downloading {name}", total=expected or None, unit="B", unit_scale=True)


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise DownloadError(f"it is larger than {limit // MIB} MiB. Download it, and give the path")


@contextmanager
def _failures(address: str) -> Iterator[None]:
    """Convert the errors of the HTTP client to ours."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise DownloadError(f"the server answers {error.code} {error.reason}") from error
    except URLError as error:
        raise DownloadError(f"the server cannot be reached ({_reason(error.reason)})") from error
    except TimeoutError as error:
        text = f"the server is silent for {SILENCE_SECONDS:g} seconds"
        raise DownloadError(text) from error
    except (HTTPException, ConnectionError, ssl.SSLError, ValueError) as error:
        raise DownloadError(_reason(error)) from error


def _reason(error: object) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
