"""Data loading: batches of clips, each a function of seed and step, prefetched by workers.

Source and items of a step depend on the step alone. There is no running state, so a resumed run
sees the same data, and every process knows what the others use.
"""

import math
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from sam2_hf.data.clip import Clip, ClipBatch, collate
from sam2_hf.data.config import DataMixture
from sam2_hf.data.dataset import ClipDataset
from sam2_hf.errors import DataError, Sam2Error, TrainingError

from .dataset_registry import open_source

BLOCK = 4096  # steps whose sources are drawn together
SOURCE, ORDER, SPARE, CLIP, CLICKS = range(5)  # independent random streams
MOST_TRIES = 64  # replacements tried for an unusable item


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """Make a random generator seeded by these numbers alone."""
    return np.random.default_rng(np.random.SeedSequence((seed, *numbers)))


class MixSchedule:
    """Order of sources and items of a run.

    Args:
        mix: Weights, batch sizes, seed.
        lengths: Number of items of each source.
    """

    def __init__(self, mix: DataMixture, lengths: Sequence[int]) -> None:
        self._mix = mix
        self._lengths = tuple(lengths)
        self._starts = np.array(
            [math.ceil(source.starts_at * mix.num_steps) for source in mix.sources]
        )
        self._weights = np.array([source.weight for source in mix.sources], np.float64)
        self._choices: list[NDArray[np.intp]] = []
        self._served = [np.zeros(len(mix.sources), np.int64)]  # before each block
        self._order = lru_cache(maxsize=2 * len(mix.sources))(self._permutation)

    def source(self, step: int) -> int:
        """Return the source of a step."""
        block, place = divmod(step, BLOCK)
        self._extend(block)
        return int(self._choices[block][place])

    def first_position(self, step: int) -> int:
        """Return the number of clips that earlier steps took from this step's source."""
        source = self.source(step)
        block, place = divmod(step, BLOCK)
        before = np.count_nonzero(self._choices[block][:place] == source)
        steps = int(self._served[block][source]) + int(before)
        return steps * self._mix.sources[source].batch_size

    def item(self, source: int, position: int) -> int:
        """Return the item of a source at a position; an epoch takes each item once."""
        length = self._lengths[source] * self._mix.sources[source].repeat
        epoch, place = divmod(position, length)
        return int(self._order(source, epoch)[place]) % self._lengths[source]

    def fallback_items(self, source: int, position: int) -> Iterator[int]:
        """Yield replacements for an unusable item, in order."""
        length = self._lengths[source]
        tried = {self.item(source, position)}
        rng = generator(self._mix.seed, SPARE, source, position)
        while len(tried) < min(length, MOST_TRIES):
            item = int(rng.integers(length))
            if item not in tried:
                tried.add(item)
                yield item

    def _permutation(self, source: int, epoch: int) -> NDArray[np.int64]:
        length = self._lengths[source] * self._mix.sources[source].repeat
        return generator(self._mix.seed, ORDER, source, epoch).permutation(length)

    def _extend(self, block: int) -> None:
        """Draw the sources of all blocks up to this one."""
        while len(self._choices) <= block:
            number = len(self._choices)
            steps = np.arange(number * BLOCK, (number + 1) * BLOCK)
            weights = self._weights * (steps[:, None] >= self._starts)
            ends = weights.cumsum(axis=1)
            drawn = generator(self._mix.seed, SOURCE, number).random(BLOCK) * ends[:, -1]
            choices = (drawn[:, None] >= ends).sum(axis=1)
            self._choices.append(choices)
            served = np.bincount(choices, minlength=len(self._weights))
            self._served.append(self._served[-1] + served)


@dataclass(frozen=True, slots=True)
class ClipRequest:
    """A micro-batch of a step.

    Attributes:
        step: From 0.
        part: From 0.
        parts: Number of equal parts: processes times accumulated batches.
    """

    step: int
    part: int = 0
    parts: int = 1


class ClipStream(Dataset[ClipBatch]):
    """Stateless dataset of batches: equal requests give equal batches.

    A step takes all its clips from one source, drawn by weight. Within an epoch of a source no item
    repeats. An unusable item is replaced by another and reported in [`ClipBatch.skipped`].

    Args:
        mix: The sources.

    Raises:
        DataError: A source has nothing usable.
        MissingPackageError: A source needs a package that is not installed.

    Source: training/dataset/sam2_datasets.py:20-72 @ 2b90b9f.
    Differs: sources never end before the run, and the number of workers changes nothing.
    """

    def __init__(self, mix: DataMixture) -> None:
        self.mix = mix
        self.sources: tuple[ClipDataset, ...] = tuple(open_source(config) for config in mix.sources)
        self.schedule = MixSchedule(mix, [len(source) for source in self.sources])

    def fingerprints(self) -> list[str]:
        """Return fingerprints of the sources, to detect changes."""
        return [f"{source.config.label}: {source.fingerprint()}" for source in self.sources]

    def steps_per_epoch(self, source: int = 0) -> float:
        """Return the number of steps of an epoch of a source, repeats included."""
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
                f"{size} of them cannot form a batch. Set batch_size={request.parts}."
            )
        first = self.schedule.first_position(request.step) + request.part * size
        skipped: list[str] = []
        clips = [self._clip(number, first + place, skipped) for place in range(size)]
        seeds = [
            int(generator(self.mix.seed, CLICKS, number, first + place).integers(2**63))
            for place in range(size)
        ]
        return replace(collate(clips, seeds, config.label), skipped=tuple(skipped))

    def _clip(self, number: int, position: int, skipped: list[str]) -> Clip:
        """Draw the clip of a position, appending messages about skipped items to the list."""
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
            f"{' | '.join(failed[:3])}"
        )

    def _items(self, number: int, position: int) -> Iterator[int]:
        yield self.schedule.item(number, position)
        yield from self.schedule.fallback_items(number, position)


def plan_requests(
    steps: range, *, rank: int = 0, processes: int = 1, accumulation: int = 1
) -> list[ClipRequest]:
    """List the requests of one process.

    Args:
        steps: Steps of the run; a resumed one starts later.
        rank: Of the process, from 0.
        processes: Number of processes.
        accumulation: Micro-batches of a step per process.
    """
    parts = processes * accumulation
    return [
        ClipRequest(step, rank * accumulation + place, parts)
        for step in steps
        for place in range(accumulation)
    ]


class ClipLoader:
    """Iterates over the batches of a list of requests, once or more.

    Attributes:
        wait_s: Seconds that the consumer waited for batches.

    Args:
        stream: The data.
        requests: In the order of the batches.
        num_workers: Worker processes; 0 loads batches in the main process.
        prefetch: Batches that each worker prepares ahead.
    """

    def __init__(
        self,
        stream: ClipStream,
        requests: Sequence[ClipRequest],
        *,
        num_workers: int = 0,
        prefetch: int = 2,
    ) -> None:
        self._requests = requests
        self._loader: DataLoader[ClipBatch | Sam2Error] = DataLoader(
            _Answers(stream),
            batch_size=None,
            sampler=requests,
            num_workers=num_workers,
            collate_fn=_unchanged,
            prefetch_factor=prefetch if num_workers else None,
            worker_init_fn=_start_worker,
            pin_memory=torch.cuda.is_available(),
            # Without its own, the loader would draw from torch's global generator.
            generator=torch.Generator(),
        )
        self.wait_s = 0.0

    def __iter__(self) -> Iterator[ClipBatch]:
        answers = iter(self._loader)
        for _ in self._requests:
            asked = time.perf_counter()
            answer = next(answers)
            self.wait_s += time.perf_counter() - asked
            if isinstance(answer, Sam2Error):
                raise answer
            yield answer

    def reset_times(self) -> None:
        """Restart the measurement."""
        self.wait_s = 0.0


class _Answers(Dataset[ClipBatch | Sam2Error]):
    """Returns our errors as values, since a worker wraps exceptions in a traceback text."""

    def __init__(self, stream: ClipStream) -> None:
        self._stream = stream

    def __getitem__(self, request: ClipRequest) -> ClipBatch | Sam2Error:
        try:
            return self._stream[request]
        except Sam2Error as error:
            return error


def _unchanged(answer: Any) -> Any:  # noqa: ANN401 - any batch
    return answer


def _start_worker(worker: int) -> None:
    """Limit a worker to one thread, and let it survive the first signals.

    Ctrl-C and a shutdown signal all processes at once, but the parent still needs its workers to
    finish the step and save. torch installs a handler in each worker that ends it; this replaces
    it.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ignore_first_signals)


def _ignore_first_signals(number: int, frame: FrameType | None) -> None:
    """Ignore the first SIGTERM; a parent that ends its worker sends a second."""
    signal.signal(number, signal.SIG_DFL)
