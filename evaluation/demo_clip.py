"""Demo clip with exact masks, generated from scikit-image's free photos.

A coffee cup and a round picture of a cat cross in front of a launch pad: the cat passes behind the
cup, and both pass behind a brick pillar.

    python -m evaluation.demo_clip demo_out/clip.mp4

Photos: Rachel Michetti (coffee, CC0), Stefan van der Walt (cat, CC0), SpaceX (rocket, public
domain), CC0Textures (bricks, CC0).

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from sam2_hf.writers.mp4 import video_writer

HEIGHT, WIDTH, NUM_FRAMES, FPS = 360, 480, 48, 24.0
CUP, CAT = 1, 2  # object ids
PILLAR = (212, 262)  # first and last column
BRICK_TINT = (1.25, 0.92, 0.78)  # the photo is gray

SOFT = 1.5  # pixels of the photo over which an outline fades
Ellipse = tuple[float, float, float, float, float]  # center x, y, half axes, degrees


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """An object cut out of a photo.

    Attributes:
        photo: Crop of the photo around it.
        opacity: Its coverage of each pixel, the size of `photo`.
    """

    photo: Image.Image
    opacity: Image.Image

    @classmethod
    def of_ellipses(cls, photo_hw3: NDArray[np.uint8], ellipses: Sequence[Ellipse]) -> "Cutout":
        """Cut out the union of ellipses."""
        inside_hw = np.max([_inside(photo_hw3.shape[:2], ellipse) for ellipse in ellipses], axis=0)
        rows, columns = (np.flatnonzero(inside_hw.any(axis=axis)) for axis in (1, 0))
        part = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        opacity = Image.fromarray(np.rint(255 * inside_hw).astype(np.uint8))
        return cls(Image.fromarray(photo_hw3).crop(part), opacity.crop(part))

    def placed(
        self, xy: tuple[float, float], width: float, turn: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw it on an empty frame.

        Args:
            xy: Its center, pixels of the frame.
            width: Its width, pixels.
            turn: Degrees, clockwise.

        Returns:
            Colors `(h, w, 3)`, and opacity `(h, w)` 0-1.
        """
        scale = self.photo.width / width
        small = (round(width), round(self.photo.height / scale))  # shrink first, without aliasing
        layers = [
            layer.resize(small, Image.Resampling.LANCZOS) for layer in (self.photo, self.opacity)
        ]
        cosine, sine = math.cos(math.radians(turn)), math.sin(math.radians(turn))
        x0 = small[0] / 2 - cosine * xy[0] - sine * xy[1]
        y0 = small[1] / 2 + sine * xy[0] - cosine * xy[1]
        affine = (cosine, sine, x0, -sine, cosine, y0)
        drawn = [
            np.asarray(
                layer.transform(
                    (WIDTH, HEIGHT), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR
                ),
                np.float32,
            )
            for layer in layers
        ]
        return drawn[0], drawn[1] / np.float32(255)


def demo_clip() -> tuple[NDArray[np.uint8], dict[int, NDArray[np.bool_]]]:
    """Generate the clip, deterministically.

    Returns:
        Frames `(t, h, w, 3)` uint8, and by object id the visible pixels `(t, h, w)`.
    """
    background_hw3, pillar_hw = _scene()
    cup = Cutout.of_ellipses(data.coffee(), [(279, 229, 203, 156, 4), (290, 111, 120, 97, 0)])
    cat = Cutout.of_ellipses(data.chelsea(), [(225, 150, 138, 138, 0)])
    frames = np.empty((NUM_FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    masks = {number: np.zeros((NUM_FRAMES, HEIGHT, WIDTH), bool) for number in (CUP, CAT)}
    for frame in range(NUM_FRAMES):
        canvas_hw3 = background_hw3.copy()
        for number, cutout, path in ((CAT, cat, _cat_path), (CUP, cup, _cup_path)):
            colors_hw3, opacity_hw = cutout.placed(*path(frame / (NUM_FRAMES - 1)))
            canvas_hw3 += opacity_hw[..., None] * (colors_hw3 - canvas_hw3)
            for earlier in masks.values():
                earlier[frame] &= opacity_hw <= 0.5
            masks[number][frame] = opacity_hw > 0.5
        canvas_hw3[pillar_hw] = background_hw3[pillar_hw]
        for mask_thw in masks.values():
            mask_thw[frame] &= ~pillar_hw
        frames[frame] = np.rint(canvas_hw3.clip(0, 255)).astype(np.uint8)
    return frames, masks


def first_clicks(masks: dict[int, NDArray[np.bool_]]) -> dict[int, tuple[int, int]]:
    """Choose a pixel `(x, y)` well inside each object on the first frame."""
    clicks = {}
    for number, mask_thw in masks.items():
        rows, columns = np.nonzero(mask_thw[0])
        clicks[number] = (round(float(columns.mean())), round(float(rows.mean())))
    return clicks


def main(argv: Sequence[str] | None = None) -> None:
    """Write the clip as a video file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("path", metavar="OUT.mp4", type=Path)
    path = parser.parse_args(argv).path
    frames, _ = demo_clip()
    with video_writer(path, fps=FPS) as writer:
        for picture_hw3 in frames:
            writer.write(picture_hw3)


def _scene() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Make the background with the pillar, and the pillar's mask."""
    rocket = Image.fromarray(data.rocket()).crop((40, 0, 609, 427))
    background_hw3 = np.array(rocket.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), np.float32)
    first, last = PILLAR
    wall = Image.fromarray(data.brick()).resize((HEIGHT, HEIGHT), Image.Resampling.LANCZOS)
    bricks_hw = np.asarray(wall, np.float32)[:, : last - first + 1]
    across = np.linspace(-1, 1, last - first + 1, dtype=np.float32)
    shade_w = 0.55 + 0.45 * np.sqrt(1 - 0.9 * across**2)  # round, lit from the front
    bricks_hw3 = (bricks_hw * shade_w)[..., None] * np.array(BRICK_TINT, np.float32)
    background_hw3[:, first : last + 1] = bricks_hw3.clip(0, 255)
    pillar_hw = np.zeros((HEIGHT, WIDTH), bool)
    pillar_hw[:, first : last + 1] = True
    return background_hw3, pillar_hw


def _cup_path(time: float) -> tuple[tuple[float, float], float, float]:
    """Return center, width and rotation of the cup, at time 0 to 1."""
    ease = (1 - math.cos(math.pi * time)) / 2
    xy = (95 + 285 * ease, 235 - 45 * math.sin(math.pi * time))
    return xy, 150 + 40 * math.sin(math.pi * time), 12 * math.sin(2 * math.pi * time)


def _cat_path(time: float) -> tuple[tuple[float, float], float, float]:
    """Return center, width and rotation of the cat."""
    ease = (1 - math.cos(math.pi * time)) / 2
    xy = (390 - 300 * ease, 120 + 70 * math.sin(math.pi * time))
    return xy, 120 - 15 * math.cos(2 * math.pi * time), -10 * math.sin(2 * math.pi * time)


def _inside(size: tuple[int, ...], ellipse: Ellipse) -> NDArray[np.float32]:
    """Return the coverage of each pixel by an ellipse, `(h, w)` 0-1."""
    x, y, half_width, half_height, degrees = ellipse
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    along = cosine * (columns - x) + sine * (rows - y)
    across = -sine * (columns - x) + cosine * (rows - y)
    radius = np.hypot(along / half_width, across / half_height)
    distance = (1 - radius) * min(half_width, half_height)
    return np.clip(0.5 + distance / SOFT, 0, 1).astype(np.float32)


if __name__ == "__main__":
    main()
