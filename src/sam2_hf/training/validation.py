"""Score a model while it learns: mean IoU of single clicks on photos, mean J of tracked clips."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sam2_hf.errors import DataError, Sam2Error, TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .clip_source import ClipSource
from .config import ValidationConfig
from .predictions import (
    Prediction,
    as_image_model,
    largest_objects,
    predict_clip,
    predict_photo,
)


@dataclass(frozen=True, slots=True)
class SourceTotal:
    """Sums over the objects of one source, or over a process's share of them.

    Attributes:
        label: What reports call the source.
        total: Sum of the objects' scores.
        count: How many objects.
    """

    label: str
    total: float
    count: int


class Validation:
    """The sources a run is validated on, opened once.

    Args:
        sources: One for each of `config.sources`.
        config: Limits.
    """

    def __init__(self, sources: Sequence[ClipSource], config: ValidationConfig) -> None:
        self.sources = tuple(sources)
        self.config = config

    @property
    def labels(self) -> list[str]:
        """What reports call the sources; those of one name are numbered."""
        names = [source.config.label for source in self.sources]
        return [
            name if names.count(name) == 1 else f"{name} ({number})"
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
        """
        totals = []
        for label, source in zip(self.labels, self.sources, strict=True):
            places = self.places(source)[process::processes]
            ious = [iou for place in places for iou in self._ious(model, source, place)]
            totals.append(SourceTotal(label, sum(ious), len(ious)))
        return totals

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
                yield self._predict(model, source, place, limit=3)

    def _ious(self, model: Sam2VideoModel, source: ClipSource, place: int) -> list[float]:
        """Score the objects of one photo or clip; none if it is damaged or has no object."""
        try:
            return self._predict(model, source, place, self.config.max_objects).ious()
        except DataError:
            return []

    def _predict(
        self, model: Sam2VideoModel, source: ClipSource, place: int, limit: int | None
    ) -> Prediction:
        clip = largest_objects(source.whole_clip(place), limit)
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
