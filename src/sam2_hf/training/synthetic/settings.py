"""Settings of synthetic clips, from a config file or from code."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from sam2_hf.errors import DataError

from .shapes import SHAPES
from .textures import TEXTURES

SMALLEST_PICTURE = 16  # side, pixels

RANGES = {  # name -> smallest and largest valid value
    "num_objects": (1, 32),
    "num_occluders": (0, 32),
    "num_parts": (1, 8),
    "object_size": (0.02, 2.0),
    "speed": (0.0, 1.0),
    "deformation": (0.0, 1.0),
    "camera_speed": (0.0, 1.0),
    "shutter": (0.0, 1.0),
    "noise": (0.0, 0.5),
}


@dataclass(frozen=True, slots=True)
class SyntheticSettings:
    """Look of synthetic clips. Ranges are sampled uniformly unless stated otherwise.

    Args:
        num_frames: Frames of a clip; 1 makes photos.
        size: Side of the square picture, pixels.
        num_objects: Number of labeled moving objects, minimum and maximum.
        num_occluders: Number of unlabeled moving occluders.
        num_parts: Number of parts of an object, which swing on joints.
        object_size: Diameter of an object, fraction of the picture's side; small ones are more
            frequent.
        speed: Of objects in the world, sides of the picture per frame; slow ones are more frequent.
        spin: Maximum rotation, degrees per frame.
        growth: Maximum change of size per frame, e.g. 0.02 is 2 %.
        deformation: Amplitude of the waves that bend an object, fraction of its radius.
        camera_speed: As `speed`, of the camera.
        camera_zoom: Maximum zoom per frame, e.g. 0.01 is 1 %.
        camera_turn: Maximum rotation of the camera, degrees per frame.
        leaving: Fraction of objects that leave the picture and return.
        shutter: Exposure, fraction of the time between frames.
        similar: Fraction of objects with the colors of the background.
        twins: Fraction of objects that look like the previous one.
        patterns: Fraction of parts with a second texture.
        cutouts: Fraction of objects cut out of annotated photos, if there are any.
        scenes: Fraction of clips over an annotated photo whose own objects are labeled as well.
        shadows: Fraction of objects with a shadow.
        defocus: Fraction of backgrounds and of objects that are out of focus.
        noise: Camera noise, fraction of the full range of brightness.
        min_area: Minimum visible area of a labeled object on the first frame, fraction of the
            picture.
        shapes: Kinds of outlines, see `synthetic_shapes.SHAPES`.
        textures: Kinds of surfaces, see `synthetic_textures.TEXTURES`; "photo" is more frequent
            than all others together.
    """

    num_frames: int = 8
    size: int = 256
    num_objects: tuple[int, int] = (1, 4)
    num_occluders: tuple[int, int] = (0, 2)
    num_parts: tuple[int, int] = (1, 3)
    object_size: tuple[float, float] = (0.12, 0.7)
    speed: tuple[float, float] = (0.0, 0.06)
    spin: float = 8.0
    growth: float = 0.03
    deformation: tuple[float, float] = (0.0, 0.25)
    camera_speed: tuple[float, float] = (0.0, 0.03)
    camera_zoom: float = 0.015
    camera_turn: float = 1.0
    leaving: float = 0.15
    shutter: tuple[float, float] = (0.0, 0.6)
    similar: float = 0.3
    twins: float = 0.2
    patterns: float = 0.3
    cutouts: float = 0.5
    scenes: float = 0.3
    shadows: float = 0.3
    defocus: float = 0.2
    noise: tuple[float, float] = (0.0, 0.03)
    min_area: float = 0.004
    shapes: tuple[str, ...] = SHAPES
    textures: tuple[str, ...] = TEXTURES

    def __post_init__(self) -> None:
        if self.num_frames < 1 or self.size < SMALLEST_PICTURE:
            raise DataError(
                f"a synthetic clip of {self.num_frames} frames of {self.size} pixels cannot be "
                f"made. Give num_frames of 1 or more and size of {SMALLEST_PICTURE} or more."
            )
        for name, limits in RANGES.items():
            _check_range(name, getattr(self, name), limits)
        shares = (
            "leaving",
            "similar",
            "twins",
            "patterns",
            "cutouts",
            "scenes",
            "shadows",
            "defocus",
        )
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is {getattr(self, name)}. It is a share: give 0 to 1.")
        _check_names("shapes", self.shapes, SHAPES)
        _check_names("textures", self.textures, TEXTURES)

    @classmethod
    def from_options(cls, options: Mapping[str, object], **others: object) -> Self:
        """Read settings from a config file, where a range is a list.

        Args:
            options: Fields by name; others keep their default.
            **others: More fields; `options` takes precedence.

        Raises:
            DataError: There is no such field, or a value is out of range.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise DataError(
                f"synthetic clips have no option {', '.join(unknown)}. Choose from: "
                f"{', '.join(known)}."
            )
        given = {**others, **options}
        read = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        try:
            return cls(**read)  # type: ignore[arg-type]  # checked afterward
        except TypeError as error:
            raise DataError(f"an option of synthetic clips has a wrong type: {error}.") from error


def _check_range(name: str, value: object, limits: tuple[float, float]) -> None:
    least, most = limits
    numbers = value if isinstance(value, tuple) and len(value) == len(limits) else ()
    good = bool(numbers) and all(isinstance(number, int | float) for number in numbers)
    if not good or not least <= numbers[0] <= numbers[1] <= most:
        raise DataError(
            f"{name} is {value!r}. Give two numbers, the least first, between {least} and {most}."
        )


def _check_names(name: str, value: tuple[str, ...], known: tuple[str, ...]) -> None:
    if not value or not set(value) <= set(known):
        raise DataError(f"{name} is {value!r}. Give some of {', '.join(known)}.")
