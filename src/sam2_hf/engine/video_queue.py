"""The queue of a set: paths, folders, patterns, addresses and tables become a list of videos.

Listing opens no video. Addresses such as `s3://` are read by fsspec, and copied to a temporary
folder while their video is labeled.
"""

import contextlib
import glob
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from sam2_hf.atomic_write import make_folder
from sam2_hf.data.hub import is_saved_table, read_table
from sam2_hf.errors import DataError, MissingPackageError, OutputError, PromptError, VideoError
from sam2_hf.frames.open import ADDRESS
from sam2_hf.picture_files import PICTURE_ENDINGS, VIDEO_ENDINGS, is_picture_name, natural_order

from .claims import Beat, no_beat

TABLE = "dataset:"  # dataset:PLACE:SPLIT, a table of `datasets`
TABLE_VIDEOS = ("video", "images", "frames")  # columns that hold one
NAME_COLUMN = "name"
UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
CHUNK = 8 * 2**20  # bytes
LONGEST_STEM, DIGITS = 60, 10  # characters of an id


@dataclass(frozen=True, slots=True)
class QueuedVideo:
    """A video of the queue.

    Attributes:
        id: Its name in the set, from its stem and a digest of its address.
        address: Absolute path, address, or `dataset:PLACE:SPLIT#ROW`.
        name: File or folder name, which prompts refer to.
        num_bytes: Size of the file; 0 if unknown. Large ones are labeled first.
    """

    id: str
    address: str
    name: str
    num_bytes: int = 0

    @classmethod
    def at(cls, address: str, name: str, num_bytes: int = 0) -> "QueuedVideo":
        """Make the record of an address."""
        stem = name if _looks_like_folder(name) else name.rpartition(".")[0]
        digest = hashlib.sha256(address.encode("utf-8", "surrogateescape")).hexdigest()
        safe = UNSAFE.sub("_", stem or name)[:LONGEST_STEM] or "video"
        return cls(f"{safe}-{digest[:DIGITS]}", address, name, num_bytes)

    @property
    def stem(self) -> str:
        """Its name without ending."""
        return self.name if _looks_like_folder(self.name) else self.name.rpartition(".")[0]

    def as_json(self) -> dict[str, Any]:
        """Describe it for a file."""
        return asdict(self)

    @contextmanager
    def opened(self, beat: Beat = no_beat) -> Iterator[Any]:
        """Yield what `open_frames` takes: a path, or a list of pictures.

        Args:
            beat: Called while it is copied, as a sign of progress.

        Raises:
            VideoError: It cannot be read or copied.
        OutputError: There is no space for a copy.
            MissingPackageError: The package for its kind of address is not installed.
        """
        if self.address.startswith(TABLE):
            with _from_table(self.address) as video:
                yield video
        elif ADDRESS.match(self.address):
            with tempfile.TemporaryDirectory(prefix="sam2-hf-label-") as folder:
                yield _copied(self.address, Path(folder) / self.name, beat)
        else:
            yield self.address


def list_videos(texts: Iterable[str]) -> list[QueuedVideo]:
    """List videos in the order given, each once.

    Args:
        texts: Video files, folders of a video's pictures, folders of videos, patterns, addresses
            that fsspec knows, tables saved with `datasets`, or `dataset:PLACE:SPLIT`.

    Returns:
        The videos. A path that does not exist is listed, too, so that only its video fails.

    Raises:
        PromptError: A folder or pattern has no video.
        DataError: A table cannot be read.
        MissingPackageError: The package for a kind of address is not installed.
    """
    found: dict[str, QueuedVideo] = {}
    for text in texts:
        for video in _expanded(text):
            found.setdefault(video.address, video)
    return list(found.values())


def _expanded(text: str) -> Iterator[QueuedVideo]:
    path = Path(os.path.expanduser(text))
    if text.startswith(TABLE):
        place, _, split = text[len(TABLE) :].rpartition(":")
        yield from _rows(place or split, split if place else "train")
    elif ADDRESS.match(text):
        yield from _remote(text)
    elif path.suffix == ".parquet" or (path.is_dir() and is_saved_table(path)):
        yield from _rows(str(path.absolute()), "train")
    elif os.path.lexists(path) or not glob.has_magic(text):
        yield from _local(path)
    else:
        matches = sorted(glob.glob(str(path), recursive=True), key=natural_order)
        if not matches:
            raise PromptError(f"nothing matches {text}. Check the pattern.")
        for match in matches:
            yield from _local(Path(match))


def _local(path: Path) -> Iterator[QueuedVideo]:
    if not path.is_dir():
        yield _local_video(path)
        return
    try:
        names = sorted(os.listdir(path), key=natural_order)
    except OSError as error:
        raise PromptError(f"the folder {path} cannot be read: {error.strerror}.") from error
    if any(map(is_picture_name, names)) and not any(map(_is_video_name, names)):
        yield _local_video(path)
        return
    inside = [path / name for name in names if not name.startswith(".")]
    videos = [item for item in inside if _is_video_name(item.name) or _has_pictures(item)]
    if not videos:
        raise PromptError(f"the folder {path} has neither a video nor a folder of pictures.")
    yield from map(_local_video, videos)


def _local_video(path: Path) -> QueuedVideo:
    whole = Path(os.path.abspath(path))
    num_bytes = whole.stat().st_size if whole.is_file() else 0
    return QueuedVideo.at(str(whole), whole.name, num_bytes)


def _is_video_name(name: str) -> bool:
    return name.lower().endswith(VIDEO_ENDINGS) and not name.startswith(".")


def _looks_like_folder(name: str) -> bool:
    return not name.lower().endswith((*VIDEO_ENDINGS, *PICTURE_ENDINGS))


def _has_pictures(path: Path) -> bool:
    return path.is_dir() and any(is_picture_name(name) for name in os.listdir(path))


def _remote(address: str) -> Iterator[QueuedVideo]:
    """List an address: a file, a pattern, or what is in a folder."""
    system, inside = _file_system(address)
    scheme = address.partition("://")[0]
    if scheme in ("http", "https") and "*" not in inside:
        yield QueuedVideo.at(address, _remote_name(address))  # servers need not list
        return
    paths = system.glob(inside) if glob.has_magic(inside) else _in_folder(system, inside)
    if not paths:
        raise PromptError(f"nothing matches {address}. Check the address.")
    for path in sorted(paths, key=natural_order):
        whole = system.unstrip_protocol(path)
        num_bytes = system.size(path) if system.isfile(path) else 0
        yield QueuedVideo.at(whole, _remote_name(whole), num_bytes or 0)


def _in_folder(system: Any, inside: str) -> list[str]:  # noqa: ANN401 - of fsspec
    if not system.isdir(inside):
        return [inside]
    names = list(map(str, system.ls(inside, detail=False)))
    videos = [name for name in names if _is_video_name(_remote_name(name))]
    if not videos and any(is_picture_name(_remote_name(name)) for name in names):
        return [inside]
    return videos or [name for name in names if system.isdir(name)]


def _remote_name(address: str) -> str:
    return PurePosixPath(address.partition("?")[0].rstrip("/")).name or "video"


def _file_system(address: str) -> tuple[Any, str]:
    """Find the file system of an address, and the path in it.

    Raises:
        MissingPackageError: fsspec, or the package for this kind of address, is not installed.
        VideoError: The address is not understood.
    """
    try:
        import fsspec  # optional
    except ImportError as error:
        raise MissingPackageError(
            "fsspec",
            purpose=f"Reading {address}",
            install="pip install 'sam2-hf[engine]' installs it.",
        ) from error
    try:
        return fsspec.core.url_to_fs(address)
    except ImportError as error:  # s3fs, gcsfs, ...
        package = getattr(error, "name", None) or address.partition("://")[0]
        raise MissingPackageError(
            package, purpose=f"Reading {address}", install=f"{error}."
        ) from error
    except (ValueError, OSError) as error:
        raise VideoError(f"{address} cannot be read: {error}.") from error


def _copied(address: str, target: Path, beat: Beat) -> str:
    """Copy a file or a folder of pictures; return its path."""
    system, inside = _file_system(address)
    with _readable(address):
        is_folder = system.isdir(inside)
        paths = list(map(str, system.ls(inside, detail=False))) if is_folder else []
    if not is_folder:
        _write(target, _chunks(system, inside, address), beat)
        return str(target)
    make_folder(target)
    for path in paths:
        if is_picture_name(_remote_name(path)):
            _write(target / _remote_name(path), _chunks(system, path, address), beat)
    return str(target)


@contextmanager
def _readable(address: str) -> Iterator[None]:
    """Name the address in an error of its file system."""
    try:
        yield
    except Exception as error:  # of many libraries
        reason = " ".join(str(error).split()) or type(error).__name__
        raise VideoError(f"{address} cannot be copied: {reason}.") from error


def _chunks(system: Any, inside: str, address: str) -> Iterator[bytes]:  # noqa: ANN401 - of fsspec
    with _readable(address):
        remote = system.open(inside, "rb")
    with contextlib.closing(remote):
        while True:
            with _readable(address):
                chunk = remote.read(CHUNK)
            if not chunk:
                return
            yield chunk


def _write(target: Path, chunks: Iterable[bytes], beat: Beat = no_beat) -> None:
    """Write a temporary file.

    Raises:
        OutputError: It cannot be written, as on a full disk, which stops a whole run.
    """
    for chunk in chunks:
        try:
            with target.open("ab") as file:
                file.write(chunk)
        except OSError as error:
            raise OutputError(
                f"a copy cannot be written to {target.parent}: {error.strerror or error}. Free "
                "some space, or set TMPDIR to another folder."
            ) from error
        beat()


def _rows(place: str, split: str) -> Iterator[QueuedVideo]:
    table = _table(place, split)
    column = _video_column(table.column_names, place)
    names = table[NAME_COLUMN][:] if NAME_COLUMN in table.column_names else None
    for row in range(len(table)):
        name = str(names[row]) if names else f"row{row:06d}"
        yield QueuedVideo.at(f"{TABLE}{place}:{split}#{row}", name)
    if not len(table):
        raise DataError(f"{place} has no row with a {column}.")


def _table(place: str, split: str) -> Any:  # noqa: ANN401 - of `datasets`
    try:
        return read_table(place, split)
    except (DataError, MissingPackageError):
        raise
    except Exception as error:  # of many libraries
        raise DataError(f"the table {place} cannot be read: {error}.") from error


def _video_column(columns: list[str], place: str) -> str:
    for name in TABLE_VIDEOS:
        if name in columns:
            return name
    raise DataError(
        f"{place} has no column {', '.join(TABLE_VIDEOS)}; it has {', '.join(columns)}."
    )


@contextmanager
def _from_table(address: str) -> Iterator[Any]:
    """Yield the video of a row: a path, or its pictures."""
    rest, _, row = address[len(TABLE) :].rpartition("#")
    place, _, split = rest.rpartition(":")
    table = _table(place, split)
    column = _video_column(table.column_names, place)
    value = _undecoded(table, column)[int(row)][column]
    if isinstance(value, list):
        yield [_picture(item) for item in value]
        return
    if isinstance(value, dict):
        value = value["bytes"] or value["path"]
    if isinstance(value, str):
        yield value
        return
    with tempfile.TemporaryDirectory(prefix="sam2-hf-label-") as folder:
        path = Path(folder) / "video"
        _write(path, [value])
        yield str(path)


def _undecoded(table: Any, column: str) -> Any:  # noqa: ANN401 - of `datasets`
    from datasets import Video  # optional

    is_decoded = isinstance(table.features[column], Video)
    return table.cast_column(column, Video(decode=False)) if is_decoded else table


def _picture(item: Any) -> Any:  # noqa: ANN401 - what a table holds
    """Unwrap a picture that a table holds as bytes or a path."""
    if not isinstance(item, dict):
        return item
    if not item.get("bytes"):
        return item["path"]
    return Image.open(io.BytesIO(item["bytes"]))
