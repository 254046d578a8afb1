"""Score a model while it learns: mean IoU of single clicks on photos, mean J of tracked clips."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sam2_hf.errors import DataError, Sam2Error, TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .clip_source import ClipSource
from .clips import Clip
from .config import ValidationConfig
from .predictions import (
    Prediction,
    as_image_model,
    largest_objects,
    predict_clip,
    predict_photo,
)

COLUMNS = ("step", "score")  # of `valid.csv`, before those of the sources
EXAMPLE_OBJECTS = 3  # most objects of a photo or clip that is drawn


@dataclass(frozen=True, slots=True)
class SourceTotal:
    """Sums over the objects of one source, or over a process's share of them.

    Attributes:
        label: What reports call the source.
        total: Sum of the objects' scores.
        count: How many objects.
        skipped: How many photos or clips could not be used.
        reason: Why the first of them could not; empty where another process skipped them.
    """

    label: str
    total: float
    count: int
    skipped: int = 0
    reason: str = ""


class Validation:
    """The sources a run is validated on, opened once.

    Args:
        sources: One for each of `config.sources`.
        config: Limits.
        on_bad_data: "skip" counts photos and clips that cannot be used; "raise" ends the run.
    """

    def __init__(
        self,
        sources: Sequence[ClipSource],
        config: ValidationConfig,
        on_bad_data: Literal["skip", "raise"] = "skip",
    ) -> None:
        self.sources = tuple(sources)
        self.config = config
        self.on_bad_data = on_bad_data

    @property
    def labels(self) -> list[str]:
        """What reports call the sources; those of one name, or of a column's, are numbered."""
        names = [source.config.label for source in self.sources]
        return [
            name if names.count(name) == 1 and name not in COLUMNS else f"{name} ({number})"
            for number, name in enumerate(names, start=1)
        ]

    def run(self, model: Sam2VideoModel, process: int = 0, processes: int = 1) -> list[SourceTotal]:
        """Score a model on a process's share of all photos and clips.

        Args:
            model: The model, in eval mode.
            process: Which process this is.
            processes: How many there are; each takes other items.

        Returns:
            One total per source.

        Raises:
            DataError: A photo or clip cannot be used, and `on_bad_data` is "raise".
        """
        return [
            self._total(model, label, source, self.places(source)[process::processes])
            for label, source in zip(self.labels, self.sources, strict=True)
        ]

    def places(self, source: ClipSource) -> list[int]:
        """Choose the photos or clips of a source, spread evenly over all."""
        count = len(source)
        wanted = min(self.config.max_items or count, count)
        return [place * count // wanted for place in range(wanted)]

    def examples(self, model: Sam2VideoModel, count: int) -> Iterator[Prediction]:
        """Predict a few photos and clips, from each source in turn, always the same ones."""
        share = -(-count // max(len(self.sources), 1))
        chosen = [
            (source, place)
            for source in self.sources
            for place in self.places(source)[:: max(len(self.places(source)) // share, 1)][:share]
        ]
        for source, place in chosen[:count]:
            with contextlib.suppress(Sam2Error):
                yield _predict(model, source.whole_clip(place), EXAMPLE_OBJECTS)

    def _total(
        self, model: Sam2VideoModel, label: str, source: ClipSource, places: Sequence[int]
    ) -> SourceTotal:
        """Score some photos or clips of a source, leaving out what cannot be used."""
        ious: list[float] = []
        reasons: list[str] = []
        for place in places:
            try:
                clip = source.whole_clip(place)
                ious += _predict(model, clip, self.config.max_objects).ious()
            except DataError as error:
                if self.on_bad_data == "raise":
                    raise DataError(f"validation on {label}: {error}") from error
                reasons.append(str(error))
        return SourceTotal(label, sum(ious), len(ious), len(reasons), next(iter(reasons), ""))


def training_examples(
    sources: Sequence[ClipSource], model: Sam2VideoModel, count: int
) -> Iterator[Prediction]:
    """Predict the first photos and clips of the sources a run learns from.

    Clips are those of training, not whole videos, which may be long.

    Args:
        sources: Opened without augmentation.
        model: The model, in eval mode.
        count: How many at most.
    """
    share = -(-count // max(len(sources), 1))
    chosen = [(source, item) for source in sources for item in range(min(share, len(source)))]
    side = model.prompt_encoder.image_size
    for source, item in chosen[:count]:
        with contextlib.suppress(Sam2Error):
            clip = source.draw_clip(item, side, np.random.default_rng(item))
            yield _predict(model, clip, EXAMPLE_OBJECTS)


def skip_note(total: SourceTotal) -> str:
    """Tell what was left out of a source; empty if nothing was."""
    if not total.skipped:
        return ""
    first = f", such as {total.reason}" if total.reason else ""
    return f"validation on {total.label} left out {total.skipped} photo(s) or clip(s){first}"


def _predict(model: Sam2VideoModel, clip: Clip, limit: int | None) -> Prediction:
    clip = largest_objects(clip, limit)
    if len(clip.frames_thw3) == 1:
        return predict_photo(as_image_model(model), clip)
    return predict_clip(model, clip)


def mean_score(totals: Sequence[SourceTotal]) -> float:
    """Take the mean over the sources of each source's mean over objects, 0 to 1.

    Raises:
        TrainingError: A source has no object that counts.
    """
    for one in totals:
        if not one.count:
            raise TrainingError(
                f"there is nothing to validate on in {one.label}: no photo or clip has an object "
                "within its limits of area. Lower min_area, or take the source out of validation."
            )
    return sum(one.total / one.count for one in totals) / len(totals)
