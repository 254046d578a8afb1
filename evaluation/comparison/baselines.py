"""Baselines without a model: box, disc or flood fill for a click, optical flow for a first mask.

Clicks are at the innermost point of the object.

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
"""Maps two gray frames to the position of each pixel of the first on the second, `(2, h, w)`."""

FLOWS: dict[str, Flow] = {
    "TV-L1": optical_flow_tvl1,
    "iterative Lucas-Kanade, radius 7": partial(optical_flow_ilk, radius=7),
    "iterative Lucas-Kanade, radius 15": partial(optical_flow_ilk, radius=15),
}


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """Masks of a clip by one method.

    Attributes:
        method: The method.
        setting: Its setting; a table shows each method's best one.
        masks_thw: `(frames, height, width)` bool.
    """

    method: str
    setting: str
    masks_thw: Masks


def track_without_model(
    frames_thw3: NDArray[np.uint8], first_hw: NDArray[np.bool_]
) -> Iterator[Track]:
    """Track an object from its first mask with every baseline.

    Args:
        frames_thw3: The clip, `(frames, height, width, 3)` uint8.
        first_hw: The true mask on the first frame.
    """
    yield Track(REPEAT, "", np.repeat(first_hw[None], len(frames_thw3), axis=0))
    for setting, flow in FLOWS.items():
        yield Track(FLOW, setting, carry_by_flow(frames_thw3, first_hw, flow))


def carry_by_flow(frames_thw3: NDArray[np.uint8], first_hw: NDArray[np.bool_], flow: Flow) -> Masks:
    """Propagate a mask along dense optical flow.

    Each frame samples the previous mask at the flow's positions, with linear interpolation. Values
    stay soft and are thresholded at 0.5 only for the result, so that slow motion does not round to
    zero.

    Args:
        frames_thw3: The clip, `(frames, height, width, 3)` uint8.
        first_hw: The mask on the first frame.
        flow: Computes the flow between two frames.

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
    """Find the pixel of a mask farthest from its outside.

    Beyond the picture counts as outside. Distances are exact. Ties go to the first pixel in
    row-major order.

    Args:
        mask_hw: `(height, width)` bool, in one piece or several.

    Returns:
        `(x, y)`, pixels from 0.

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
        method: The method. Of several masks of a method for a click with one setting, the best one
            counts.
        setting: Its setting, such as "tolerance 20"; a table shows each method's best one.
        mask_hw: `(height, width)` bool.
    """

    method: str
    setting: str
    mask_hw: NDArray[np.bool_]


Guesser = Callable[[NDArray[np.uint8], Sequence[Xy]], Iterator[list[Guess]]]
"""Maps a photo `(height, width, 3)` and clicks to the guesses for each click, in order."""


BOX, DISC, ANY_DISC, FLOOD = "box", "disc", "disc, best radius", "flood fill"

BOX_SHARES = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7)  # of the picture's sides
DISC_SHARE = 0.15  # radius over the picture's width
DISC_SHARES = (0.05, 0.075, 0.1, 0.125, 0.15, 0.2)
TOLERANCES = (8, 12, 16, 20, 24, 30, 40)  # distance from the clicked color in CIELAB


def guess_without_model(
    picture_hw3: NDArray[np.uint8], clicks: Sequence[Xy]
) -> Iterator[list[Guess]]:
    """Guess the masks of clicks without a model.

    - "box": a box around the click with a fraction of the picture's sides, or the whole picture.
    - "disc": a disc around the click with a radius of 0.15 of the picture's width.
    - "disc, best radius": the same with other radii.
    - "flood fill": the 4-connected region around the click whose color is within a tolerance of the
      clicked one, Euclidean distance in CIELAB.

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
    yield Guess(BOX, "the whole picture", np.ones(size, bool))
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
