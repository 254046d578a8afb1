"""Scores of videos of kinds that a set's training part has, and of kinds that it has not.

LVOS and YouTube-VOS rank by the mean of the four numbers, so that both halves weigh the same.
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
        seen: Videos of known kinds.
        unseen: Videos of others.
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
        """Write down both halves and their mean."""
        return {**asdict(self), "mean": self.mean}


def score_halves(
    videos: Mapping[str, Mapping[int, MaskletValues]], unseen: Mapping[str, bool]
) -> Halves | None:
    """Score both halves; None where a video's kind is not known, or a half has no object."""
    if not set(videos) <= set(unseen):
        return None
    parts = [
        [one for name, values in videos.items() if unseen[name] is half for one in values.values()]
        for half in (False, True)
    ]
    return Halves(*map(summarize, parts)) if all(parts) else None


def halves_table(data_set: str, model: str, halves: Halves | None) -> list[str]:
    """Write a table: what was measured above what was published, which is of this kind alone."""
    if halves is None:
        return [
            "",
            "Published numbers are means of videos of seen and of unseen kinds. To have that mean, "
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
