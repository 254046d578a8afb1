"""Objects of synthetic clips: appearance, parts and motion.

Suffixes: h, w = rows and columns, 3 = red, green, blue, 4 = those times coverage, and coverage,
o = objects of a photo, 2 = x and y.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .drawing import Waves
from .motion import PERIOD, STILL, Affine, Motion, Swing, draw_absence, draw_velocity
from .settings import SyntheticSettings
from .shapes import draw_bar, draw_shape, soften
from .textures import (
    BYTE,
    PATTERNS,
    defocused,
    draw_pattern,
    match_colors,
    photo_piece,
    shift_colors,
)

SMALLEST, LARGEST = 12, 320  # side of a part's texture, pixels
REAL = 0.65  # fraction of surfaces from photos, if patterns are enabled as well
ROUND = 0.4  # fraction of objects with shaded edges

SOFTEST = 0.8  # radius of an edge in focus, pixels
FARTHEST_FALL = 0.3  # of a shadow along each axis, fraction of the object's radius
LEAST_CUTOUT = 20  # side of an annotated object to cut out, pixels
LEAST_FILL = 0.3  # of its box; sparser masks are leftovers between other objects

Annotated = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class ThingPart:
    """A textured shape attached to an object.

    Attributes:
        pixels_4hw: Its square.
        waves: Its deformation.
        joint_2: Point of attachment in the square of the object.
        pivot_2: Point of its own square that is attached there.
        scale: Its size, fraction of the object's.
        swing: Its angle about the joint, radians.
    """

    pixels_4hw: Tensor
    waves: Waves
    joint_2: np.ndarray
    pivot_2: np.ndarray
    scale: float
    swing: Swing

    def at(self, time: float) -> Affine:
        """Map its own square to the object's."""
        hung = Affine.turn(self.swing.at(time), self.scale, self.joint_2)
        return hung @ Affine(np.eye(2), -self.pivot_2)


@dataclass(frozen=True, slots=True, eq=False)
class Thing:
    """A moving object.

    Attributes:
        parts: In drawing order.
        motion: Its motion.
        shadows: Shadows of the parts, drawn before it; may be empty.
        fall_2: Offset of the shadow, world units.
        labeled: Whether it has a mask, or is only an occluder.
    """

    parts: tuple[ThingPart, ...]
    motion: Motion
    shadows: tuple[ThingPart, ...]
    fall_2: np.ndarray
    labeled: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Materials:
    """Sources of surfaces in a clip.

    Attributes:
        ground_hw3: The background, colors 0-1.
        photos: A few photos, RGB bytes; may be empty.
        cutouts: Annotated photos: RGB bytes and masks `(h, w)` or `(o, h, w)`; may be empty.
    """

    ground_hw3: np.ndarray
    photos: Sequence[np.ndarray]
    cutouts: Sequence[Annotated]


def draw_things(
    rng: np.random.Generator, materials: Materials, settings: SyntheticSettings
) -> list[Thing]:
    """Draw all objects of a clip, back to front."""
    things: list[Thing] = []
    for _ in range(rng.integers(*settings.num_objects, endpoint=True)):
        low, high = np.log(settings.object_size)
        radius = float(np.exp(rng.uniform(low, high))) / 2
        if things and rng.random() < settings.twins:
            radius = things[-1].motion.radius * rng.uniform(0.7, 1.3)
            parts = things[-1].parts
        else:
            parts = _parts(rng, materials, settings, radius)
        fall_2 = rng.uniform(-FARTHEST_FALL, FARTHEST_FALL, 2) * radius
        shadows = _shadows(parts) if rng.random() < settings.shadows else ()
        things.append(Thing(parts, _motion(rng, settings, radius), shadows, fall_2))
    for _ in range(rng.integers(*settings.num_occluders, endpoint=True)):
        place = int(rng.integers(1, len(things) + 1))
        things.insert(place, _occluder(rng, materials, settings))
    return things


def _parts(
    rng: np.random.Generator, materials: Materials, settings: SyntheticSettings, radius: float
) -> tuple[ThingPart, ...]:
    """Draw a body, and limbs in front of or behind it."""
    side = _fineness(radius, settings)
    if len(materials.cutouts) and rng.random() < settings.cutouts:
        cut_hw4 = _cut_out(rng, materials.cutouts, side)
        if cut_hw4 is not None:
            return (_body(_finished(rng, settings, cut_hw4), rng, settings),)
    parts = [_body(_painted(rng, materials, settings, side), rng, settings)]
    for _ in range(rng.integers(*settings.num_parts, endpoint=True) - 1):
        scale = rng.uniform(0.35, 0.8)
        square = _painted(rng, materials, settings, max(SMALLEST, int(side * scale)))
        limb = replace(
            _body(square, rng, settings),
            joint_2=rng.uniform(-0.6, 0.6, 2),
            pivot_2=rng.uniform(-0.7, 0.7, 2),
            scale=scale,
            swing=Swing.draw(rng, 0.8, rest=rng.uniform(0, 2 * np.pi)),
        )
        parts.insert(int(rng.integers(2)) * len(parts), limb)
    return tuple(parts)


def _fineness(radius: float, settings: SyntheticSettings) -> int:
    """Return the pixels of a square for a radius, with a reserve for growth."""
    return int(np.clip(2.2 * radius * settings.size, SMALLEST, LARGEST))


def _body(square_4hw: Tensor, rng: np.random.Generator, settings: SyntheticSettings) -> ThingPart:
    waves = Waves.draw(rng, settings.deformation)
    return ThingPart(square_4hw, waves, np.zeros(2), np.zeros(2), 1.0, Swing())


def _shadows(parts: tuple[ThingPart, ...]) -> tuple[ThingPart, ...]:
    """Make the shadows of parts: black, soft, half transparent."""
    shadows = []
    for part in parts:
        coverage_hw = part.pixels_4hw[3].numpy()
        dark_4hw = torch.zeros_like(part.pixels_4hw)
        dark_4hw[3] = 0.45 * torch.from_numpy(soften(coverage_hw, 0.05 * len(coverage_hw)))
        shadows.append(replace(part, pixels_4hw=dark_4hw))
    return tuple(shadows)


def _painted(
    rng: np.random.Generator, materials: Materials, settings: SyntheticSettings, side: int
) -> Tensor:
    """Draw a shape with a surface, sometimes with a patch of a second surface."""
    coverage_hw = draw_shape(rng, settings.shapes, side)
    colors_hw3 = surface(rng, materials, settings, side)
    if rng.random() < settings.patterns:
        spot_hw1 = draw_shape(rng, settings.shapes, side)[..., None]
        other_hw3 = surface(rng, materials, settings, side)
        colors_hw3 = colors_hw3 * (1 - spot_hw1) + other_hw3 * spot_hw1
    square_hw4 = np.concatenate([_shaded(rng, colors_hw3, coverage_hw), coverage_hw[..., None]], 2)
    return _finished(rng, settings, square_hw4)


def surface(
    rng: np.random.Generator, materials: Materials, settings: SyntheticSettings, side: int
) -> np.ndarray:
    """Draw a surface `(side, side, 3)`, sometimes in the colors of the background."""
    patterns = [kind for kind in settings.textures if kind in PATTERNS]
    from_photo = "photo" in settings.textures and len(materials.photos) > 0
    if from_photo and (not patterns or rng.random() < REAL):
        photo = materials.photos[int(rng.integers(len(materials.photos)))]
        colors_hw3 = shift_colors(rng, photo_piece(photo, rng, side))
    else:
        colors_hw3 = draw_pattern(rng, str(rng.choice(patterns or list(PATTERNS))), side)
    if rng.random() < settings.similar:
        colors_hw3 = match_colors(colors_hw3, materials.ground_hw3)
    return colors_hw3


def _shaded(
    rng: np.random.Generator, colors_hw3: np.ndarray, coverage_hw: np.ndarray
) -> np.ndarray:
    """Shade a surface: directional light, and dark edges."""
    steps = np.linspace(-1, 1, len(coverage_hw), dtype=np.float32)
    angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.4)
    light_hw = 1 + strength * (np.cos(angle) * steps + np.sin(angle) * steps[:, None])
    if rng.random() < ROUND:
        inner_hw = soften(coverage_hw, radius=0.08 * len(coverage_hw))
        light_hw = light_hw * (0.5 + 0.5 * inner_hw)
    return np.clip(colors_hw3 * light_hw[..., None], 0, 1)


def _cut_out(
    rng: np.random.Generator, cutouts: Sequence[Annotated], side: int
) -> np.ndarray | None:
    """Cut an annotated object out of its photo, `(side, side, 4)`; None if it is too small."""
    photo_hw3, masks = cutouts[int(rng.integers(len(cutouts)))]
    masks_ohw = masks[None] if masks.ndim == photo_hw3.ndim - 1 else masks
    if not len(masks_ohw):
        return None
    mask_hw = masks_ohw[rng.integers(len(masks_ohw))]
    rows, columns = np.flatnonzero(mask_hw.any(axis=1)), np.flatnonzero(mask_hw.any(axis=0))
    least = min(len(rows), len(columns))
    if least < LEAST_CUTOUT or mask_hw.sum() < LEAST_FILL * len(rows) * len(columns):
        return None
    middle_2 = np.array([columns[0] + columns[-1] + 1, rows[0] + rows[-1] + 1]) / 2
    half = 0.53 * max(np.ptp(columns), np.ptp(rows))
    left, top = np.floor(middle_2 - half).astype(int).tolist()
    right, bottom = np.ceil(middle_2 + half).astype(int).tolist()
    layers = (Image.fromarray(photo_hw3), Image.fromarray(mask_hw.astype(np.uint8) * BYTE))
    parts = [
        np.asarray(
            layer.crop((left, top, right, bottom)).resize((side, side), Image.Resampling.BILINEAR)
        )
        for layer in layers
    ]
    return np.dstack(parts).astype(np.float32) / BYTE


def _finished(
    rng: np.random.Generator, settings: SyntheticSettings, square_hw4: np.ndarray
) -> Tensor:
    """Soften edges, defocus some surfaces, premultiply colors by coverage."""
    colors_hw3, coverage_hw = square_hw4[..., :3], square_hw4[..., 3]
    radius = rng.uniform(0, SOFTEST)
    if rng.random() < settings.defocus:
        radius = rng.uniform(SOFTEST, 2.0)
        colors_hw3 = defocused(colors_hw3, radius)
    coverage_hw = soften(coverage_hw, radius)
    whole_hw4 = np.dstack([colors_hw3 * coverage_hw[..., None], coverage_hw])
    return torch.from_numpy(np.ascontiguousarray(whole_hw4.transpose(2, 0, 1), dtype=np.float32))


def _motion(rng: np.random.Generator, settings: SyntheticSettings, radius: float) -> Motion:
    """Draw the motion of an object that is visible on the first frame."""
    still = rng.random() < STILL
    sway = 0.0 if still else settings.speed[1]
    spin = float(np.radians(settings.spin)) * rng.normal(0, 0.4) * (not still)
    excursion_2, absence = np.zeros(2), (0.0, 1.0)
    if rng.random() < settings.leaving:
        excursion_2, absence = draw_absence(rng, settings.num_frames, radius)
    return Motion(
        start_2=rng.uniform(0.1, 0.9, 2),
        speed_2=draw_velocity(rng, settings.speed) * (not still),
        sway=(Swing.draw(rng, sway), Swing.draw(rng, sway)),
        angle=rng.uniform(0, 2 * np.pi),
        spin=float(np.clip(spin, *np.radians([-settings.spin, settings.spin]))),
        rock=Swing.draw(rng, float(np.radians(settings.spin))),
        radius=radius,
        growth=rng.uniform(-settings.growth, settings.growth),
        squeeze=Swing.draw(rng, PERIOD * settings.growth),
        excursion_2=excursion_2,
        absence=absence,
    )


def _occluder(rng: np.random.Generator, materials: Materials, settings: SyntheticSettings) -> Thing:
    """Draw an occluder: a long thin bar, or any shape."""
    is_bar = rng.random() < 0.6
    radius = rng.uniform(0.3, 0.8) if is_bar else rng.uniform(*settings.object_size) / 2
    side = _fineness(radius, settings)
    coverage_hw = draw_bar(rng, side) if is_bar else draw_shape(rng, settings.shapes, side)
    colors_hw3 = _shaded(rng, surface(rng, materials, settings, side), coverage_hw)
    square_4hw = _finished(rng, settings, np.dstack([colors_hw3, coverage_hw]))
    body = _body(square_4hw, rng, settings)
    return Thing((body,), _motion(rng, settings, radius), (), np.zeros(2), labeled=False)
