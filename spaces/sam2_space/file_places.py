"""Where files of visitors lie, what they are called outside, and whose they are."""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

PUBLIC = "/space-files"  # what the folder of all files is called in pages and answers
SAMPLES = "samples"
UPLOADS = "uploads"
SPILL = "spill"  # what a video's session keeps out of memory
MAX_STEM = 60  # characters
ATTEMPTS = 5
UNSAFE = re.compile(r"[^\w \-]+")
ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}")


@dataclass(frozen=True, slots=True)
class FilePlaces:
    """The folder of all files: `samples`, and one folder for each browser.

    A browser is known by a random cookie. Its folder is named after the cookie's hash, so a path
    tells who may fetch a file, and not the cookie.

    Attributes:
        root: The folder, an absolute path without links.
    """

    root: Path

    @property
    def samples(self) -> Path:
        """What everybody may fetch."""
        return self.root / SAMPLES

    def owner_folder(self, cookie: str) -> Path:
        """Tell where the files of a browser lie."""
        return self.root / hashlib.sha256(cookie.encode()).hexdigest()[:32]

    def real(self, shown: str) -> Path:
        """Translate a path from outside; it may still lead anywhere."""
        if shown == PUBLIC or shown.startswith(f"{PUBLIC}/"):
            return Path(f"{self.root}{shown.removeprefix(PUBLIC)}")
        return Path(shown)

    def shown(self, content: bytes) -> bytes:
        """Replace the folder's real path in what leaves the server."""
        return content.replace(os.fsencode(self.root), PUBLIC.encode())

    def is_allowed(self, path: Path, cookie: str, *, samples: bool = True) -> bool:
        """Whether a browser may read a file.

        Args:
            path: The real path.
            cookie: The browser's.
            samples: Whether the samples count.
        """
        try:
            resolved = Path(os.path.realpath(path))
        except ValueError:  # no path at all: it holds a zero
            return False
        places = [self.owner_folder(cookie), *([self.samples] if samples else [])]
        return any(place in resolved.parents for place in places)

    def keep_upload(self, path: Path, cookie: str) -> Path:
        """Move a file that has just come into the folder of the browser that sent it.

        Returns:
            Where it is now, under a name that cannot be guessed.
        """
        ending = path.suffix if ENDING.fullmatch(path.suffix) else ""
        kept = self.owner_folder(cookie) / UPLOADS / f"{secrets.token_hex(16)}{ending}"
        for _ in range(ATTEMPTS):
            kept.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):  # the folder was empty, so it was cleaned
                path.replace(kept)
                break
        if path.parent != self.root and not any(path.parent.iterdir()):
            path.parent.rmdir()
        return kept

    def add_samples(self, folder: Path) -> list[Path]:
        """Copy the samples to where they can be fetched."""
        shutil.copytree(folder, self.samples, dirs_exist_ok=True)
        return sorted(self.samples.iterdir())


def safe_stem(name: object, otherwise: str) -> str:
    """Make the beginning of a result's file name of what a visitor's file is called.

    Folders, markup, dots and everything else that is not a letter, a digit, a space or a dash goes.

    Args:
        name: The name that the browser sent; may be None.
        otherwise: What to use if nothing is left.
    """
    last = str(name or "").replace("\\", "/").rpartition("/")[2]
    stem = UNSAFE.sub(" ", last.rpartition(".")[0] or last)
    return " ".join(stem.split())[:MAX_STEM].strip() or otherwise
