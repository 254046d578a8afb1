"""Photos and videos of a command line: paths, folders, patterns, addresses and stdin.

Listing opens no file and reads no address; a [`Source`] becomes a file when it is its turn. Nothing
here imports torch, so that a misspelled name is refused at once.
"""

import difflib
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sam2_hf.errors import ImageError, PromptError, VideoError
from sam2_hf.picture_files import file_problem, is_picture_name, natural_order

from .download import MIB, DownloadError, download

STDIN = "-"
ADDRESS_STARTS = ("http://", "https://", "data:image/")
OTHER_ADDRESS = re.compile("[A-Za-z][A-Za-z0-9+.-]+://")
UNSAFE = re.compile(r'[\x00-\x1f<>:"/\\|?*]')  # in file names, on some system
LONGEST_NAME = 100
SHOWN = 100  # characters of an address in a message


@dataclass(frozen=True, slots=True)
class Kind:
    """What a command reads.

    Attributes:
        name: In messages.
        error: What is raised if it cannot be read.
        limit: Maximum size of a download, bytes.
        example: How to pipe one in.
    """

    name: str
    error: type[ImageError] | type[VideoError]
    limit: int
    example: str


PHOTO = Kind("image file", ImageError, 512 * MIB, "sam2-hf everything - < cup.jpg")
VIDEO = Kind("video file or folder", VideoError, 32 * 1024 * MIB, "sam2-hf track - < cup.mp4")


@dataclass(frozen=True, slots=True)
class Source:
    """One photo or video.

    Attributes:
        given: As given, or the path of a file in a given folder.
        kind: What it should be.
        path: Its path; None if it has to be downloaded or read from stdin.
        problem: Why it cannot be read; empty if nothing is known yet.
    """

    given: str
    kind: Kind
    path: Path | None = None
    problem: str = ""

    @property
    def name(self) -> str:
        """Path or file name, which result files are named after."""
        if self.path is not None:
            return str(self.path)
        return "stdin" if self.given == STDIN else _name_in(self.given)

    @contextmanager
    def file(self) -> Iterator[Path]:
        """Yield its file. What is downloaded or read from stdin is removed at the end.

        Raises:
            ImageError: A photo cannot be downloaded, or nothing comes from stdin.
            VideoError: A video cannot.
        """
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="sam2-hf-", ignore_cleanup_errors=True) as folder:
            target = Path(folder) / self.name
            if self.given == STDIN:
                self._read_stdin(target)
            else:
                self._download(target)
            yield target

    def _download(self, target: Path) -> None:
        try:
            download(self.given, target, self.kind.limit)
        except DownloadError as error:
            address = self.given[:SHOWN]
            raise self.kind.error(f"{address} cannot be downloaded: {error}.") from error

    def _read_stdin(self, target: Path) -> None:
        if not sys.stdin.isatty():
            with target.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
            if target.stat().st_size:
                return
        raise self.kind.error(
            f"- reads a file from stdin, and nothing comes from there. Pipe one in: "
            f"{self.kind.example}"
        )


def list_photos(texts: Sequence[str], from_file: str | None = None) -> list[Source]:
    """List the photos of a command line, in order.

    Args:
        texts: Paths, folders (all pictures in them), patterns such as `holiday/*.jpg` that the
            shell did not expand, `http(s)` addresses, or `-` for a picture from stdin.
        from_file: A file with one of these per line, or `-` for lines from stdin.

    Raises:
        PromptError: Stdin is named twice.
        ImageError: The list cannot be read.
    """
    listed = [] if from_file is None else _lines(from_file)
    if [*texts, *listed, from_file].count(STDIN) > 1:
        raise PromptError("stdin (-) is named twice, and it can be read only once.")
    return [source for text in [*texts, *listed] for source in _expand(text)]


def find_video(text: str) -> Source:
    """Find the video of a command line: a file, a folder of pictures, an address, stdin.

    Args:
        text: As for `list_photos`, except that a folder is one video, and a pattern must match one
            file.
    """
    path = Path(text).expanduser()
    if _is_remote(text) or os.path.lexists(path) or not glob.has_magic(text):
        return _one(text, VIDEO, is_folder_fine=True)
    matches = _matches(path)
    if len(matches) == 1:
        return Source(text, VIDEO, Path(matches[0]))
    found = f"{len(matches)} files match {text}" if matches else f"nothing matches {text}"
    hint = "Check the pattern."
    if len(matches) > 1:
        hint = "Track one video at a time; pictures that are its frames as their folder."
    return Source(text, VIDEO, path, f"{found}. {hint}")


def _expand(text: str) -> list[Source]:
    path = Path(text).expanduser()
    if not text or _is_remote(text):
        return [_one(text, PHOTO)]
    if os.path.isdir(path):
        return _in_folder(text, path)
    if os.path.lexists(path) or not glob.has_magic(text):
        return [_one(text, PHOTO)]
    files = [match for match in _matches(path) if os.path.isfile(match)]
    files = [file for file in files if is_picture_name(Path(file).name)] or files
    if not files:
        return [Source(text, PHOTO, path, f"nothing matches {text}. Check the pattern.")]
    return [Source(file, PHOTO, Path(file)) for file in files]


def _in_folder(text: str, path: Path) -> list[Source]:
    try:
        names = sorted(filter(is_picture_name, os.listdir(path)), key=natural_order)
    except OSError as error:
        problem = f"the folder {text} cannot be read: {error.strerror}."
        return [Source(text, PHOTO, path, problem)]
    if names:
        return [Source(str(path / name), PHOTO, path / name) for name in names]
    problem = f"the folder {text} has no picture. For folders below it, give '{path / '**/*.jpg'}'."
    return [Source(text, PHOTO, path, problem)]


def _one(text: str, kind: Kind, *, is_folder_fine: bool = False) -> Source:
    """Make the source of a name that stands for itself, with the problem that can be seen."""
    if _is_remote(text):
        return Source(text, kind)
    if OTHER_ADDRESS.match(text):
        problem = f"{text[:SHOWN]} is an address that cannot be read; http:// and https:// can."
        return Source(text, kind, Path(text), problem)
    if not text:
        return Source(text, kind, Path(), "an empty text ('') is no file. Check the quotes.")
    path = Path(text).expanduser()
    if is_folder_fine and os.path.isdir(path):
        return Source(text, kind, path)
    problem = file_problem(path, kind.name) or ""
    if problem.startswith("there is no"):
        problem = f"there is no {kind.name} {text}. {_hint(path)}"
    return Source(text, kind, path, problem)


def _hint(path: Path) -> str:
    """Say which part of a path is missing, or which name is near."""
    if str(path).startswith("www."):
        return f"If it is an address, write https://{path}."
    if not path.parent.is_dir():
        return f"There is no folder {path.parent} either; this folder is {Path.cwd()}."
    near = difflib.get_close_matches(path.name, os.listdir(path.parent), n=1, cutoff=0.7)
    return f"Did you mean {path.parent / near[0]}?" if near else "Check the path."


def _matches(pattern: Path) -> list[str]:
    return sorted(glob.glob(str(pattern), recursive=True), key=natural_order)


def _is_remote(text: str) -> bool:
    return text == STDIN or text.startswith(ADDRESS_STARTS)


def _name_in(address: str) -> str:
    """Return the file name in an address, made safe."""
    if address.startswith("data:"):
        return "picture"
    path = address.split("://", 1)[-1].partition("?")[0].partition("#")[0].partition("/")[2]
    name = UNSAFE.sub("_", unquote(path).rsplit("/", 1)[-1]).strip(". ")
    return name[-LONGEST_NAME:] or "download"


def _lines(from_file: str) -> list[str]:
    """Read a list of sources, one per line.

    Raises:
        ImageError: It cannot be read.
    """
    if from_file == STDIN:
        content = sys.stdin.buffer.read()
    else:
        path = Path(from_file).expanduser()
        if problem := file_problem(path, "list of photos"):
            raise ImageError(problem)
        content = path.read_bytes()
    return [line for line in os.fsdecode(content).splitlines() if line.strip()]
