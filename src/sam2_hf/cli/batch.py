"""Photos of a command, one by one: a photo that fails does not stop the others."""

import argparse
import time
from collections.abc import Callable, Sequence
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
    """

    summary: str
    size: tuple[int, int]
    files: Sequence[Path]
    masks: list[dict[str, Any]] = field(default_factory=list)


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
            for source, stem in zip(sources, stems, strict=True):
                progress.begin(source.name)
                _work_on(source, stem, work, progress, report)
            return report.code
        except KeyboardInterrupt:
            pass
    count = f"{progress.done} of {progress.total} photos are done"
    note(f"interrupted; {count}, their files stay in {arguments.out}")
    return INTERRUPTED


def _work_on(
    source: Source, stem: str, work: Work, progress: PhotoProgress, report: CommandReport
) -> None:
    began = time.monotonic()
    try:
        with source.file() as photo:
            result = work(photo, source, stem, progress)
    except Exception as error:
        text = failure_text(error)
        if not text or fails_everywhere(error):
            raise
        progress.end()
        report.fail(text, source.given)
        return
    progress.end()
    name = Path(source.name).name
    say("\n  ".join([f"{name}: {result.summary}", *map(str, result.files)]))
    report.add(
        source.given,
        result.files,
        width=result.size[1],
        height=result.size[0],
        seconds=time.monotonic() - began,
        masks=result.masks,
    )
