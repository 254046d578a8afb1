"""Scores of a run: a file for each video, then one for the whole, and a table.

`scores.json` depends on model, data and settings alone: it is the same whether one process did the
work or several, at once or after an interruption.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.metrics.masklets import MaskletValues, Summary, summarise
from evaluation.published import J_AND_F
from evaluation.run_settings import SCORES_FILE, TABLE_FILE, RunSettings
from sam2_hf.pipelines.atomic_files import write_atomically

from .halves import Halves, halves_table, score_halves

VIDEOS = "videos"
Values = Mapping[int, MaskletValues]


def save_video(out: Path, name: str, values: Values) -> None:
    """Keep the scores of every frame of a video.

    Raises:
        OutputError: The file cannot be written.
    """
    rows = {str(number): one.to_lists() for number, one in values.items()}
    write_atomically(out / VIDEOS / f"{name}.json", (json.dumps(rows) + "\n").encode())


def forget_video(out: Path, name: str) -> None:
    """Drop the scores of a video whose masks are made again."""
    (out / VIDEOS / f"{name}.json").unlink(missing_ok=True)


def load_video(out: Path, name: str) -> Values | None:
    """Read the scores of a video; None if it has none, or no whole file."""
    try:
        rows = json.loads((out / VIDEOS / f"{name}.json").read_text(encoding="utf-8"))
        return {int(number): MaskletValues.from_lists(row) for number, row in rows.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def save_scores(
    out: Path,
    settings: RunSettings,
    videos: Mapping[str, Values],
    unseen: Mapping[str, bool] | None = None,
) -> Summary:
    """Write `scores.json` and the table.

    Args:
        out: Folder of the run.
        settings: What it is about.
        videos: Values of every object of every video.
        unseen: Which videos are of kinds that the set's training part does not have.

    Raises:
        DataError: No object of any video was scored.
        OutputError: The files cannot be written.
    """
    summary = summarise(one for values in videos.values() for one in values.values())
    halves = score_halves(videos, unseen or {})
    content = {
        **asdict(settings),
        "summary": {**asdict(summary), "j_and_f": summary.j_and_f},
        **({"halves": halves.as_dict()} if halves else {}),
        "videos": {name: _objects(values) for name, values in sorted(videos.items())},
    }
    write_atomically(out / SCORES_FILE, (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(out / TABLE_FILE, as_markdown(settings, summary, halves).encode())
    return summary


def as_markdown(settings: RunSettings, summary: Summary, halves: Halves | None) -> str:
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
    if halves is not None:
        lines += halves_table(settings.data_set, settings.model.name, halves)
    told = f"{summary.num_objects} objects; {settings.environment.told}"
    return "\n".join([*lines, "", told, ""])


def _objects(values: Values) -> dict[str, Any]:
    return {
        str(number): {"j": one.score.j, "f": one.score.f, "frames": len(one.frames)}
        for number, one in sorted(values.items())
    }
