"""What the first mask of a clip is worth without a model: left where it is, or carried by flow.

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue, 2 = down, right.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.color import rgb2gray
from skimage.registration import optical_flow_ilk, optical_flow_tvl1

REPEAT, FLOW = "repeat the first mask", "optical flow"

Masks = NDArray[np.bool_]
Grey = NDArray[np.float32]
Flow = Callable[[Grey, Grey], NDArray[np.float32]]
"""Two grey frames in; where each pixel of the first is on the second, `(2, h, w)` pixels, out."""

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
    grey = [rgb2gray(frame).astype(np.float32) for frame in frames_thw3]
    here_2hw = np.indices(first_hw.shape, np.float32)
    soft_hw = first_hw.astype(np.float32)
    masks = [first_hw]
    for before, now in pairwise(grey):
        there_2hw = here_2hw + flow(now, before)
        soft_hw = map_coordinates(soft_hw, there_2hw, order=1, mode="nearest")
        masks.append(soft_hw > 1 / 2)
    return np.stack(masks)
