"""Result files of `sam2-hf track`: staged while they grow, published together when complete."""

import argparse
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sam2_hf.cli.console import say
from sam2_hf.cli.report import CommandReport
from sam2_hf.errors import OutputError, PromptError
from sam2_hf.results.formats import VIDEO_FORMATS, check_ids
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.masklet_json import VideoFacts
from sam2_hf.writers.track_files import (
    FRAME_WRITERS,
    TrackedClip,
    TrackFiles,
    need_pictures,
    require_packages,
    write_tables,
)


class TrackOutputs:
    """The results of one video.

    Args:
        kinds: Kinds of results.
        stem: Stem of their names.
        target: Destination folder.
        staged: Staging folder, on the same disk.

    Raises:
        MissingPackageError: A video is requested and PyAV is not installed.
    """

    def __init__(self, kinds: tuple[str, ...], stem: str, target: Path, staged: Path) -> None:
        self.kinds = kinds
        self._stem = stem
        self._target = target
        self._staged = staged
        require_packages(kinds)

    def leave_out_unfit(self, object_ids: Iterable[int]) -> str:
        """Leave out formats that have no place for an id; return why, or an empty text."""
        reason = ""
        for kind in self.kinds:
            try:
                check_ids(object_ids, [kind])
            except PromptError as error:
                self.kinds = tuple(other for other in self.kinds if other != kind)
                reason = reason or f"{error} The other results are written."
        return reason

    @property
    def needs_pictures(self) -> bool:
        """Whether pixels of the video are needed again."""
        return need_pictures(self.kinds)

    @property
    def has_frames(self) -> bool:
        """Whether there are per-frame results."""
        return any(kind in FRAME_WRITERS for kind in self.kinds)

    def check(self, object_ids: Iterable[int]) -> None:
        """Check that the objects can be written.

        Raises:
            PromptError: A format has no place for an id.
        """
        check_ids(object_ids, self.kinds)

    def begin(self) -> None:
        """Remove partial files of a killed run."""
        shutil.rmtree(self._staged, ignore_errors=True)

    def growing(self, kind: str) -> Path:
        """Return the staging path of a result."""
        return self._staged / f"{self._stem}{VIDEO_FORMATS[kind].ending}"

    def frame_writer(self, clip: TrackedClip) -> TrackFiles:
        """Return the writer of per-frame results."""
        return TrackFiles(self.kinds, self.growing, clip)

    def write_tables(self, clip: TrackedClip, frames: Iterable[TrackedFrame]) -> None:
        """Write the results that need all frames at once.

        Raises:
            OutputError: They cannot be written.
        """
        write_tables(self.kinds, self.growing, clip, frames)

    def publish(self) -> list[Path]:
        """Move results to their final names, replacing those of an earlier run.

        Returns:
            The files and folders.

        Raises:
            OutputError: The folder cannot be written to.
        """
        published = []
        try:
            for kind in self.kinds:
                source, chosen = self.growing(kind), VIDEO_FORMATS[kind]
                target = self._target / f"{self._stem}{chosen.ending}"
                if chosen.files:
                    _publish_folder(source, target, chosen.files)
                else:
                    source.replace(target)
                published.append(target)
        except OSError as error:
            raise OutputError(
                f"cannot write to {self._target}: {error.strerror or error}. "
                "Free the name or choose another --out."
            ) from error
        return published


def _publish_folder(source: Path, target: Path, patterns: Sequence[str]) -> None:
    """Replace the results in a folder and its subfolders; other files stay."""
    new = {path.relative_to(source) for pattern in patterns for path in source.glob(pattern)}
    for old in [path for pattern in patterns for path in target.glob(pattern)]:
        if old.relative_to(target) not in new:
            old.unlink()
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(new):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).replace(target / name)
    for folder in [path for path in target.iterdir() if path.is_dir() and not any(path.iterdir())]:
        folder.rmdir()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Outcome of tracking.

    Attributes:
        rate: Frames per second; 0 if nothing was tracked in this run.
        failure: Why it ended early; empty if it did not.
        num_tracked: Frames that are written.
    """

    rate: float
    failure: str
    num_tracked: int


def summarize_objects(frames: Iterable[TrackedFrame]) -> list[dict[str, float]]:
    """Count the frames in which each object is seen, with its mean area and predicted IoU there."""
    seen: dict[int, list[tuple[int, float]]] = {}
    for tracked in frames:
        for found in tracked.objects:
            values = seen.setdefault(found.object_id, [])
            if found.area:
                values.append((found.area, found.predicted_iou))
    return [
        {
            "id": object_id,
            "frames": len(values),
            "mean_area": sum(area for area, _ in values) / max(len(values), 1),
            "mean_predicted_iou": sum(iou for _, iou in values) / max(len(values), 1),
        }
        for object_id, values in sorted(seen.items())
    ]


def tell(
    arguments: argparse.Namespace,
    about: VideoFacts,
    outcome: Outcome,
    objects: list[dict[str, float]],
    files: Sequence[Path],
    more: Mapping[str, Any] | None = None,
) -> int:
    """Report the results, their paths, and any failure.

    Args:
        arguments: The command line.
        about: The video.
        outcome: How tracking ended.
        objects: From `summarize_objects`.
        files: What was written.
        more: Further fields of the report.

    Returns:
        The exit code.
    """
    report: CommandReport = arguments.report
    report.model = about.model
    report.add(
        about.name if arguments.video is None else arguments.source,
        files,
        width=about.size[1],
        height=about.size[0],
        num_frames=about.num_frames,
        tracked_frames=outcome.num_tracked,
        frames_per_second=outcome.rate,
        objects=objects,
        **(more or {}),
    )
    frames = _count(outcome.num_tracked, "frame")
    speed = f", {outcome.rate:.1f} frames/s" if outcome.rate else ""
    head = f"{about.name}: {frames}, {_count(len(about.object_ids), 'object')}{speed}"
    say("\n  ".join([head, *map(str, files)]))
    if outcome.failure:
        report.fail(f"{outcome.failure} What could be tracked is written: {frames}.")
    return report.code


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
