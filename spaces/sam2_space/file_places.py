"""Folders of visitors' files: public names, real paths, and ownership."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

PUBLIC = "/space-files"  # public name of the folder of all files
SAMPLES = "samples"
UPLOADS = "uploads"
SPILL = "spill"  # data that a video's session offloads to disk
MAX_STEM = 60  # characters
ATTEMPTS = 5
UNSAFE = re.compile(r"[^\w \-]+")
ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class FilePlaces:
    """Folder of all files: `samples`, and one folder for each browser.

    A browser is identified by a random cookie. Its folder is named by the cookie's hash, so a path
    determines the owner without revealing the cookie.

    Attributes:
        root: The folder, an absolute path without links.
    """

    root: Path

    @property
    def samples(self) -> Path:
        """Folder of samples, readable by all."""
        return self.root / SAMPLES

    def owner_folder(self, cookie: str) -> Path:
        """Return the folder of a browser's files."""
        return self.root / hashlib.sha256(cookie.encode()).hexdigest()[:32]

    def real(self, shown: str) -> Path:
        """Translate a public path; the result is not checked."""
        if shown == PUBLIC or shown.startswith(f"{PUBLIC}/"):
            return Path(f"{self.root}{shown.removeprefix(PUBLIC)}")
        return Path(shown)

    def shown(self, content: bytes) -> bytes:
        """Replace the folder's real path in outgoing content."""
        return content.replace(os.fsencode(self.root), PUBLIC.encode())

    def is_allowed(self, path: Path, cookie: str, *, samples: bool = True) -> bool:
        """Whether a browser may read a file.

        Args:
            path: The real path.
            cookie: The browser's cookie.
            samples: Whether samples are allowed.
        """
        try:
            resolved = Path(os.path.realpath(path))
        except ValueError:  # not a path: it contains a null byte
            return False
        places = [self.owner_folder(cookie), *([self.samples] if samples else [])]
        return any(place in resolved.parents for place in places)

    def keep_upload(self, path: Path, cookie: str) -> Path:
        """Move an upload to the folder of its browser.

        Returns:
            Its new path, with an unguessable name.
        """
        ending = path.suffix if ENDING.fullmatch(path.suffix) else ""
        kept = self.owner_folder(cookie) / UPLOADS / f"{secrets.token_hex(16)}{ending}"
        for _ in range(ATTEMPTS):
            kept.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # cleaned up concurrently
                path.replace(kept)
                break
        if path.parent != self.root and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return kept

    def add_samples(self, folder: Path) -> list[Path]:
        """Copy the samples to the public folder."""
        shutil.copytree(folder, self.samples, dirs_exist_ok=True)
        return sorted(self.samples.iterdir())


def safe_stem(name: object, otherwise: str) -> str:
    """Make a safe stem for result files from a visitor's file name.

    Only letters, digits, spaces, underscores and dashes are kept.

    Args:
        name: The name sent by the browser; may be None.
        otherwise: Fallback if nothing is left.
    """
    last = str(name or "").replace("\\", "/").rpartition("/")[2]
    stem = UNSAFE.sub(" ", last.rpartition(".")[0] or last)
    return " ".join(stem.split())[:MAX_STEM].strip() or otherwise
