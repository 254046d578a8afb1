"""Procedural clips with exact masks: textured objects that move, deform and occlude each other.

Clips are made from a random generator, settings and photos; without photos, surfaces are procedural
as well. As a source of training data:

    SourceConfig(kind="synthetic", path="photos/", num_frames=8, options={"similar": 0.5})

whose reader calls `SyntheticSettings.from_options(options, num_frames=..., size=...)` once and
`synthetic_clip(photos, numpy.random.default_rng((seed, index)), settings, cutouts)` for each clip.

Suffixes: t = frames, o = objects, c = channels, h, w = rows and columns of the picture, 3 = red,
green, blue, 4 = those times coverage, and coverage, 2 = x and y.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from PIL import Image, ImageFilter

from sam2_hf.data.clip import Clip
from sam2_hf.errors import DataError

from .motion import Affine, Swing, VirtualCamera
from .objects import Annotated, Materials, draw_things, surface
from .scene import HALF, Ground, Scene, take_picture
from .settings import SyntheticSettings
from .shapes import draw_shape
from .textures import BYTE

PHOTOS = 3  # per clip, background included
ATTEMPTS = 20  # to draw a clip with a visible object

RGB = 3


__all__ = ["Annotated", "SyntheticSettings", "synthetic_clip"]


def synthetic_clip(
    photos: Sequence[np.ndarray],
    rng: np.random.Generator,
    settings: SyntheticSettings,
    cutouts: Sequence[Annotated] = (),
) -> Clip:
    """Make a clip of moving, deforming objects with exact masks of their visible parts.

    A mask holds the pixels that an object covers by half or more and that nothing in front covers
    by half or more, so masks never overlap. A hidden or outside object has an empty mask.

    Args:
        photos: RGB bytes `(h, w, 3)`: a list, or anything with a length that reads by index. They
            become backgrounds and surfaces. If empty, both are procedural.
        rng: Random generator; the same state gives the same clip.
        settings: Look of clips.
        cutouts: Annotated photos, read by index as well: `(photo, masks)` with masks `(h, w)` or
            `(objects, h, w)`, bool. Their objects are cut out and animated, or stay in place and
            are labeled while the camera moves.

    Returns:
        The clip; its objects are those sufficiently visible on the first frame, back to front.

    Raises:
        DataError: A photo is not RGB bytes, or no object is visible with these settings.
    """
    for _ in range(ATTEMPTS):
        scene = _draw_scene(photos, rng, settings, cutouts)
        film = _film(scene, rng, settings)
        first_hw3, first_ohw = next(film)
        seen_o = first_ohw.mean(axis=(1, 2)) >= settings.min_area
        if seen_o.any():
            frames, masks = zip((first_hw3, first_ohw), *film, strict=True)
            return Clip(np.stack(frames), np.stack(masks, axis=1)[seen_o], "synthetic")
    raise DataError(
        f"{ATTEMPTS} synthetic clips in a row had no object of {settings.min_area} of the picture "
        "on their first frame. Lower min_area, or raise object_size or num_objects."
    )


def _draw_scene(
    photos: Sequence[np.ndarray],
    rng: np.random.Generator,
    settings: SyntheticSettings,
    cutouts: Sequence[Annotated],
) -> Scene:
    """Draw the scene of a clip."""
    picks = rng.integers(len(photos), size=PHOTOS) if len(photos) else ()
    pool = [_checked(photos[int(index)]) for index in picks]
    ground = _draw_ground(pool, rng, settings, cutouts)
    seen_hw3 = ground.pixels_chw[:3, ::4, ::4].permute(1, 2, 0).numpy()
    things = draw_things(rng, Materials(seen_hw3, pool, cutouts), settings)
    half = (settings.size + 1) // 2
    tile_3hw = rng.standard_normal((3, half, half), dtype=np.float32)
    return Scene(
        ground,
        tuple(things),
        VirtualCamera.draw(rng, settings),
        shutter=rng.uniform(*settings.shutter),
        grain_3hw=torch.from_numpy(tile_3hw * np.float32(rng.uniform(*settings.noise))),
        flicker=Swing.draw(rng, 0.06, rest=1.0),
    )


def _draw_ground(
    pool: Sequence[np.ndarray],
    rng: np.random.Generator,
    settings: SyntheticSettings,
    cutouts: Sequence[Annotated],
) -> Ground:
    """Choose a background: an annotated photo, another photo, or a procedural one."""
    if len(cutouts) and rng.random() < settings.scenes:
        photo_hw3, masks = cutouts[int(rng.integers(len(cutouts)))]
        masks_ohw = masks[None] if masks.ndim == photo_hw3.ndim - 1 else masks
        chosen_ohw = rng.permutation(masks_ohw)[: settings.num_objects[1]]
        return _ground(_checked(photo_hw3), list(chosen_ohw), rng, settings)
    return _ground(pool[0] if pool else _procedural(rng, settings), (), rng, settings)


def _checked(photo: np.ndarray) -> np.ndarray:
    if photo.dtype != np.uint8 or photo.shape[2:] != (RGB,):
        raise DataError(
            f"a photo for synthetic clips has shape {photo.shape} and holds {photo.dtype}. Give "
            "RGB bytes (height, width, 3)."
        )
    return photo


def _procedural(rng: np.random.Generator, settings: SyntheticSettings) -> np.ndarray:
    """Make a procedural background: a surface with up to 8 shapes of other surfaces."""
    side = int(1.4 * settings.size)
    bare = Materials(np.zeros((1, 1, 3), dtype=np.float32), (), ())
    plain = SyntheticSettings(similar=0.0, textures=settings.textures)
    colors_hw3 = surface(rng, bare, plain, side)
    for _ in range(rng.integers(9)):
        size = int(side * rng.uniform(0.08, 0.5))
        top, left = rng.integers(side - size, size=2)
        covered_hw1 = draw_shape(rng, settings.shapes, size)[..., None]
        place = colors_hw3[top : top + size, left : left + size]
        place += covered_hw1 * (surface(rng, bare, plain, size) - place)
    return (np.clip(colors_hw3, 0, 1) * BYTE + HALF).astype(np.uint8)


def _ground(
    photo_hw3: np.ndarray,
    masks_ohw: Sequence[np.ndarray],
    rng: np.random.Generator,
    settings: SyntheticSettings,
) -> Ground:
    """Crop a random square of a photo for the picture, with a margin for camera motion."""
    extent_2 = np.array(photo_hw3.shape[1::-1])
    view = min(extent_2) / rng.uniform(1.0, 1.7)
    middle_2 = rng.uniform(view / 2, extent_2 - view / 2)
    reach = view * (HALF + (0.25 if settings.num_frames > 1 else 0))
    low_2, high_2 = np.maximum(middle_2 - reach, 0), np.minimum(middle_2 + reach, extent_2)
    width, height = np.ceil((high_2 - low_2) * settings.size / view).astype(int).tolist()
    layers = [photo_hw3, *(mask_hw.astype(np.uint8) * BYTE for mask_hw in masks_ohw)]
    resized = [
        Image.fromarray(layer).resize(
            (width, height), Image.Resampling.BILINEAR, (*low_2.tolist(), *high_2.tolist())
        )
        for layer in layers
    ]
    if rng.random() < settings.defocus:
        resized[0] = resized[0].filter(ImageFilter.BoxBlur(rng.uniform(0.5, 3.0)))
    pixels_hwc = np.dstack([np.asarray(layer) for layer in resized])
    pixels_chw = torch.from_numpy(pixels_hwc).permute(2, 0, 1).contiguous().float().div_(BYTE)
    world_2 = 0.5 + ((low_2 + high_2) / 2 - middle_2) / view
    return Ground(pixels_chw, Affine(np.diag((high_2 - low_2) / (2 * view)), world_2))


def _film(
    scene: Scene, rng: np.random.Generator, settings: SyntheticSettings
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Render the frames `(h, w, 3)`, each with the masks `(o, h, w)` of labeled objects."""
    for time in range(settings.num_frames):
        canvas_3hw, masks_ohw = take_picture(scene, time, settings.size)
        shift = rng.integers(len(scene.grain_3hw[0]), size=2).tolist()
        grain_3hw = scene.grain_3hw.roll(shift, dims=(1, 2)).repeat(1, 2, 2)
        grain_3hw = grain_3hw[:, : settings.size, : settings.size]
        seen_3hw = (canvas_3hw * scene.flicker.at(time)).add_(grain_3hw).clamp_(0, 1)
        yield (seen_3hw * BYTE + HALF).to(torch.uint8).permute(1, 2, 0).numpy(), masks_ohw
