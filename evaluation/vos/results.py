"""Scores of a run: a file for each video, then one for the whole, and a table.

`scores.json` depends on model, data and settings alone: it is the same whether one process did the
work or several, at once or after an interruption.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evaluation.environment import Environment
from evaluation.measured_model import MeasuredModel
from evaluation.metrics.frames import FrameScore
from evaluation.metrics.masklets import MaskletValues, Summary, summarise
from evaluation.published import J_AND_F
from sam2_hf.errors import DataError
from sam2_hf.pipelines.atomic_files import write_atomically

SCORES, TABLE, VIDEOS = "scores.json", "scores.md", "videos"
Values = Mapping[int, MaskletValues]


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What a run is about. A folder holds the results of one.

    Attributes:
        data_set: Name of the set.
        prompt: What objects are given by.
        model: Which model.
        environment: What it ran on.
    """

    data_set: str
    prompt: str
    model: MeasuredModel
    environment: Environment

    def save(self, out: Path) -> None:
        """Write the settings, or refuse a folder with the results of others.

        Raises:
            DataError: The folder has results of other settings.
            OutputError: The folder cannot be written.
        """
        path = out / "run.json"
        if path.exists():
            known = _read_settings(path)
            new = json.loads(self._text())
            if differing := [name for name in new if new[name] != known.get(name)]:
                name = differing[0]
                raise DataError(
                    f"{out} holds results of another run: its {name} is {known.get(name)}, this "
                    f"one's {new[name]}. Choose another --out, or remove it."
                )
        write_atomically(path, self._text().encode())

    def _text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def _read_settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}), so nothing tells which run its folder is of. "
            "Choose another --out, or remove it."
        ) from error


def save_video(out: Path, name: str, values: Values) -> None:
    """Keep the scores of every frame of a video.

    Raises:
        OutputError: The file cannot be written.
    """
    rows = {
        str(number): {"j": one.j_t.tolist(), "f": one.f_t.tolist()}
        for number, one in values.items()
    }
    write_atomically(out / VIDEOS / f"{name}.json", (json.dumps(rows) + "\n").encode())


def forget_video(out: Path, name: str) -> None:
    """Drop the scores of a video whose masks are made again."""
    (out / VIDEOS / f"{name}.json").unlink(missing_ok=True)


def load_video(out: Path, name: str) -> Values | None:
    """Read the scores of a video; None if it has none, or no whole file."""
    try:
        rows = json.loads((out / VIDEOS / f"{name}.json").read_text(encoding="utf-8"))
        return {
            int(number): MaskletValues(
                tuple(FrameScore(*pair) for pair in zip(row["j"], row["f"], strict=True))
            )
            for number, row in rows.items()
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_scores(out: Path, settings: RunSettings, videos: Mapping[str, Values]) -> Summary:
    """Write `scores.json` and the table.

    Raises:
        DataError: No object of any video was scored.
        OutputError: The files cannot be written.
    """
    summary = summarise(one for values in videos.values() for one in values.values())
    content = {
        **asdict(settings),
        "summary": {**asdict(summary), "j_and_f": summary.j_and_f},
        "videos": {name: _objects(values) for name, values in sorted(videos.items())},
    }
    write_atomically(out / SCORES, (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(out / TABLE, as_markdown(settings, summary).encode())
    return summary


def as_markdown(settings: RunSettings, summary: Summary) -> str:
    """Write the table: what was measured above what was published."""
    prompt = "" if settings.prompt == "mask" else f", given by {settings.prompt}"
    lines = [
        f"| {settings.data_set}{prompt} | J&F | J | F | J recall | F recall | J decay | F decay |",
        "|---|---|---|---|---|---|---|---|",
        f"| **{settings.model.name}** | **{summary.j_and_f:.1f}** | "
        + " | ".join(
            f"{getattr(summary, name):.1f}"
            for name in ("j", "f", "j_recall", "f_recall", "j_decay", "f_decay")
        )
        + " |",
    ]
    if settings.prompt == "mask":
        published = J_AND_F.get(settings.data_set, {})
        lines += [
            f"| {name}, published | {value} | | | | | | |" for name, value in published.items()
        ]
    environment = settings.environment
    told = f"{summary.num_objects} objects; {environment.device}, {environment.dtype}"
    return "\n".join([*lines, "", told, ""])


def _objects(values: Values) -> dict[str, Any]:
    return {
        str(number): {"j": one.score.j, "f": one.score.f, "frames": len(one.frames)}
        for number, one in sorted(values.items())
    }
