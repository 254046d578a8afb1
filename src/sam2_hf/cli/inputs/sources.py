"""Photos and videos of a command line: paths, folders, patterns, addresses and stdin.

Listing opens no file and reads no address; a [`Source`] becomes a file when it is its turn. Nothing
here imports torch, so that a misspelled name is refused at once.
"""

import difflib
import glob
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from sam2_hf.cli.console import note
from sam2_hf.errors import ImageError, PromptError, VideoError
from sam2_hf.picture_files import file_problem, is_picture_name, natural_order

from .download import CHUNK, MIB, DownloadError, download

STDIN = "-"
HTTP_STARTS = ("http://", "https://")
ADDRESS_STARTS = (*HTTP_STARTS, "data:image/")
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
        limit: Maximum size of a download or of stdin, bytes.
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
        return _name_of_remote(self.given)

    @property
    def photo_name(self) -> str:
        """Path or address of a photo, which its results name; a file that is removed has none."""
        if self.given.startswith(HTTP_STARTS):
            return self.given
        is_stored = self.path is not None and not _is_remote(self.given)
        return str(self.path) if is_stored else _name_of_remote(self.given)

    @contextmanager
    def file(self) -> Iterator[Path]:
        """Yield its file. What is downloaded or read from stdin is removed at the end.

        Raises:
            ImageError: A photo cannot be downloaded, or nothing or too much comes from stdin.
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
        if sys.stdin is not None and not sys.stdin.isatty():
            received = 0
            with target.open("wb") as file:
                while chunk := sys.stdin.buffer.read(CHUNK):
                    received += len(chunk)
                    if received > self.kind.limit:
                        raise self.kind.error(
                            f"the data from stdin is larger than {self.kind.limit // MIB} MiB. "
                            "Save it as a file, and give its path."
                        )
                    file.write(chunk)
            if received:
                return
        raise self.kind.error(
            f"- reads a file from stdin, but nothing arrives there. Pipe one in: "
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
    listed = [] if from_file is None else read_lines(from_file)
    if [*texts, *listed, from_file].count(STDIN) > 1:
        raise PromptError("stdin (-) is named twice, and it can be read only once.")
    return [source for text in [*texts, *listed] for source in _expand(text)]


def find_video(text: str) -> Source:
    """Find the video of a command line: a file, a folder of pictures, an address, stdin.

    Args:
        text: As for `list_photos`, except that a folder is one video, and a pattern must match one
            file.
    """
    path = _path(text)
    if _is_remote(text) or os.path.lexists(path) or not glob.has_magic(text):
        return _one(text, VIDEO, is_folder_fine=True)
    matches = _matches(path)
    if len(matches) == 1:
        return Source(text, VIDEO, Path(matches[0]))
    found = f"{len(matches)} files match {text}" if matches else f"nothing matches {text}"
    hint = "Check the pattern."
    if len(matches) > 1:
        hint = "Track one video at a time; if these are its frames, give their folder."
    return Source(text, VIDEO, path, f"{found}. {hint}")


def _expand(text: str) -> list[Source]:
    path = _path(text)
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
        problem = f"{text[:SHOWN]} is not a URL that can be read. Use http:// or https://."
        return Source(text, kind, Path(text), problem)
    if not text:
        return Source(text, kind, Path(), "an empty string ('') is not a file. Check the quotes.")
    path = _path(text)
    if is_folder_fine and os.path.isdir(path):
        return Source(text, kind, path)
    problem = file_problem(path, kind.name) or ""
    if problem.startswith("there is no"):
        problem = f"there is no {kind.name} {text}. {_hint(path)}"
    return Source(text, kind, path, problem)


def _hint(path: Path) -> str:
    """Say which part of a path is missing, or which name is near."""
    if str(path).startswith("www."):
        return f"If it is a URL, write https://{path}."
    if not os.path.isdir(path.parent):
        return f"There is no folder {path.parent} either; the current folder is {Path.cwd()}."
    try:
        names = os.listdir(path.parent)
    except OSError:  # a folder may be entered and not listed
        names = []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f"Did you mean {path.parent / near[0]}?" if near else "Check the path."


def _path(text: str) -> Path:
    """Make a path; an unknown user's `~name` stays as it is."""
    return Path(os.path.expanduser(text))


def _matches(pattern: Path) -> list[str]:
    return sorted(glob.glob(str(pattern), recursive=True), key=natural_order)


def _is_remote(text: str) -> bool:
    return text == STDIN or text.startswith(ADDRESS_STARTS)


def _name_of_remote(address: str) -> str:
    """Return the file name in an address, made safe, or a name for stdin."""
    if address == STDIN:
        return "stdin"
    if address.startswith("data:"):
        return "picture"
    path = address.split("://", 1)[-1].partition("?")[0].partition("#")[0].partition("/")[2]
    name = UNSAFE.sub("_", unquote(path).rsplit("/", 1)[-1]).strip(". ")
    return name[-LONGEST_NAME:] or "download"


def read_lines(from_file: str) -> list[str]:
    """Read a list of sources, one per line.

    Raises:
        ImageError: It cannot be read.
    """
    if from_file == STDIN:
        if sys.stdin is None:
            raise ImageError("--from-file - reads lines from stdin, which is closed.")
        if sys.stdin.isatty():
            note("reading photos from stdin, one per line; Ctrl-D on an empty line ends the list")
        content = sys.stdin.buffer.read()
    else:
        path = _path(from_file)
        if problem := file_problem(path, "list of photos"):
            raise ImageError(problem)
        content = path.read_bytes()
    return [line for line in os.fsdecode(content).splitlines() if line.strip()]
