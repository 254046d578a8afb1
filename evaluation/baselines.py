"""Baselines without a model: box, disc or flood fill for a click, optical flow for a first mask.

Clicks lie at the innermost point of what is to be segmented.

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue, 2 = down, right.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.color import rgb2gray, rgb2lab
from skimage.registration import optical_flow_ilk, optical_flow_tvl1
from skimage.segmentation import flood

from sam2_hf.errors import DataError
from sam2_hf.training.click_sampling import innermost_pixel

REPEAT, FLOW = "repeat the first mask", "optical flow"

Masks = NDArray[np.bool_]
Gray = NDArray[np.float32]
Flow = Callable[[Gray, Gray], NDArray[np.float32]]
"""Two gray frames in; where each pixel of the first is on the second, `(2, h, w)` pixels, out."""

FLOWS: dict[str, Flow] = {
    "TV-L1": optical_flow_tvl1,
    "iterative Lucas-Kanade, radius 7": partial(optical_flow_ilk, radius=7),
    "iterative Lucas-Kanade, radius 15": partial(optical_flow_ilk, radius=15),
}


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The masks that a method gives a clip.

    Attributes:
        method: Who made them.
        setting: What was tried; a table shows each method's best one.
        masks_thw: `(frames, height, width)` bool.
    """

    method: str
    setting: str
    masks_thw: Masks


def track_without_model(
    frames_thw3: NDArray[np.uint8], first_hw: NDArray[np.bool_]
) -> Iterator[Track]:
    """Follow an object from its first mask with every method that needs no model.

    Args:
        frames_thw3: The clip, `(frames, height, width, 3)` uint8.
        first_hw: The true mask on the first frame.
    """
    yield Track(REPEAT, "", np.repeat(first_hw[None], len(frames_thw3), axis=0))
    for setting, flow in FLOWS.items():
        yield Track(FLOW, setting, carry_by_flow(frames_thw3, first_hw, flow))


def carry_by_flow(frames_thw3: NDArray[np.uint8], first_hw: NDArray[np.bool_], flow: Flow) -> Masks:
    """Carry a mask from frame to frame along dense optical flow.

    Each frame asks where its pixels were on the frame before and takes the mask's value from there,
    between pixels by linear interpolation. The values stay soft until they are cut at one half, so
    that a slow motion does not round to none.

    Args:
        frames_thw3: The clip, `(frames, height, width, 3)` uint8.
        first_hw: The mask on the first frame.
        flow: What computes the flow between two frames.

    Returns:
        `(frames, height, width)` bool.
    """
    gray = [rgb2gray(frame).astype(np.float32) for frame in frames_thw3]
    here_2hw = np.indices(first_hw.shape, np.float32)
    soft_hw = first_hw.astype(np.float32)
    masks = [first_hw]
    for before, now in pairwise(gray):
        there_2hw = here_2hw + flow(now, before)
        soft_hw = map_coordinates(soft_hw, there_2hw, order=1, mode="nearest")
        masks.append(soft_hw > 1 / 2)
    return np.stack(masks)


def innermost_point(mask_hw: NDArray[np.bool_]) -> tuple[int, int]:
    """Find the pixel of a mask that is farthest from everything outside.

    What lies beyond the picture is outside too. Distances are exact. Of several such pixels the
    first in reading order is taken.

    Args:
        mask_hw: `(height, width)` bool, in one piece or several.

    Returns:
        `(x, y)`, pixels, counted from 0.

    Raises:
        DataError: If the mask is empty.

    Source: sam2/modeling/sam2_utils.py `sample_one_point_from_error_center` @ 2b90b9f, for a first
        click.
    Differs: an empty mask is an error instead of a click at (0, 0).
    """
    depth, x, y = innermost_pixel(mask_hw)
    if not depth:
        raise DataError("an empty mask has no innermost point. Leave empty masks out.")
    return x, y


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


BOX, DISC, ANY_DISC, FLOOD = "box", "disc", "disc, best radius", "flood fill"
WHOLE_PICTURE = "the whole picture"
BOX_SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)  # of the picture's sides
DISC_SHARE = 0.15  # radius over the picture's width
DISC_SHARES = (0.05, 0.075, 0.1, 0.125, 0.15, 0.2)
TOLERANCES = (8, 12, 16, 20, 24, 30, 40)  # distance from the clicked color in CIELAB


def guess_without_model(
    picture_hw3: NDArray[np.uint8], clicks: Sequence[Xy]
) -> Iterator[list[Guess]]:
    """Guess the masks of clicks from nothing but the picture.

    - "box": a box around the click whose sides are a share of the picture's, or the whole picture.
    - "disc": a disc around the click with a radius of 0.15 of the picture's width.
    - "disc, best radius": the same with other radii.
    - "flood fill": all that hangs together with the click by the sides of pixels, and whose color
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
