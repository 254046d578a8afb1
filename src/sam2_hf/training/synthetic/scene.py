"""Scene of a synthetic clip, and rendering of its frames and masks.

Suffixes: o = objects, c = channels, h, w = rows and columns of the picture, 3 = red, green, blue,
2 = x and y.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .drawing import Place, draw_ground, draw_layer, exposure
from .motion import Affine, Swing, VirtualCamera
from .objects import Thing, ThingPart

HALF = 0.5  # coverage from which a pixel belongs to an object


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """The background.

    Attributes:
        pixels_chw: Colors, and the coverage of each annotated object of the photo.
        place: From its square (-1 to 1) to the world.
    """

    pixels_chw: Tensor
    place: Affine


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Scene of a clip.

    Attributes:
        ground: The background.
        things: Objects, back to front.
        camera: Its motion.
        shutter: Exposure, fraction of the time between frames.
        grain_3hw: Camera noise for a quarter of the picture, tiled four times.
        flicker: Brightness over time.
    """

    ground: Ground
    things: tuple[Thing, ...]
    camera: VirtualCamera
    shutter: float
    grain_3hw: Tensor
    flicker: Swing


def take_picture(scene: Scene, time: float, size: int) -> tuple[Tensor, np.ndarray]:
    """Render one frame.

    Args:
        scene: The scene.
        time: In frames.
        size: Side of the picture, pixels.

    Returns:
        Colors `(3, size, size)`, 0-1, without noise and flicker; masks `(o, size, size)`, bool, of
        the visible parts of labeled objects, back to front.
    """

    def view(at: float) -> Affine:
        return Affine(size * np.eye(2), np.zeros(2)) @ scene.camera.at(at)

    def ground_place(at: float) -> Affine:
        return view(at) @ scene.ground.place

    times = exposure(ground_place, time, scene.shutter)
    ground_chw = draw_ground(scene.ground.pixels_chw, ground_place, times, size)
    canvas_3hw = ground_chw[:3].clone()
    layers = [(coverage_hw, True) for coverage_hw in ground_chw[3:]]
    for thing in scene.things:
        coverage_hw = torch.zeros(size, size)
        _cast_shadow(thing, view, time, canvas_3hw)
        for part in thing.parts:
            place = _place_of(part, thing, view)
            moments = exposure(place, time, scene.shutter)
            patch = draw_layer(part.pixels_4hw, place, moments, size, part.waves)
            if patch is not None:
                patch.cover(canvas_3hw, coverage_hw)
        layers.append((coverage_hw, thing.labeled))
    return canvas_3hw, _visible(layers)


def _place_of(
    part: ThingPart, thing: Thing, view: Place, fall_2: np.ndarray | None = None
) -> Place:
    """Compose the maps from the square of a part, or of its shadow, to the picture."""
    fall = Affine(np.eye(2), np.zeros(2) if fall_2 is None else fall_2)
    return lambda time: view(time) @ fall @ thing.motion.at(time) @ part.at(time)


def _cast_shadow(thing: Thing, view: Place, time: float, canvas_3hw: Tensor) -> None:
    for part in thing.shadows:
        place = _place_of(part, thing, view, thing.fall_2)
        patch = draw_layer(part.pixels_4hw, place, [time], len(canvas_3hw[0]), part.waves)
        if patch is not None:
            patch.cover(canvas_3hw)


def _visible(layers: list[tuple[Tensor, bool]]) -> np.ndarray:
    """Remove the parts hidden by nearer objects; drop unlabeled objects."""
    size = layers[0][0].shape
    hidden_hw = np.zeros(size, dtype=bool)
    masks: list[np.ndarray] = []
    for coverage_hw, labeled in reversed(layers):
        solid_hw = coverage_hw.numpy() >= HALF
        if labeled:
            masks.append(solid_hw & ~hidden_hw)
        hidden_hw |= solid_hw
    return np.stack(masks[::-1])
