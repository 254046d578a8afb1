"""Which source a step takes its clips from, and which items: a function of the step alone.

Nothing is counted while a run goes on, so a run that is resumed goes on with what would have come,
and every process knows what the others take.
"""

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .data_config import Mix

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

    def __init__(self, mix: Mix, lengths: Sequence[int]) -> None:
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

    def spares(self, source: int, position: int) -> Iterator[int]:
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
