"""Augmentation of a clip: one draw for all its frames and masks, and mosaics of four clips.

A mosaic shows a clip four times at half size, with the masks of one copy only: similar objects are
not the same object.

Suffixes: S, s = rows and columns of the model's input, h = half of s, o = objects, 3 = red, green,
blue.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .affine import AffineMap, Anchor, draw_affine, whole_picture
from .color_jitter import ColorChange, apply_changes, draw_changes
from .config import Augmentation
from .frame_annotations import FrameObjects

CELLS = 2  # in each direction


@dataclass(frozen=True, slots=True)
class Mosaic:
    """Position of the labeled copy, and which copies are mirrored; the same for every frame.

    Attributes:
        row: Of the labeled copy.
        column: Of the labeled copy.
        mirrored: Of each copy, row by row.

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
        """Put masks into the cell of the labeled copy, `(o, S, S)`, bool."""
        half = masks_oss.shape[-1] // CELLS
        cells = masks_oss.reshape(len(masks_oss), half, CELLS, half, CELLS)
        # Two of four pixels are enough, so that a line of one pixel does not vanish.
        small_ohh = cells.sum(axis=(2, 4), dtype=np.uint8) >= CELLS
        if self.mirrored[CELLS * self.row + self.column]:
            small_ohh = small_ohh[:, :, ::-1]
        found_oss = np.zeros_like(masks_oss)
        rows = slice(self.row * half, (self.row + 1) * half)
        found_oss[:, rows, self.column * half : (self.column + 1) * half] = small_ohh
        return found_oss


def draw_mosaic(rng: np.random.Generator) -> Mosaic:
    """Draw the labeled cell and which cells are mirrored."""
    row, column = rng.integers(CELLS, size=2).tolist()
    one, two, three, four = (rng.random(CELLS * CELLS) < 1 / 2).tolist()
    return Mosaic(row, column, (one, two, three, four))


@dataclass(frozen=True, slots=True, eq=False)
class ClipAugmentation:
    """A drawn augmentation of a clip.

    Attributes:
        affine: Map of coordinates, the same for every frame.
        mosaic: None for a single picture.
        colors: Color changes of each frame; empty keeps the colors.
    """

    affine: AffineMap
    mosaic: Mosaic | None
    colors: tuple[list[ColorChange], ...]

    def frame(self, picture: Image.Image, place: int) -> NDArray[np.uint8]:
        """Make the model's input of one frame.

        Args:
            picture: RGB.
            place: Index of the frame in its clip.

        Returns:
            `(S, S, 3)`, uint8.
        """
        pixels_ss3 = self.affine.pixels(picture)
        if self.mosaic is not None:
            pixels_ss3 = self.mosaic.pixels(pixels_ss3)
        return apply_changes(pixels_ss3, self.colors[place]) if self.colors else pixels_ss3

    def masks(self, objects: FrameObjects, object_ids: Sequence[int]) -> NDArray[np.bool_]:
        """Make the masks of a frame.

        Returns:
            `(o, S, S)`, bool.
        """
        masks_oss = objects.transformed(object_ids, self.affine)
        return masks_oss if self.mosaic is None else self.mosaic.masks(masks_oss)


def draw_augmentation(
    augment: Augmentation,
    size: tuple[int, int],
    side: int,
    anchor: Anchor,
    num_frames: int,
    rng: np.random.Generator,
) -> ClipAugmentation:
    """Draw the augmentation of a clip.

    Args:
        augment: Its limits.
        size: `(height, width)` of its frames.
        side: Rows and columns of the model's input.
        anchor: `(x, y)`, pixels of the frame, that a zoom may target.
        num_frames: Frames of the clip.
        rng: Random generator.
    """
    affine = draw_affine(augment, size, side, anchor, rng)
    colors = tuple(draw_changes(augment, num_frames, rng))
    mosaic = draw_mosaic(rng) if rng.random() < augment.mosaic else None
    return ClipAugmentation(affine, mosaic, colors)


def resize_only(size: tuple[int, int], side: int) -> ClipAugmentation:
    """Only resize, as for evaluation."""
    return ClipAugmentation(whole_picture(size, side), None, ())
