"""Plan of a measurement, and its incremental score file.

An interrupted measurement resumes: finished parts are kept if still valid.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from evaluation.measured_model import MeasuredModel
from evaluation.micro.sets import MicroClips, MicroPhotos
from evaluation.micro.table import as_markdown
from sam2_hf.atomic_write import write_atomically

from .baselines import Guesser, guess_without_model, track_without_model
from .measurements import ClipScores, PhotoScores, Tracker, measure_clips, measure_photos
from .score_file import FILE_NAME, ScorePart, Scores, digest, load_scores

BASELINES, MODEL = "baselines", "model"


@dataclass(frozen=True, slots=True)
class Job:
    """One part of the scores.

    Attributes:
        data_set: Name of the set.
        subject: `BASELINES` or `MODEL`.
        depends: Digest of everything that the scores depend on.
        measure: Runs the measurement.
    """

    data_set: str
    subject: str
    depends: str
    measure: Callable[[], PhotoScores | ClipScores] = field(repr=False, compare=False)

    def is_done_by(self, part: ScorePart) -> bool:
        """Whether a part is the result of this job."""
        return (part.data_set, part.subject, part.depends) == (
            self.data_set,
            self.subject,
            self.depends,
        )


def baseline_jobs(photo_sets: Sequence[MicroPhotos], clips: MicroClips) -> list[Job]:
    """List the jobs of the baselines."""
    jobs = []
    for photos in photo_sets:
        measure = partial(measure_photos, photos, guess_without_model, _title(photos, BASELINES))
        jobs.append(Job(photos.name, BASELINES, digest(photos.files), measure))
    follow = partial(measure_clips, clips, track_without_model, _title(clips, BASELINES))
    return [*jobs, Job(clips.name, BASELINES, digest(clips.files), follow)]


def model_jobs(
    photo_sets: Sequence[MicroPhotos],
    clips: MicroClips,
    model: MeasuredModel,
    answers: tuple[Guesser, Tracker],
) -> list[Job]:
    """List the jobs of a model.

    Args:
        photo_sets: Photos to click.
        clips: Clips to track.
        model: The model's identity.
        answers: Its guesser for clicks, and its tracker.
    """
    guess, track = answers
    jobs = []
    for photos in photo_sets:
        measure = partial(measure_photos, photos, guess, _title(photos, MODEL))
        jobs.append(Job(photos.name, MODEL, digest(photos.files, model.sha256), measure))
    follow = partial(measure_clips, clips, track, _title(clips, MODEL))
    return [*jobs, Job(clips.name, MODEL, digest(clips.files, model.sha256), follow)]


def carry_out(jobs: Sequence[Job], model: MeasuredModel | None, folder: Path) -> Scores:
    """Run all jobs, writing `scores.json` and `scores.md` after each.

    Args:
        jobs: The jobs; other parts in the folder are dropped.
        model: The model's identity; None for baselines only.
        folder: Output folder.

    Returns:
        All scores.

    Raises:
        OutputError: The folder cannot be written to.
        DataError: A picture, or the scores in the folder, cannot be read.
    """
    before = load_scores(folder).parts if (folder / FILE_NAME).exists() else ()
    kept = tuple(part for part in before if any(job.is_done_by(part) for job in jobs))
    scores = Scores(model, kept)
    for job in jobs:
        if any(job.is_done_by(part) for part in kept):
            sys.stderr.write(f"{job.data_set}, {job.subject}: kept from an earlier run\n")
            continue
        scores = scores.with_part(ScorePart(job.data_set, job.subject, job.depends, job.measure()))
        write_scores(scores, folder)
    write_scores(scores, folder)
    return scores


def write_scores(scores: Scores, folder: Path) -> None:
    """Write the scores, and their tables."""
    scores.save(folder)
    write_atomically(folder / "scores.md", as_markdown(scores).encode())


def _title(data_set: MicroPhotos | MicroClips, subject: str) -> str:
    return f"{data_set.name}, {subject}"
