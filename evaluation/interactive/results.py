"""Results of the interactive protocols: a file for each object, curves, and a summary.

`scores.json` depends only on model, data and settings, not on the machine or the time.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.item_files import ItemFiles
from evaluation.metrics.masklets import MaskletScore, MaskletValues, mean_score
from evaluation.run_settings import SCORES_FILE, TABLE_FILE, RunSettings
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError

from .protocol import ClickRound, InteractiveRules, Mode

ROUNDS = "rounds"


@dataclass(frozen=True, slots=True)
class Point(MaskletScore):
    """Mean score over all objects for a number of clicked frames.

    Attributes:
        frames: Maximum number of clicked frames.
        seconds: Estimated user time per object.
    """

    frames: int
    seconds: float


@dataclass(frozen=True, slots=True)
class ObjectRounds:
    """All rounds of one object.

    Attributes:
        num_frames: Of its video.
        rounds: One or more.
    """

    num_frames: int
    rounds: tuple[ClickRound, ...]


def object_files(out: Path, mode: Mode) -> ItemFiles[ObjectRounds]:
    """Return the result files of all objects of a run."""
    return ItemFiles(out / ROUNDS / mode, _to_rows, _from_rows)


def curve(objects: Sequence[ObjectRounds], rules: InteractiveRules) -> list[Point]:
    """Average over objects after each number of clicked frames.

    An object that needs no more clicks keeps its score, and costs no more time.

    Raises:
        DataError: There is no object.
    """
    if not objects:
        raise DataError("no object was measured. Give a set with objects in it.")
    points = []
    for count in range(1, rules.frames + 1):
        done = [min(count, len(rounds_of_object.rounds)) for rounds_of_object in objects]
        pairs = list(zip(objects, done, strict=True))
        scores = [measured.rounds[rounds - 1].values.score for measured, rounds in pairs]
        seconds = [rules.seconds(rounds, measured.num_frames) for measured, rounds in pairs]
        mean = mean_score(scores)
        points.append(Point(mean.j, mean.f, count, float(np.mean(seconds))))
    return points


def save_scores(
    out: Path,
    settings: RunSettings,
    measured: Mapping[Mode, Mapping[str, ObjectRounds]],
    rules: Mapping[Mode, InteractiveRules],
) -> dict[Mode, list[Point]]:
    """Write `scores.json`, a table, and each curve as CSV.

    Returns:
        The curve of each protocol.

    Raises:
        DataError: There is no object.
        OutputError: The files cannot be written.
    """
    curves = {mode: curve(list(found.values()), rules[mode]) for mode, found in measured.items()}
    content = {
        **asdict(settings),
        "modes": {
            mode: {
                "j_and_f": average(curves[mode]),
                "curve": [{**asdict(point), "j_and_f": point.j_and_f} for point in curves[mode]],
                "objects": {name: _object(measured) for name, measured in sorted(found.items())},
            }
            for mode, found in measured.items()
        },
    }
    write_atomically(out / SCORES_FILE, (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(out / TABLE_FILE, as_markdown(settings, curves, measured).encode())
    for mode, points in curves.items():
        write_atomically(out / f"curve-{mode}.csv", _csv(points).encode())
    return curves


def average(points: Sequence[Point]) -> float:
    """Average J&F over numbers of clicked frames, as in the paper."""
    return float(np.mean([point.j_and_f for point in points]))


def as_markdown(
    settings: RunSettings,
    curves: Mapping[Mode, Sequence[Point]],
    measured: Mapping[Mode, Mapping[str, ObjectRounds]],
) -> str:
    """Format the table: a row for each protocol, a column for each number of clicked frames."""
    most = max(len(points) for points in curves.values())
    counts = " | ".join(f"{count}" for count in range(1, most + 1))
    lines = [
        f"| {settings.model.name} on {settings.data_set}, J&F by clicked frames | {counts} | mean "
        "| seconds |",
        "|---" * (most + 3) + "|",
        *(
            f"| {mode} | {' | '.join(f'{point.j_and_f:.1f}' for point in points)} | "
            f"**{average(points):.1f}** | {points[-1].seconds:.0f} |"
            for mode, points in curves.items()
        ),
    ]
    objects = len(next(iter(measured.values())))
    caption = f"{objects} objects, {settings.prompt}; {settings.environment.caption}"
    return "\n".join([*lines, "", caption, ""])


def _object(found: ObjectRounds) -> dict[str, object]:
    return {
        "clicked": [clicked.frame for clicked in found.rounds],
        "j_and_f": [clicked.values.score.j_and_f for clicked in found.rounds],
    }


def _csv(points: Sequence[Point]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["frames", "seconds", "j_and_f", "j", "f"])
    writer.writerows(
        [point.frames, point.seconds, point.j_and_f, point.j, point.f] for point in points
    )
    return text.getvalue()


def _to_rows(found: ObjectRounds) -> dict[str, Any]:
    rounds = [{"frame": clicked.frame, **clicked.values.to_lists()} for clicked in found.rounds]
    return {"num_frames": found.num_frames, "rounds": rounds}


def _from_rows(rows: Mapping[str, Any]) -> ObjectRounds:
    rounds = [
        ClickRound(clicked["frame"], MaskletValues.from_lists(clicked))
        for clicked in rows["rounds"]
    ]
    return ObjectRounds(rows["num_frames"], tuple(rounds))
