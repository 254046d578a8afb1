"""Files of tasks: from Label Studio, from the web, or from a folder that both see."""

import hashlib
import tempfile
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from sam2_hf.errors import PromptError

LOCAL_FILES = "/data/local-files/"
SECONDS = 30
LARGEST = 2**30  # bytes
CHUNK = 2**20
KEPT = 32  # downloads


class TaskFiles:
    """Finds the file that a task names, and downloads it if it must.

    Args:
        host: Address of Label Studio, such as "http://localhost:8080"; empty if unknown.
        api_key: Its access token; sent to that host only.
        folder: What Label Studio's `LOCAL_FILES_DOCUMENT_ROOT` is here; None if not used.
    """

    def __init__(self, host: str = "", api_key: str = "", folder: Path | None = None) -> None:
        self._host = host.rstrip("/")
        self._api_key = api_key
        self._folder = folder
        self._downloads = tempfile.TemporaryDirectory(prefix="sam2-hf-label-studio-")

    def path(self, address: str) -> Path:
        """Return the file at an address of a task's data.

        Raises:
            PromptError: It cannot be reached.
        """
        parts = urlsplit(address)
        if parts.path.startswith(LOCAL_FILES) and self._folder is not None:
            return self._local(parse_qs(parts.query).get("d", [""])[0], self._folder)
        if address.startswith("/") and not self._host:
            raise PromptError(
                f"{address} lies in Label Studio, whose address is unknown. Start the backend with "
                "--label-studio."
            )
        whole = f"{self._host}{address}" if address.startswith("/") else address
        if urlsplit(whole).scheme not in ("http", "https"):
            raise PromptError(f"{whole[:80]} is no web address. Let Label Studio sign its storage.")
        return self._download(whole)

    def close(self) -> None:
        """Delete the downloads."""
        self._downloads.cleanup()

    def _local(self, relative: str, folder: Path) -> Path:
        path = (folder / relative).resolve()
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise PromptError(f"there is no file {relative!r} in the folder of local files.")
        return path

    def _download(self, address: str) -> Path:
        name = hashlib.sha256(address.encode()).hexdigest()[:32]
        target = Path(self._downloads.name) / f"{name}{Path(urlsplit(address).path).suffix[:8]}"
        if target.exists():
            return target
        request = Request(address)
        if self._api_key and self._host and address.startswith(f"{self._host}/"):
            # Not sent on to where a redirect leads.
            request.add_unredirected_header("Authorization", f"Token {self._api_key}")
        partial = target.with_suffix(".part")
        try:
            with urlopen(request, timeout=SECONDS) as response, partial.open("wb") as file:
                while chunk := response.read(CHUNK):
                    file.write(chunk)
                    if file.tell() > LARGEST:
                        raise PromptError(f"{address[:80]} is larger than {LARGEST >> 20} MiB.")
        except (URLError, OSError, HTTPException, ValueError) as error:
            raise PromptError(f"{address[:80]} cannot be read: {error}.") from error
        partial.replace(target)
        kept = sorted(Path(self._downloads.name).iterdir(), key=lambda path: path.stat().st_mtime)
        for path in kept[:-KEPT]:
            path.unlink()
        return target
