"""What a method says about a click: one mask, or several of which the best one counts.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Xy = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Guess:
    """A mask for a click.

    Attributes:
        method: Who made it. Of several masks that one method makes for a click under one setting,
            the best one counts.
        setting: What was tried, such as "tolerance 20"; a table shows each method's best one.
        mask_hw: `(height, width)` bool.
    """

    method: str
    setting: str
    mask_hw: NDArray[np.bool_]


Guesser = Callable[[NDArray[np.uint8], Sequence[Xy]], Iterator[list[Guess]]]
"""A photo `(height, width, 3)` and clicks in, the guesses for each click out, in their order."""
