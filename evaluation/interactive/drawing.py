"""Curves of the interactive protocols."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from evaluation.curves import figure_class
from sam2_hf.atomic_write import write_atomically

from .protocol import Mode
from .results import Point

SIZE, DPI = (10.0, 4.0), 110  # inches, dots an inch


def draw_curves(curves: Mapping[Mode, Sequence[Point]], path: Path) -> None:
    """Draw J&F over clicked frames, and over the user's time.

    Args:
        curves: Points by protocol.
        path: The PNG.

    Raises:
        MissingPackageError: matplotlib is not installed.
        OutputError: The file cannot be written.
    """
    figure = figure_class()(figsize=SIZE, layout="constrained")
    by_frames, by_time = figure.subplots(1, 2, sharey=True)
    _draw(by_frames, curves, "frames", "clicked frames")
    _draw(by_time, curves, "seconds", "time of the user, seconds an object")
    by_frames.set_xticks(sorted({point.frames for points in curves.values() for point in points}))
    by_frames.set_ylabel("J&F")
    by_frames.legend()
    picture = io.BytesIO()
    figure.savefig(picture, dpi=DPI, metadata={"Software": None})
    write_atomically(path, picture.getvalue())


def _draw(axes: Any, curves: Mapping[Mode, Sequence[Point]], name: str, title: str) -> None:  # noqa: ANN401 - matplotlib's
    for mode, points in curves.items():
        xs, ys = [getattr(point, name) for point in points], [point.j_and_f for point in points]
        axes.plot(xs, ys, marker="o", label=mode)
    axes.set_xlabel(title)
    axes.grid(alpha=0.3)
