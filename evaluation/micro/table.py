"""Tables of scores in Markdown: the model beside the baselines, each with its best setting."""

from collections.abc import Sequence

from evaluation.comparison.baselines import ANY_DISC, BOX, DISC, FLOOD, FLOW, REPEAT
from evaluation.comparison.measurements import (
    ALL_CLIPS,
    ClipScores,
    PhotoScores,
    best_clip_scores,
    best_photo_scores,
)
from evaluation.comparison.model_answers import BEST_OF_THREE, MODEL
from evaluation.comparison.score_file import Scores

ORACLE = "best of its three masks (chosen by the truth)"
ROWS = {
    BEST_OF_THREE: ORACLE,
    BOX: "box around the click, best size",
    DISC: "disc around the click, 0.15 x width",
    ANY_DISC: "disc around the click, best radius",
    FLOOD: "flood fill of the clicked color, best tolerance",
    REPEAT: REPEAT,
    FLOW: "first mask carried by optical flow, best method",
}
BASELINES = (BOX, DISC, ANY_DISC, FLOOD, REPEAT, FLOW)
TUNED = (BOX, ANY_DISC, FLOOD, FLOW)  # with more than one setting


def as_markdown(scores: Scores) -> str:
    """Format all tables: the summary, its settings, and the individual clips."""
    parts = [summary_table(scores), settings_list(scores), clip_table(scores)]
    return "\n".join(f"{part}\n" for part in parts if part)


def summary_table(scores: Scores) -> str:
    """Compare the model with the baselines, one column for each set.

    Photos are mean IoU, 0-1; clips J&F, 0-100. A cell is empty if a method does not apply.
    """
    data_sets = sets_of(scores)
    values = {name: _values(scores, name) for name in data_sets}
    model = scores.model.name if scores.model else "model"
    lines = [
        _row("", [_heading(scores, name) for name in data_sets]),
        _row("---", ["---"] * len(data_sets)),
    ]
    if any(MODEL in found for found in values.values()):
        cells = [_bold(_cell(values[name].get(MODEL))) for name in data_sets]
        lines.append(_row(_bold(model), cells))
    for method, title in ROWS.items():
        cells = [_cell(values[name].get(method)) for name in data_sets]
        if any(cells):
            lines.append(_row(title, cells))
    ahead = [_ahead(values[name]) for name in data_sets]
    if any(ahead):
        lines.append(_row(f"{model} above the best baseline", ahead))
    return "\n".join(lines)


def settings_list(scores: Scores) -> str:
    """List the settings of the baselines in the summary."""
    lines = []
    for name in sets_of(scores):
        photos = best_photo_scores(scores.photo_scores(name))
        clips = best_clip_scores(scores.clip_scores(name))
        settings = {method: score.setting for method, score in photos.items()}
        settings |= {method: score.setting for method, score in clips.items()}
        chosen = [f"{method}: {settings[method]}" for method in TUNED if settings.get(method)]
        if chosen:
            lines.append(f"- {name}: {'; '.join(chosen)}")
    return "\n".join(["Best settings, chosen on the set itself:", "", *lines]) if lines else ""


def clip_table(scores: Scores) -> str:
    """Show J, F and J&F of the model and the baselines on every clip."""
    lines = []
    for name in sets_of(scores):
        rows = scores.clip_scores(name)
        best = best_clip_scores(rows)
        for method in (MODEL, REPEAT, FLOW):
            setting = best[method].setting if method in best else None
            lines += [
                f"| {score.clip} | {score.method} | {score.j:.1f} | {score.f:.1f} "
                f"| {score.j_and_f:.1f} |"
                for score in rows
                if score.method == method and score.setting == setting and score.clip != ALL_CLIPS
            ]
    heading = ["| clip | method | J | F | J&F |", "|---|---|---|---|---|"]
    return "\n".join([*heading, *sorted(lines)]) if lines else ""


def sets_of(scores: Scores) -> list[str]:
    """List the measured sets, photos before clips."""
    photos = [part.data_set for part in scores.parts if isinstance(part.measured, PhotoScores)]
    clips = [part.data_set for part in scores.parts if isinstance(part.measured, ClipScores)]
    return list(dict.fromkeys([*photos, *clips]))


def _heading(scores: Scores, name: str) -> str:
    measured = next(part.measured for part in scores.parts if part.data_set == name)
    if isinstance(measured, PhotoScores):
        return f"{name}, mean IoU of {measured.segments:,} segments"
    return f"{name}, J&F"


def _values(scores: Scores, name: str) -> dict[str, tuple[float, str]]:
    """Return each method's best value on a set, with its format."""
    photos = best_photo_scores(scores.photo_scores(name))
    clips = best_clip_scores(scores.clip_scores(name))
    found = {method: (score.mean_iou, ".3f") for method, score in photos.items()}
    return {**found, **{method: (score.j_and_f, ".1f") for method, score in clips.items()}}


def _ahead(values: dict[str, tuple[float, str]]) -> str:
    known = [values[method] for method in BASELINES if method in values]
    if MODEL not in values or not known:
        return ""
    value, style = values[MODEL]
    return format(value - max(known)[0], f"+{style}")


def _cell(value: tuple[float, str] | None) -> str:
    return "" if value is None else format(*value)


def _bold(text: str) -> str:
    return f"**{text}**" if text else ""


def _row(title: str, cells: Sequence[str]) -> str:
    return f"| {' | '.join([title, *cells])} |"
