"""The clips of every step of a run, each a function of the seed, the step and the place in it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from torch.utils.data import Dataset

from sam2_hf.errors import DataError, TrainingError

from .clip_source import ClipSource
from .clips import Clip, ClipBatch, collate
from .data_config import Mix
from .mix_schedule import CLICKS, CLIP, MixSchedule, generator
from .source_registry import open_source

REASONS = 3  # that a message shows
SEED_BITS = 63  # of a clip's seed, which torch takes as a signed number


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A part of the clips of a step.

    Attributes:
        step: From 0.
        part: From 0.
        parts: How many equal parts there are: processes times accumulated batches.
    """

    step: int
    part: int = 0
    parts: int = 1


class ClipStream(Dataset[ClipBatch]):
    """Answers each request with the same batch, whoever asks and whatever was asked before.

    A step takes all its clips from one source, drawn by weight. Within an epoch of a source no item
    comes twice. An item that cannot be used is replaced by another and reported in
    [`ClipBatch.skipped`].

    Args:
        mix: The sources.

    Raises:
        DataError: A source has nothing usable.
        MissingPackageError: A source needs a package that is not installed.

    Source: training/dataset/sam2_datasets.py:20-72 @ 2b90b9f.
    Differs: sources never end before the run does, and the number of workers changes nothing.
    """

    def __init__(self, mix: Mix) -> None:
        self.mix = mix
        self.sources: tuple[ClipSource, ...] = tuple(open_source(one) for one in mix.sources)
        self.schedule = MixSchedule(mix, [len(source) for source in self.sources])

    def fingerprints(self) -> list[str]:
        """Tell what the sources hold, to notice when it changes."""
        return [f"{one.config.label}: {one.fingerprint()}" for one in self.sources]

    def steps_per_epoch(self, source: int = 0) -> float:
        """Count the steps in which every item of a source is taken once, repeats included."""
        config = self.mix.sources[source]
        return len(self.sources[source]) * config.repeat / config.batch_size

    def __getitem__(self, request: ClipRequest) -> ClipBatch:
        number = self.schedule.source(request.step)
        config = self.mix.sources[number]
        if config.batch_size % request.parts:
            raise TrainingError(
                f"batch_size={config.batch_size} of {config.label} does not split into "
                f"{request.parts} equal parts (processes x accumulated batches). Choose a "
                f"multiple of {request.parts}."
            )
        size = config.batch_size // request.parts
        if not config.num_frames and size > 1:
            raise TrainingError(
                f"num_frames=0 of {config.label} takes whole sequences, whose lengths differ, so "
                f"{size} of them make no batch. Set batch_size={request.parts}."
            )
        first = self.schedule.first_position(request.step) + request.part * size
        skipped: list[str] = []
        clips = [self._clip(number, first + place, skipped) for place in range(size)]
        seeds = [
            int(generator(self.mix.seed, CLICKS, number, first + place).integers(2**SEED_BITS))
            for place in range(size)
        ]
        return replace(collate(clips, seeds, config.label), skipped=tuple(skipped))

    def _clip(self, number: int, position: int, skipped: list[str]) -> Clip:
        """Draw the clip of one position; messages of what was skipped are added to the list."""
        source = self.sources[number]
        failed: list[str] = []
        for item in self._items(number, position):
            rng = generator(self.mix.seed, CLIP, number, position, item)
            try:
                return source.draw_clip(item, self.mix.image_size, rng)
            except DataError as error:
                if self.mix.on_bad_data == "raise":
                    raise DataError(f"{source.config.label}: {error}") from error
                failed.append(str(error))
                skipped.append(f"{source.config.label}: {error}")
        raise DataError(
            f"{source.config.label}: none of {len(failed)} item(s) in a row can be used, of "
            f"{len(source)} in {source.config.path or 'memory'}. The first: "
            f"{' | '.join(failed[:REASONS])}"
        )

    def _items(self, number: int, position: int) -> Iterator[int]:
        yield self.schedule.item(number, position)
        yield from self.schedule.spares(number, position)
