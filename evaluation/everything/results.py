"""Results of everything in videos: a file for each video and method, a summary, and a table."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from evaluation.item_files import ItemFiles
from evaluation.metrics.masklets import MaskletValues
from evaluation.run_settings import SCORES_FILE, TABLE_FILE, RunSettings
from sam2_hf.atomic_write import write_atomically

from .scoring import UnpromptedScore, UnpromptedSummary, summarize_unprompted

TITLES = {
    "tracked": "tracked",
    "linked": "each frame alone, linked by IoU",
    "perfect": "tracked by a model that reads the truth",
}


def score_files(out: Path, method: str) -> ItemFiles[UnpromptedScore]:
    """Return the score files of all videos of a method."""
    return ItemFiles(out / "videos" / method, _to_rows, _from_rows)


def save_scores(
    out: Path, settings: RunSettings, scored: Mapping[str, Mapping[str, UnpromptedScore]]
) -> dict[str, UnpromptedSummary]:
    """Write `scores.json` and the table.

    Args:
        out: Folder of the run.
        settings: Its settings.
        scored: Scores by method, then by video.

    Returns:
        The summary of each method.

    Raises:
        DataError: There is no video.
        OutputError: The files cannot be written.
    """
    summaries = {
        method: summarize_unprompted(list(videos.values())) for method, videos in scored.items()
    }
    content = {
        **asdict(settings),
        "methods": {
            method: {
                "summary": {**asdict(summaries[method]), "j_and_f": summaries[method].j_and_f},
                "videos": {name: _about(score) for name, score in sorted(videos.items())},
            }
            for method, videos in scored.items()
        },
    }
    write_atomically(out / SCORES_FILE, (json.dumps(content, indent=2) + "\n").encode())
    write_atomically(out / TABLE_FILE, as_markdown(settings, summaries).encode())
    return summaries


def as_markdown(settings: RunSettings, summaries: Mapping[str, UnpromptedSummary]) -> str:
    """Format the table: a row for each method."""
    lines = [
        f"| {settings.model.name}, everything in {settings.data_set} | J&F | J | F | objects found "
        "| identity switches | masklets per video |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {TITLES[method]} | **{row.j_and_f:.1f}** | {row.j:.1f} | {row.f:.1f} | "
            f"{row.recall:.1f} % | {row.switches} | {row.num_masklets:.1f} |"
            for method, row in summaries.items()
        ),
    ]
    objects = next(iter(summaries.values())).num_objects
    options = ", ".join(f"{name} {value}" for name, value in settings.options.items())
    caption = f"{objects} objects; {options or 'default options'}; {settings.environment.caption}"
    return "\n".join([*lines, "", caption, ""])


def _about(score: UnpromptedScore) -> dict[str, Any]:
    return {
        "masklets": score.num_masklets,
        "objects": {
            str(number): {
                "j": values.score.j,
                "f": values.score.f,
                "masklet": score.assigned[number],
                "switches": score.switches[number],
            }
            for number, values in score.objects.items()
        },
    }


def _to_rows(score: UnpromptedScore) -> dict[str, Any]:
    return {
        "num_masklets": score.num_masklets,
        "objects": [
            {
                "id": number,
                "masklet": score.assigned[number],
                "switches": score.switches[number],
                **values.to_lists(),
            }
            for number, values in score.objects.items()
        ],
    }


def _from_rows(rows: Mapping[str, Any]) -> UnpromptedScore:
    objects = rows["objects"]
    return UnpromptedScore(
        {row["id"]: MaskletValues.from_lists(row) for row in objects},
        {row["id"]: row["masklet"] for row in objects},
        {row["id"]: row["switches"] for row in objects},
        rows["num_masklets"],
    )
