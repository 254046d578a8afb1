"""Photos of a command, one by one: a photo that fails does not stop the others.

The files of a photo are written while the next one is segmented; at most one photo waits for it.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import fails_everywhere
from sam2_hf.cli.inputs.sources import Source
from sam2_hf.interruption import INTERRUPTED

from .console import note, say
from .output_files import unique_stems
from .progress import PhotoProgress
from .report import CommandReport, failure_text


@dataclass(frozen=True, slots=True)
class PhotoResult:
    """What became of one photo.

    Attributes:
        summary: A line for the user.
        size: `(height, width)` of the photo.
        files: Files that were written.
        masks: Facts of each mask, see `report.object_facts`.
        write: Writes further files and returns them. It is called in another thread, so it must
            not use torch, whose helper threads would slow down the next photo.
    """

    summary: str
    size: tuple[int, int]
    files: Sequence[Path] = ()
    masks: list[dict[str, Any]] = field(default_factory=list)
    write: Callable[[], Sequence[Path]] = list


Work = Callable[[Path, Source, str, PhotoProgress], PhotoResult]


def work_through(arguments: argparse.Namespace, work: Work) -> int:
    """Do the same with every photo of a command line, and report each.

    Args:
        arguments: With `sources`, `report` and `out`.
        work: Given the photo's file, where it comes from, the stem of its result files and the
            progress bar.

    Returns:
        Exit code. Ctrl-C keeps the files of finished photos.

    Raises:
        OutputError: The results of no photo can be written, as on a full disk.
    """
    sources: list[Source] = arguments.sources
    report: CommandReport = arguments.report
    stems = unique_stems([source.name for source in sources])
    with PhotoProgress(len(sources)) as progress:
        try:
            with PhotoWriting(report, progress) as writing:
                for source, stem in zip(sources, stems, strict=True):
                    progress.begin(source.name)
                    _work_on(source, stem, work, writing)
            return report.code
        except KeyboardInterrupt:
            pass
    count = f"{progress.done} of {progress.total} photos are done"
    note(f"interrupted; {count}, their files stay in {arguments.out}")
    return INTERRUPTED


def _work_on(source: Source, stem: str, work: Work, writing: "PhotoWriting") -> None:
    began = time.monotonic()
    try:
        with source.file() as photo:
            result = work(photo, source, stem, writing.progress)
    except Exception as error:
        writing.finish()  # reported first, as in the order of the photos
        writing.fail(source, error)
        return
    writing.begin(source, result, began)


@dataclass(frozen=True, slots=True)
class _Written:
    """Files of a photo, and when they were done."""

    files: Sequence[Path]
    at: float


class PhotoWriting:
    """Writes and reports the photos of a command, one behind; a context.

    Leaving it finishes the photo that is being written, also after Ctrl-C: its files are whole.

    Args:
        report: Of the command.
        progress: Its bar.
    """

    def __init__(self, report: CommandReport, progress: PhotoProgress) -> None:
        self.progress = progress
        self._report = report
        self._thread = ThreadPoolExecutor(1, "sam2-hf-write")
        self._pending: tuple[Source, PhotoResult, float, Future[_Written]] | None = None

    def __enter__(self) -> "PhotoWriting":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.finish()
        finally:
            self._thread.shutdown()

    def begin(self, source: Source, result: PhotoResult, began: float) -> None:
        """Begin to write a photo, after the one before.

        Args:
            source: The photo.
            result: What became of it.
            began: When work on it began, seconds of `time.monotonic`.

        Raises:
            OutputError: The one before cannot be written, and neither can others.
        """
        self.finish()

        def write() -> _Written:
            files = [*result.files, *result.write()]
            return _Written(files, time.monotonic())

        self._pending = source, result, began, self._thread.submit(write)

    def finish(self) -> None:
        """Wait for the photo that is being written, and report it.

        Raises:
            OutputError: It cannot be written, and neither can others.
        """
        if self._pending is None:
            return
        source, result, began, future = self._pending
        try:
            written = future.result()  # Ctrl-C here leaves it pending, for `__exit__`
        except Exception as error:
            self._pending = None
            self.fail(source, error)
            return
        self._pending = None
        self.progress.end()
        name = Path(source.name).name
        say("\n  ".join([f"{name}: {result.summary}", *map(str, written.files)]))
        self._report.add(
            source.given,
            written.files,
            width=result.size[1],
            height=result.size[0],
            seconds=written.at - began,
            masks=result.masks,
        )

    def fail(self, source: Source, error: Exception) -> None:
        """Report a photo that failed; raise what is no fault of the photo."""
        text = failure_text(error)
        if not text or fails_everywhere(error):
            raise error
        self.progress.end()
        self._report.fail(text, source.given)
