"""Scores of seen and of unseen categories of a set.

LVOS and YouTube-VOS rank by the mean of the four numbers, so that both halves have equal weight.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evaluation.metrics.masklets import MaskletValues, Summary, summarize
from evaluation.published import HALVES, J_AND_F

COLUMNS = 5  # of the table: the mean, and J and F of both halves


@dataclass(frozen=True, slots=True)
class Halves:
    """Both halves of a set.

    Attributes:
        seen: Videos of categories in the training split.
        unseen: Videos of other categories.
    """

    seen: Summary
    unseen: Summary

    @property
    def numbers(self) -> tuple[float, float, float, float]:
        """J and F of the seen half, then of the unseen one."""
        return self.seen.j, self.seen.f, self.unseen.j, self.unseen.f

    @property
    def mean(self) -> float:
        """Mean of the four numbers."""
        return sum(self.numbers) / len(self.numbers)

    def as_dict(self) -> dict[str, Any]:
        """Return both halves and their mean."""
        return {**asdict(self), "mean": self.mean}


def score_halves(
    videos: Mapping[str, Mapping[int, MaskletValues]], unseen: Mapping[str, bool]
) -> Halves | None:
    """Score both halves; None if a video's category is unknown, or a half has no object."""
    if not set(videos) <= set(unseen):
        return None
    parts = [
        [
            masklet
            for name, values in videos.items()
            if unseen[name] is half
            for masklet in values.values()
        ]
        for half in (False, True)
    ]
    return Halves(*map(summarize, parts)) if all(parts) else None


def halves_table(data_set: str, model: str, halves: Halves | None) -> list[str]:
    """Format a table of measured and published numbers; only this kind is published."""
    if halves is None:
        return [
            "",
            "Published numbers are means over seen and unseen categories. For that mean, "
            "put unseen_videos.txt of the set's evaluator into the root.",
        ]
    published = {
        name: (mean, *HALVES.get(data_set, {}).get(name, ()))
        for name, mean in J_AND_F.get(data_set, {}).items()
    }
    rows = {
        f"**{model}**": (halves.mean, *halves.numbers),
        **{f"{name}, published": numbers for name, numbers in published.items()},
    }
    return [
        "",
        f"| {data_set}, halves | mean | J seen | F seen | J unseen | F unseen |",
        "|---|---|---|---|---|---|",
        *(_row(name, numbers) for name, numbers in rows.items()),
    ]


def _row(name: str, numbers: Sequence[float]) -> str:
    cells = [f"{value:.1f}" for value in numbers]
    return f"| {name} | {' | '.join(cells + [''] * (COLUMNS - len(cells)))} |"
