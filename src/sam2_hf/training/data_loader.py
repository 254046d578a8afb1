"""Batches of clips, each a function of the seed and the step, prepared ahead by worker processes.

Which source a step draws from, and which items, follows from the step alone. Nothing is counted
while a run proceeds, so a resumed run sees what would have come, and every process knows what the
others take.
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
SOURCE, ORDER, SPARE, CLIP, CLICKS = range(5)  # keep the chances of different things apart
MOST_TRIES = 64  # other items that are tried in place of one


def generator(seed: int, *numbers: int) -> np.random.Generator:
    """Make a source of chance that depends on these numbers and nothing else."""
    return np.random.default_rng(np.random.SeedSequence((seed, *numbers)))


class MixSchedule:
    """The order of a run.

    Args:
        mix: Weights, batch sizes, seed.
        lengths: Items of each source.
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
        """Tell which source a step takes its clips from."""
        block, place = divmod(step, BLOCK)
        self._extend(block)
        return int(self._choices[block][place])

    def first_position(self, step: int) -> int:
        """Count the clips that earlier steps took from the source of this one."""
        source = self.source(step)
        block, place = divmod(step, BLOCK)
        before = np.count_nonzero(self._choices[block][:place] == source)
        steps = int(self._served[block][source]) + int(before)
        return steps * self._mix.sources[source].batch_size

    def item(self, source: int, position: int) -> int:
        """Tell which item of a source comes at a position; an epoch takes each item once."""
        length = self._lengths[source] * self._mix.sources[source].repeat
        epoch, place = divmod(position, length)
        return int(self._order(source, epoch)[place]) % self._lengths[source]

    def fallback_items(self, source: int, position: int) -> Iterator[int]:
        """List the items that take the place of one that cannot be used, in turn."""
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
        """Draw the sources of all blocks up to one."""
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
    """Answers each request with the same batch, whatever was requested before.

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

    def __init__(self, mix: DataMixture) -> None:
        self.mix = mix
        self.sources: tuple[ClipDataset, ...] = tuple(open_source(one) for one in mix.sources)
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
        yield from self.schedule.fallback_items(number, position)


def plan_requests(
    steps: range, *, rank: int = 0, processes: int = 1, accumulation: int = 1
) -> list[ClipRequest]:
    """List what one process asks for.

    Args:
        steps: Steps of the run; a resumed one begins later.
        rank: Of the process, from 0.
        processes: How many there are.
        accumulation: Batches that each of them takes in a step.
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
        wait_s: Seconds that the consumer has waited for batches.

    Args:
        stream: Where clips come from.
        requests: In the order of the batches.
        num_workers: Processes that prepare batches; 0 prepares them when they are asked for.
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
            # Without one of its own the loader would draw from torch's global generator.
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
    """Hands our errors over as values, since a worker buries what it raises in a trace."""

    def __init__(self, stream: ClipStream) -> None:
        self._stream = stream

    def __getitem__(self, request: ClipRequest) -> ClipBatch | Sam2Error:
        try:
            return self._stream[request]
        except Sam2Error as error:
            return error


def _unchanged(answer: Any) -> Any:  # noqa: ANN401 - the loader calls it with what it prepared
    return answer


def _start_worker(worker: int) -> None:
    """Keep a worker to one core; all that it draws follows from the requests.

    Ctrl-C and a system that shuts down reach all processes at once, but the parent still needs its
    workers to finish the step and save. torch gives each worker a handler of its own for that
    signal, which ends it; this comes after it.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave_it_to_the_parent)


def _leave_it_to_the_parent(number: int, frame: FrameType | None) -> None:
    """Obey only who insists, as a parent does that waits in vain for its worker to end."""
    signal.signal(number, signal.SIG_DFL)
