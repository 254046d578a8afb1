"""What a click is worth without a model: a box, a disc, and all that has the clicked colour.

Suffixes: h, w = rows and columns in pixels, 3 = channels of a colour.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2lab
from skimage.segmentation import flood

from .guesses import Guess, Xy

BOX, DISC, ANY_DISC, FLOOD = "box", "disc", "disc, best radius", "flood fill"
WHOLE_PICTURE = "the whole picture"
BOX_SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)  # of the picture's sides
DISC_SHARE = 0.15  # radius over the picture's width
DISC_SHARES = (0.05, 0.075, 0.1, 0.125, 0.15, 0.2)
TOLERANCES = (8, 12, 16, 20, 24, 30, 40)  # distance from the clicked colour in CIELAB


def guess_without_model(
    picture_hw3: NDArray[np.uint8], clicks: Sequence[Xy]
) -> Iterator[list[Guess]]:
    """Guess the masks of clicks from nothing but the picture.

    - "box": a box around the click whose sides are a share of the picture's, or the whole picture.
    - "disc": a disc around the click with a radius of 0.15 of the picture's width.
    - "disc, best radius": the same with other radii.
    - "flood fill": all that hangs together with the click by the sides of pixels, and whose colour
      is no farther than a tolerance from the clicked one, Euclidean distance in CIELAB.

    Args:
        picture_hw3: The photo, `(height, width, 3)` uint8.
        clicks: `(x, y)` pixels.

    Returns:
        For each click every method with every setting.
    """
    lab_hw3 = rgb2lab(picture_hw3).astype(np.float32)
    for click in clicks:
        boxes, discs = _boxes(lab_hw3.shape[:2], click), _discs(lab_hw3.shape[:2], click)
        yield [*boxes, *discs, *_floods(lab_hw3, click)]


def _boxes(size: tuple[int, int], click: Xy) -> Iterator[Guess]:
    (height, width), (x, y) = size, click
    yield Guess(BOX, WHOLE_PICTURE, np.ones(size, bool))
    for share in BOX_SHARES:
        mask_hw = np.zeros(size, bool)
        half_height, half_width = share * height / 2, share * width / 2
        rows = slice(max(round(y - half_height), 0), round(y + half_height) + 1)
        columns = slice(max(round(x - half_width), 0), round(x + half_width) + 1)
        mask_hw[rows, columns] = True
        yield Guess(BOX, f"{share:g} of the picture's sides", mask_hw)


def _discs(size: tuple[int, int], click: Xy) -> Iterator[Guess]:
    (height, width), (x, y) = size, click
    squared_hw = (np.arange(height)[:, None] - y) ** 2 + (np.arange(width) - x) ** 2
    for share in DISC_SHARES:
        mask_hw = squared_hw <= (share * width) ** 2
        setting = f"radius {share:g} x width"
        yield Guess(ANY_DISC, setting, mask_hw)
        if share == DISC_SHARE:
            yield Guess(DISC, setting, mask_hw)


def _floods(lab_hw3: NDArray[np.float32], click: Xy) -> Iterator[Guess]:
    x, y = click
    distance_hw = np.linalg.norm(lab_hw3 - lab_hw3[y, x], axis=-1)
    for tolerance in TOLERANCES:
        mask_hw = flood(distance_hw <= tolerance, (y, x), connectivity=1)
        yield Guess(FLOOD, f"tolerance {tolerance}", mask_hw)
