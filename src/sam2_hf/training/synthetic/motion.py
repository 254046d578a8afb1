"""Motion of synthetic objects and the camera, as closed formulas of time, sampled by motion blur.

The first picture is the square from 0 to 1 of the world. Time is counted in frames.
Suffixes: 2 = x and y, 22 = a matrix of both.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from .settings import SyntheticSettings

SHORTEST_ABSENCE = 4  # frames from the first step out to the last step back
STILL = 0.25  # fraction of objects, and of cameras, that do not move
PERIOD = 6  # frames per radian of a typical swing: its amplitude over its maximum speed


@dataclass(frozen=True, slots=True, eq=False)
class Affine:
    """A linear map and a shift of the plane."""

    matrix_22: np.ndarray
    shift_2: np.ndarray

    @classmethod
    def turn(cls, angle: float, scale: np.ndarray | float, shift_2: np.ndarray) -> Self:
        """Scale (uniformly or per axis), then rotate by `angle` radians, then shift."""
        cos, sin = np.cos(angle), np.sin(angle)
        return cls(np.array([[cos, -sin], [sin, cos]]) * scale, shift_2)

    def __matmul__(self, first: "Affine") -> "Affine":
        shift_2 = self.matrix_22 @ first.shift_2 + self.shift_2
        return Affine(self.matrix_22 @ first.matrix_22, shift_2)

    def inverse(self) -> "Affine":
        """Return the inverse map."""
        matrix_22 = np.linalg.inv(self.matrix_22)
        return Affine(matrix_22, -matrix_22 @ self.shift_2)

    def corners(self, reach: float) -> np.ndarray:
        """Map the corners of the square from -reach to reach, `(4, 2)`."""
        square_42 = np.array([(-reach, -reach), (reach, -reach), (reach, reach), (-reach, reach)])
        return square_42 @ self.matrix_22.T + self.shift_2


@dataclass(frozen=True, slots=True)
class Swing:
    """An oscillating value: `rest + reach * sin(rate * time + phase)`."""

    rest: float = 0.0
    reach: float = 0.0
    rate: float = 0.0
    phase: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator, reach: float, *, rest: float = 0.0) -> Self:
        """Draw an oscillation of at most `reach`, with a period of 5 to 40 frames."""
        rate = 2 * np.pi / rng.uniform(5, 40)
        return cls(rest, rng.uniform(0, reach), float(rate), rng.uniform(0, 2 * np.pi))

    def at(self, time: float) -> float:
        """Return the value at a time."""
        return float(self.rest + self.reach * np.sin(self.rate * time + self.phase))


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Motion of an object, from its own square (-1 to 1) to the world.

    Attributes:
        start_2: Its center at time 0.
        speed_2: World units per frame.
        sway: Oscillation along x and y.
        angle: Radians at time 0.
        spin: Radians per frame.
        rock: Oscillating rotation, radians.
        radius: At time 0, world units.
        growth: Logarithm of its growth per frame.
        squeeze: Logarithm of its stretch along its own x, as in rotation in depth.
        excursion_2: Displacement when it leaves; it returns at the end.
        absence: First frame of that and its length.
    """

    start_2: np.ndarray
    speed_2: np.ndarray
    sway: tuple[Swing, Swing]
    angle: float
    spin: float
    rock: Swing
    radius: float
    growth: float
    squeeze: Swing
    excursion_2: np.ndarray
    absence: tuple[float, float]

    def at(self, time: float) -> Affine:
        """Return the map at a time."""
        sway_2 = np.array([swing.at(time) - swing.at(0) for swing in self.sway])
        since, length = time - self.absence[0], self.absence[1]
        away = np.sin(np.pi * since / length) ** 2 if 0 < since < length else 0.0
        middle_2 = self.start_2 + self.speed_2 * time + sway_2 + self.excursion_2 * away
        angle = self.angle + self.spin * time + self.rock.at(time)
        radius = self.radius * np.exp(np.clip(self.growth * time, -1, 1))
        stretch = np.exp(self.squeeze.at(time))
        return Affine.turn(angle, np.array([stretch, 1 / stretch]) * radius, middle_2)


@dataclass(frozen=True, slots=True, eq=False)
class VirtualCamera:
    """Camera: map from the world to the square from 0 to 1 of the picture."""

    speed_2: np.ndarray
    shake: tuple[Swing, Swing]
    turn: float
    zoom: Swing

    @classmethod
    def draw(cls, rng: np.random.Generator, settings: SyntheticSettings) -> Self:
        """Draw camera motion; in some clips the camera is static."""
        moving = rng.random() >= STILL
        speed = settings.camera_speed[1] * moving
        return cls(
            draw_velocity(rng, settings.camera_speed) * moving,
            (Swing.draw(rng, speed), Swing.draw(rng, speed)),
            float(np.radians(settings.camera_turn)) * rng.uniform(-1, 1) * moving,
            Swing.draw(rng, PERIOD * settings.camera_zoom * moving),
        )

    def at(self, time: float) -> Affine:
        """Return the map at a time; at time 0 it only zooms."""
        shake_2 = np.array([swing.at(time) - swing.at(0) for swing in self.shake])
        middle_2 = 0.5 + self.speed_2 * time + shake_2
        zoom = np.exp(self.zoom.at(time) - self.zoom.at(0))
        turned = Affine.turn(self.turn * time, zoom, np.zeros(2))
        return Affine(turned.matrix_22, 0.5 - turned.matrix_22 @ middle_2)


def draw_velocity(rng: np.random.Generator, limits: tuple[float, float]) -> np.ndarray:
    """Draw a direction and a speed; slow ones are more frequent."""
    speed = limits[0] + (limits[1] - limits[0]) * rng.random() ** 2
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)]) * speed


def draw_absence(
    rng: np.random.Generator, num_frames: int, radius: float
) -> tuple[np.ndarray, tuple[float, float]]:
    """Draw how an object leaves the picture and returns; it is visible on the first frame.

    Returns:
        Its displacement, and first frame and length of its absence.
    """
    length = rng.uniform(SHORTEST_ABSENCE, max(SHORTEST_ABSENCE, 0.9 * num_frames))
    start = rng.uniform(0, max(0.0, num_frames - 1 - length))
    way_2 = draw_velocity(rng, (1.0, 1.0)) * (rng.uniform(0.6, 1.2) + radius)
    return way_2, (start, length)
