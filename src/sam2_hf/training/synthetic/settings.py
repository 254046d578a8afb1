"""What synthetic clips look like: plain numbers, from a config file or from code."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from sam2_hf.errors import DataError

from .shapes import SHAPES
from .textures import TEXTURES

SMALLEST_PICTURE = 16  # side, pixels
SHARES = ("leaving", "similar", "twins", "patterns", "cutouts", "scenes", "shadows", "defocus")
RANGES = {  # name -> the least and the greatest value that makes sense
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
    """How synthetic clips are made. Ranges are drawn from evenly unless said otherwise.

    Args:
        num_frames: Frames of a clip; 1 makes photos.
        size: Side of the square picture, pixels.
        num_objects: How many moving things are labeled, least and most.
        num_occluders: How many things move in front and are not labeled.
        num_parts: Of how many parts, that swing on joints, a thing consists.
        object_size: Diameter of a thing, share of the picture's side; small ones are more frequent.
        speed: Of things in the world, sides of the picture a frame; slow ones are more frequent.
        spin: Greatest turn, degrees a frame.
        growth: Greatest change of size a frame, e.g. 0.02 is 2 %.
        deformation: Strength of the waves that bend a thing, share of its radius.
        camera_speed: As `speed`, of the camera; all things move with what it sees.
        camera_zoom: Greatest zoom a frame, e.g. 0.01 is 1 %.
        camera_turn: Greatest turn of the camera, degrees a frame.
        leaving: Share of things that leave the picture and come back.
        shutter: How long a frame is exposed, share of the time between two frames.
        similar: Share of things whose colors are taken from the background.
        twins: Share of things that look just as the one before.
        patterns: Share of parts that carry a second texture.
        cutouts: Share of things cut out of annotated photos, if there are any.
        scenes: Share of clips over an annotated photo whose own objects are labeled as well.
        shadows: Share of things that throw a shadow.
        defocus: Share of backgrounds and of things that are out of focus.
        noise: Strength of the camera's noise, share of the full range of brightness.
        min_area: What must be seen of an object on the first frame for it to be labeled, share of
            the picture.
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
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise DataError(f"{name} is {getattr(self, name)}. It is a share: give 0 to 1.")
        _check_names("shapes", self.shapes, SHAPES)
        _check_names("textures", self.textures, TEXTURES)

    @classmethod
    def from_options(cls, options: Mapping[str, object], **others: object) -> Self:
        """Read settings from a config file, where a range is a list.

        Args:
            options: Fields by name; the rest keeps its default.
            **others: More fields; `options` wins.

        Raises:
            DataError: There is no such field, or a value is out of range.
        """
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(options) - set(known))
        if unknown:
            raise DataError(
                f"synthetic clips have no option {', '.join(unknown)}. There are: "
                f"{', '.join(known)}."
            )
        given = {**others, **options}
        read = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
        try:
            return cls(**read)  # type: ignore[arg-type]  # the checks refuse a wrong type
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
