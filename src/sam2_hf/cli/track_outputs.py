"""Result files of `sam2-hf track`: staged while they grow, published together when complete.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import argparse
import contextlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from sam2_hf.errors import OutputError
from sam2_hf.frames.image_sequence import list_pictures
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.mask_png import check_label_ids, write_label_png, write_object_png
from sam2_hf.writers.masklet_json import VideoFacts, write_masklets, write_scores
from sam2_hf.writers.mp4 import VideoWriter, import_av, video_writer
from sam2_hf.writers.overlay_video import draw_masklets

from .console import say
from .report import CommandReport
from .video_prompts import VideoPrompts

ENDINGS = {
    "mp4": "_overlay.mp4",
    "png": "_masks",
    "objects": "_objects",
    "json": "_masklets.json",
    "csv": "_scores.csv",
}
FOLDERS = ("png", "objects")


@dataclass(frozen=True, slots=True)
class FrameNames:
    """Names of the PNGs: frame numbers, or names of the source pictures.

    Attributes:
        stems: Names of the pictures; empty means numbers.
    """

    stems: tuple[str, ...] = ()

    @classmethod
    def for_video(cls, path: Path) -> "FrameNames":
        """Use the names of a folder's pictures, if their stems are unique."""
        stems = tuple(Path(name).stem for name in list_pictures(path)) if path.is_dir() else ()
        return cls(stems if len(set(stems)) == len(stems) else ())

    def of(self, frame: int) -> str:
        """Return the name of a frame's PNG."""
        return f"{self.stems[frame] if self.stems else f'{frame:05d}'}.png"


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
        if "mp4" in kinds:
            import_av()

    @property
    def needs_pictures(self) -> bool:
        """Whether pixels of the video are needed again."""
        return "mp4" in self.kinds

    @property
    def has_frames(self) -> bool:
        """Whether there are per-frame results."""
        return self.needs_pictures or any(kind in FOLDERS for kind in self.kinds)

    def check(self, object_ids: Iterable[int]) -> None:
        """Check that the objects can be written.

        Raises:
            PromptError: An id does not fit into a palette PNG.
        """
        if "png" in self.kinds:
            check_label_ids(object_ids)

    def begin(self) -> None:
        """Remove partial files of a killed run."""
        shutil.rmtree(self._staged, ignore_errors=True)

    def growing(self, kind: str) -> Path:
        """Return the staging path of a result."""
        return self._staged / f"{self._stem}{ENDINGS[kind]}"

    def write_tables(self, about: VideoFacts, frames: Iterable[TrackedFrame]) -> None:
        """Write run lengths and scores.

        Raises:
            OutputError: They cannot be written.
        """
        if "json" in self.kinds:
            write_masklets(self.growing("json"), about, frames)
        if "csv" in self.kinds:
            write_scores(self.growing("csv"), frames)

    def publish(self) -> list[Path]:
        """Move results to their final names, replacing PNGs of an earlier run.

        Returns:
            The files and folders.

        Raises:
            OutputError: The folder cannot be written to.
        """
        published = []
        try:
            for kind in self.kinds:
                source, target = self.growing(kind), self._target / f"{self._stem}{ENDINGS[kind]}"
                if kind in FOLDERS:
                    _publish_pngs(source, target)
                else:
                    source.replace(target)
                published.append(target)
        except OSError as error:
            raise OutputError(
                f"cannot write to {self._target}: {error.strerror or error}. "
                "Free the name or choose another --out."
            ) from error
        return published


class FrameWriter:
    """Writer of per-frame results, overlay and PNGs; a context manager.

    Args:
        outputs: Kinds and paths of the results.
        prompts: To be drawn.
        names: Names of the PNGs.
        fps: Frames per second of the overlay, for frames without times.
    """

    def __init__(
        self,
        outputs: TrackOutputs,
        prompts: VideoPrompts,
        names: FrameNames,
        fps: float | None,
    ) -> None:
        self._outputs = outputs
        self._prompts = prompts
        self._names = names
        self._fps = fps
        self._stack = contextlib.ExitStack()
        self._video: VideoWriter | None = None

    def __enter__(self) -> Self:
        if "mp4" in self._outputs.kinds:
            path = self._outputs.growing("mp4")
            self._video = self._stack.enter_context(video_writer(path, fps=self._fps))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)

    def write(
        self, tracked: TrackedFrame, size: tuple[int, int], picture_hw3: NDArray[np.uint8] | None
    ) -> None:
        """Add a frame.

        Args:
            tracked: Result of tracking.
            size: `(height, width)` of the video.
            picture_hw3: The frame itself, `(height, width, 3)`; only the overlay needs it.

        Raises:
            OutputError: A file cannot be written.
        """
        masks = tracked.masks()
        name = self._names.of(tracked.frame)
        if "png" in self._outputs.kinds:
            write_label_png(self._outputs.growing("png") / name, masks, size)
        if "objects" in self._outputs.kinds:
            for object_id, mask_hw in masks.items():
                folder = self._outputs.growing("objects") / f"{object_id:03d}"
                write_object_png(folder / name, mask_hw)
        if self._video is not None and picture_hw3 is not None:
            drawn = self._prompts.drawn_on(tracked.frame)
            overlay = draw_masklets(picture_hw3, masks, self._prompts.object_ids, drawn)
            self._video.write(overlay, tracked.time_s)


def _publish_pngs(source: Path, target: Path) -> None:
    """Replace the PNGs of a folder and its subfolders; other files stay."""
    new = {path.relative_to(source) for path in source.rglob("*.png")}
    for old in target.rglob("*.png"):
        if old.relative_to(target) not in new:
            old.unlink()
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
) -> int:
    """Report the results, their paths, and any failure.

    Args:
        arguments: The command line.
        about: The video.
        outcome: How tracking ended.
        objects: From `summarize_objects`.
        files: What was written.

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
