"""One variation for all frames of a clip and all its masks.

Suffixes: S = rows and columns of the model's input, o = objects, 3 = red, green, blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .colours import ColourChange, apply_changes, draw_changes
from .data_config import Augmentation
from .frame_objects import FrameObjects
from .mosaic import Mosaic, draw_mosaic
from .warp import Anchor, Warp, draw_warp, whole_picture


@dataclass(frozen=True, slots=True, eq=False)
class Variation:
    """What is done to a clip.

    Attributes:
        warp: Where each pixel comes from.
        mosaic: None for a single picture.
        colours: Changes of each frame; none keeps the colours.
    """

    warp: Warp
    mosaic: Mosaic | None
    colours: tuple[list[ColourChange], ...]

    def frame(self, picture: Image.Image, place: int) -> NDArray[np.uint8]:
        """Make the model's input of one frame.

        Args:
            picture: RGB.
            place: Of the frame in its clip.

        Returns:
            `(S, S, 3)`, uint8.
        """
        pixels_ss3 = self.warp.pixels(picture)
        if self.mosaic is not None:
            pixels_ss3 = self.mosaic.pixels(pixels_ss3)
        return apply_changes(pixels_ss3, self.colours[place]) if self.colours else pixels_ss3

    def masks(self, objects: FrameObjects, object_ids: Sequence[int]) -> NDArray[np.bool_]:
        """Make the masks that belong to a frame.

        Returns:
            `(o, S, S)`, bool.
        """
        masks_oss = objects.warped(object_ids, self.warp)
        return masks_oss if self.mosaic is None else self.mosaic.masks(masks_oss)


def draw_variation(
    augment: Augmentation,
    size: tuple[int, int],
    side: int,
    anchor: Anchor,
    num_frames: int,
    rng: np.random.Generator,
) -> Variation:
    """Draw what is done to a clip.

    Args:
        augment: How far it may go.
        size: `(height, width)` of its frames.
        side: Rows and columns of the model's input.
        anchor: `(x, y)`, pixels of the frame, to which a zoom may go.
        num_frames: Frames of the clip.
        rng: Source of chance.
    """
    warp = draw_warp(augment, size, side, anchor, rng)
    colours = tuple(draw_changes(augment, num_frames, rng))
    mosaic = draw_mosaic(rng) if rng.random() < augment.mosaic else None
    return Variation(warp, mosaic, colours)


def no_variation(size: tuple[int, int], side: int) -> Variation:
    """Only resize, as for evaluation."""
    return Variation(whole_picture(size, side), None, ())
