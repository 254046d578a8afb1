"""Results of a run: a file for each video, a summary, and a table.

`scores.json` depends only on model, data and settings, not on the number of processes or on
interruptions. On CPUs this requires an equal number of threads, which the last bits of sums depend
on.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.item_files import ItemFiles
from evaluation.metrics.masklets import MaskletValues, Summary, summarize
from evaluation.published import J_AND_F
from evaluation.run_settings import SCORES_FILE, TABLE_FILE, RunSettings
from evaluation.sets.set_rules import find_rules
from sam2_hf.atomic_write import write_atomically

from .halves import Halves, halves_table, score_halves

VIDEOS = "videos"
Values = Mapping[int, MaskletValues]


def video_files(out: Path) -> ItemFiles[Values]:
    """Return the score files of all videos of a run."""
    return ItemFiles(out / VIDEOS, _to_rows, _from_rows)


def save_scores(
    out: Path,
    settings: RunSettings,
    videos: Mapping[str, Values],
    unseen: Mapping[str, bool] | None = None,
) -> Summary:
    """Write `scores.json` and the table.

    Args:
        out: Folder of the run.
        settings: Its settings.
        videos: Values of every object of every video.
        unseen: Whether videos are of categories absent from the training split.

    Raises:
        DataError: No object of any video was scored.
        OutputError: The files cannot be written.
    """
    summary = summarize(masklet for values in videos.values() for masklet in values.values())
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
    """Format the table of measured and published numbers."""
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
    ranked_by_halves = bool(find_rules(settings.data_set).unseen)
    if settings.prompt == "mask" and not ranked_by_halves:
        published = J_AND_F.get(settings.data_set, {})
        lines += [
            f"| {name}, published | {value} | | | | | | |" for name, value in published.items()
        ]
    if ranked_by_halves:
        lines += halves_table(settings.data_set, settings.model.name, halves)
    caption = f"{summary.num_objects} objects; {settings.environment.caption}"
    return "\n".join([*lines, "", caption, ""])


def _objects(values: Values) -> dict[str, Any]:
    return {
        str(number): {"j": masklet.score.j, "f": masklet.score.f, "frames": len(masklet.frames)}
        for number, masklet in sorted(values.items())
    }


def _to_rows(values: Values) -> dict[str, Any]:
    return {str(number): masklet.to_lists() for number, masklet in values.items()}


def _from_rows(rows: Mapping[str, Any]) -> Values:
    return {int(number): MaskletValues.from_lists(row) for number, row in rows.items()}
