"""Statistics of a set: videos, masklets, machine time, and the time of persons by a model."""

import html
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sam2_hf.atomic_write import write_atomically

from .phases import PHASES, Phase, review_seconds
from .set_folder import SetFolder
from .video_labels import ACCEPTED, REJECTED, REVIEW, LabeledMasklet, VideoLabels

PAGE = "statistics.html"
HOUR_S = 3600.0
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}table{border-collapse:collapse;width:100%}"
    "th,td{padding:.3rem .6rem;border-bottom:1px solid #8886;text-align:left;font-weight:400}"
    "td{text-align:right;font-variant-numeric:tabular-nums}"
)


@dataclass(slots=True)
class SetStatistics:
    """Counts of a set.

    Attributes:
        videos: Videos of the queue.
        labeled: Labeled videos.
        failed: Videos that failed.
        masklets: Masklets by state.
        accepted_alone: Masklets that the rules accepted and no person touched.
        frames: Frames of labeled videos.
        masklet_frames: Frames of masklets, summed.
        machine_seconds: Seconds that workers took, summed.
        reviews: Actions of persons.
        clicks: Clicks of persons.
        person_seconds: Time of persons for these actions, by the paper's model.
        waiting_seconds: Time that the review queue will take a person, by the same model, with the
            edited frames and clicks that the paper reports for the phase.
    """

    videos: int = 0
    labeled: int = 0
    failed: int = 0
    masklets: Counter[str] = field(default_factory=Counter)
    accepted_alone: int = 0
    frames: int = 0
    masklet_frames: int = 0
    machine_seconds: float = 0.0
    reviews: int = 0
    clicks: int = 0
    person_seconds: float = 0.0
    waiting_seconds: float = 0.0

    @classmethod
    def of(cls, folder: SetFolder) -> "SetStatistics":
        """Count a set.

        Raises:
            DataError: A file is damaged.
        """
        found = cls(videos=len(folder.queue()), failed=len(folder.failures()))
        for video in folder.videos():
            found._add(video)
        found.machine_seconds = sum(row["seconds"] for row in folder.times())
        return found

    @property
    def num_masklets(self) -> int:
        """Masklets of all states."""
        return sum(self.masklets.values())

    @property
    def share_accepted(self) -> float:
        """Fraction of the masklets that are accepted."""
        return self.masklets[ACCEPTED] / self.num_masklets if self.num_masklets else 0.0

    @property
    def masklets_per_hour(self) -> float:
        """Masklets that one worker makes in an hour."""
        return HOUR_S * self.num_masklets / self.machine_seconds if self.machine_seconds else 0.0

    def by_hand(self) -> dict[str, float]:
        """Estimate a person's time for the same masklets in each phase of the paper, seconds."""
        return {
            phase.name: phase.seconds_per_frame * self.masklet_frames for phase in PHASES.values()
        }

    def as_json(self) -> dict[str, Any]:
        """Describe them for JSON."""
        derived = {
            "masklets_per_hour": self.masklets_per_hour,
            "share_accepted": self.share_accepted,
            "seconds_by_hand": self.by_hand(),
        }
        return {**asdict(self), "masklets": dict(self.masklets), **derived}

    def _add(self, video: VideoLabels) -> None:
        self.labeled += 1
        self.frames += video.num_frames
        for masklet in video.masklets:
            num_frames = _length(video, masklet)
            self.masklets[masklet.status] += 1
            self.masklet_frames += num_frames
            self.accepted_alone += masklet.status == ACCEPTED and not masklet.history
            if masklet.status == REVIEW:
                self.waiting_seconds += _expected(num_frames, PHASES[video.phase])
            for action in masklet.history:
                clicks = {int(frame): count for frame, count in action.clicks.items()}
                self.reviews += 1
                self.clicks += sum(clicks.values())
                self.person_seconds += review_seconds(num_frames, clicks)


def _length(video: VideoLabels, masklet: LabeledMasklet) -> int:
    """Frames that were tracked together with a masklet's first prompt."""
    first = masklet.prompts[0].frame if masklet.prompts else 0
    for begin, stop in video.parts:
        if begin <= first < stop:
            return stop - begin
    return video.num_frames


def _expected(num_frames: int, phase: Phase) -> float:
    """Estimate the review of a masklet from what the paper's annotators did in a phase."""
    edited = round(phase.edited * num_frames)
    return review_seconds(num_frames, {frame: round(phase.clicks) for frame in range(edited)})


def write_page(folder: SetFolder, statistics: SetStatistics) -> Path:
    """Write the page of statistics into a set.

    Raises:
        OutputError: It cannot be written.
    """
    failures = [(failure.name, failure.error) for failure in folder.failures().values()]
    text = _page(folder.root.absolute().name, _rows(statistics), failures)
    return write_atomically(folder.root / PAGE, text.encode("utf-8", "backslashreplace"))


def _rows(found: SetStatistics) -> list[tuple[str, str]]:
    counts = found.masklets
    states = _join(counts[ACCEPTED], counts[REVIEW], counts[REJECTED])
    return [
        ("Videos: labeled, failed, in all", _join(found.labeled, found.failed, found.videos)),
        ("Masklets", _join(found.num_masklets)),
        ("accepted, waiting for review, rejected", states),
        ("accepted", f"{100 * found.share_accepted:.1f} %"),
        ("accepted without a person", _join(found.accepted_alone)),
        ("Frames; frames of masklets", _join(found.frames, found.masklet_frames)),
        ("Time of the workers", _hours(found.machine_seconds)),
        ("Masklets per hour of a worker", f"{found.masklets_per_hour:,.0f}"),
        ("Reviews; clicks", _join(found.reviews, found.clicks)),
        ("Time of persons so far, by the model", _hours(found.person_seconds)),
        ("Time of persons for the review queue, by the model", _hours(found.waiting_seconds)),
        *(
            (f"The same masklets as in {name} of the paper", _hours(seconds))
            for name, seconds in found.by_hand().items()
        ),
    ]


def _page(title: str, rows: Iterable[tuple[str, str]], failures: Iterable[tuple[str, str]]) -> str:
    failed = "".join(
        f"<li><code>{html.escape(name)}</code>: {html.escape(error)}</li>"
        for name, error in failures
    )
    table = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th><td>{html.escape(value)}</td></tr>'
        for name, value in rows
    )
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{name}</title>'
        f"<style>{STYLE}</style><h1>{name}</h1><table>{table}</table>"
        "<p>The model of a person's time: 30 s to watch 300 frames, 1 s to find what to click on "
        "a frame, 1.5 s for a click (SAM 2 paper, interactive evaluation). Frames by hand take "
        "37.8, 7.4 and 4.5 s in the paper's three phases.</p>"
        f"{'<h2>Failed</h2><ul>' + failed + '</ul>' if failed else ''}</html>\n"
    )


def _join(*counts: int) -> str:
    return ", ".join(f"{count:,}" for count in counts)


def _hours(seconds: float) -> str:
    if seconds < HOUR_S:
        return f"{seconds:,.0f} s"
    return f"{seconds / HOUR_S:,.1f} h"
