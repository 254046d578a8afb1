"""Results of clicks on photos: a file for each photo, one for all sets, and a table.

Suffixes: n = objects, k = numbers of clicks.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.item_files import ItemFiles
from evaluation.run_settings import SCORES_FILE, TABLE_FILE, RunSettings
from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError

PERCENT = 100.0
PHOTOS = "photos"


@dataclass(frozen=True, slots=True)
class SetScore:
    """Scores of a set.

    Attributes:
        photos: Photos with a scored object.
        objects: Number of objects.
        miou: Mean IoU over them, 0-100, after each number of clicks.
    """

    photos: int
    objects: int
    miou: Mapping[int, float]


def photo_files(out: Path, set_name: str, width: int) -> ItemFiles[NDArray[np.float64]]:
    """Return the result files of all photos of a set: IoU of each object, `(n, width)`."""

    def read(rows: list[Any]) -> NDArray[np.float64]:
        return np.array(rows, np.float64).reshape(len(rows), width)

    return ItemFiles(out / PHOTOS / set_name, np.ndarray.tolist, read)


def set_score(
    name: str, measured: Sequence[NDArray[np.float64]], num_clicks: Sequence[int]
) -> SetScore:
    """Average over all objects of a set, regardless of photo.

    Raises:
        DataError: There is no object.
    """
    found = [iou_nk for iou_nk in measured if len(iou_nk)]
    if not found:
        raise DataError(
            f"none of {len(measured)} photos of {name} has an object that counts. Lower "
            "--min-area, or leave the set out."
        )
    mean_k = PERCENT * np.concatenate(found).mean(axis=0)
    miou = dict(zip(num_clicks, mean_k.tolist(), strict=True))
    return SetScore(len(found), sum(map(len, found)), miou)


def save_scores(out: Path, settings: RunSettings, scores: Mapping[str, SetScore]) -> None:
    """Write `scores.json` and the table.

    Raises:
        OutputError: The files cannot be written.
    """
    content = {
        **asdict(settings),
        "miou": mean_miou(scores),
        "sets": {name: asdict(score) for name, score in scores.items()},
    }
    write_atomically(out / SCORES_FILE, (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(out / TABLE_FILE, as_markdown(settings, scores).encode())


def mean_miou(scores: Mapping[str, SetScore]) -> dict[int, float]:
    """Average over sets with equal weight, after each number of clicks."""
    counts = next(iter(scores.values())).miou
    return {
        count: float(np.mean([score.miou[count] for score in scores.values()])) for count in counts
    }


def as_markdown(settings: RunSettings, scores: Mapping[str, SetScore]) -> str:
    """Format the table: a row for each set, and their mean."""
    mean = mean_miou(scores)
    titles = " | ".join(f"{count} click{'s' * (count > 1)}" for count in mean)
    lines = [
        f"| {settings.model.name}, mean IoU | {titles} | objects | photos |",
        "|---" * (len(mean) + 3) + "|",
        *(
            f"| {name} | {_numbers(score.miou)} | {score.objects} | {score.photos} |"
            for name, score in scores.items()
        ),
    ]
    if len(scores) > 1:
        lines.append(f"| **mean over sets** | {_numbers(mean)} | | |")
    return "\n".join([*lines, "", settings.environment.caption, ""])


def _numbers(miou: Mapping[int, float]) -> str:
    return " | ".join(f"{value:.1f}" for value in miou.values())
