"""Augmentation of a clip: one draw for all its frames and masks, and mosaics of four clips.

A mosaic shows a clip four times at half size and means its objects in one of the four only: things
that look alike are not the same thing.

Suffixes: S, s = rows and columns of the model's input, h = half of s, o = objects, 3 = red, green,
blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .affine import Anchor, Warp, draw_warp, whole_picture
from .color_jitter import ColorChange, apply_changes, draw_changes
from .config import Augmentation
from .frame_annotations import FrameObjects

CELLS = 2  # in each direction


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Where the meant copy stands, and which copies are mirrored; the same for every frame.

    Attributes:
        row: Of the copy whose objects are meant.
        column: Of that copy.
        mirrored: Row by row.

    Source: training/dataset/transforms.py:398-528 @ 2b90b9f.
    """

    row: int
    column: int
    mirrored: tuple[bool, bool, bool, bool]

    def pixels(self, pixels_ss3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draw a frame four times, `(S, S, 3)`, uint8."""
        half = len(pixels_ss3) // CELLS
        small_hh3 = np.asarray(Image.fromarray(pixels_ss3).resize((half, half)))
        cells = [small_hh3[:, ::-1] if mirror else small_hh3 for mirror in self.mirrored]
        return np.concatenate(
            [np.concatenate(cells[:2], axis=1), np.concatenate(cells[2:], axis=1)]
        )

    def masks(self, masks_oss: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Put masks into the cell of the meant copy, `(o, S, S)`, bool."""
        half = masks_oss.shape[-1] // CELLS
        cells = masks_oss.reshape(len(masks_oss), half, CELLS, half, CELLS)
        # Half of the four pixels is enough, so that a line of one pixel does not vanish.
        small_ohh = cells.sum(axis=(2, 4), dtype=np.uint8) >= CELLS
        if self.mirrored[CELLS * self.row + self.column]:
            small_ohh = small_ohh[:, :, ::-1]
        found_oss = np.zeros_like(masks_oss)
        rows = slice(self.row * half, (self.row + 1) * half)
        found_oss[:, rows, self.column * half : (self.column + 1) * half] = small_ohh
        return found_oss


def draw_mosaic(rng: np.random.Generator) -> Mosaic:
    """Draw the cell that is meant and which cells are mirrored."""
    row, column = rng.integers(CELLS, size=2).tolist()
    one, two, three, four = (rng.random(CELLS * CELLS) < 1 / 2).tolist()
    return Mosaic(row, column, (one, two, three, four))


@dataclass(frozen=True, slots=True, eq=False)
class Variation:
    """What is done to a clip.

    Attributes:
        warp: Where each pixel comes from.
        mosaic: None for a single picture.
        colors: Changes of each frame; none keeps the colors.
    """

    warp: Warp
    mosaic: Mosaic | None
    colors: tuple[list[ColorChange], ...]

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
        return apply_changes(pixels_ss3, self.colors[place]) if self.colors else pixels_ss3

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
    colors = tuple(draw_changes(augment, num_frames, rng))
    mosaic = draw_mosaic(rng) if rng.random() < augment.mosaic else None
    return Variation(warp, mosaic, colors)


def no_variation(size: tuple[int, int], side: int) -> Variation:
    """Only resize, as for evaluation."""
    return Variation(whole_picture(size, side), None, ())
