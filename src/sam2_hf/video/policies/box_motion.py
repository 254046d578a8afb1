"""Motion of a box by a Kalman filter with constant velocity.

The state is center x and y, aspect ratio (width / height) and height, then the velocity of each, in
the units of the boxes per frame. Suffix: s = entries of the state (8).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .mask_candidates import Box

STATE, MEASURED = 8, 4  # numbers of a state and of a box
POSITION, VELOCITY = 1 / 20, 1 / 160  # standard deviations, as parts of the box's height
# standard deviations of the aspect ratio: of a state, its velocity, and a measured box
ASPECT, ASPECT_VELOCITY, ASPECT_MEASURED = 1e-2, 1e-5, 1e-1
NUM_NUMBERS = STATE + STATE * STATE

Vector = NDArray[np.float64]

STEP = np.eye(STATE) + np.eye(STATE, k=MEASURED)


@dataclass(frozen=True, slots=True, eq=False)
class BoxMotion:
    """Where a box is and how it moves, with the uncertainty of both.

    Source: the filter of DeepSORT (arXiv 1703.07402), which SAMURAI uses with the same constants.

    Attributes:
        mean_s: Most likely state.
        covariance_ss: Its covariance.
    """

    mean_s: Vector
    covariance_ss: Vector

    @classmethod
    def started(cls, box: Box) -> "BoxMotion":
        """Start at a box, at rest."""
        measured = _measured(box)
        deviation_s = np.concatenate(
            (_deviations(measured[3], 2 * POSITION, ASPECT), _velocities(measured[3], 10))
        )
        return cls(np.concatenate((measured, np.zeros(MEASURED))), np.diag(deviation_s**2))

    def predicted(self) -> "BoxMotion":
        """Return the motion one frame later."""
        height = self.mean_s[3]
        noise_s = np.concatenate((_deviations(height, POSITION, ASPECT), _velocities(height, 1)))
        covariance_ss = STEP @ self.covariance_ss @ STEP.T + np.diag(noise_s**2)
        return BoxMotion(STEP @ self.mean_s, covariance_ss)

    def updated(self, box: Box) -> "BoxMotion":
        """Correct a prediction by the box that was found."""
        noise = _deviations(self.mean_s[3], POSITION, ASPECT_MEASURED)
        seen = self.covariance_ss[:MEASURED, :MEASURED] + np.diag(noise**2)
        gain = np.linalg.solve(seen, self.covariance_ss[:MEASURED]).T
        mean_s = self.mean_s + gain @ (_measured(box) - self.mean_s[:MEASURED])
        return BoxMotion(mean_s, self.covariance_ss - gain @ seen @ gain.T)

    @property
    def box(self) -> Box:
        """The most likely box."""
        x, y, aspect, height = (float(value) for value in self.mean_s[:MEASURED])
        half = aspect * height / 2
        return x - half, y - height / 2, x + half, y + height / 2

    def numbers(self) -> list[float]:
        """List the state and its covariance, `NUM_NUMBERS` numbers."""
        return [*self.mean_s.tolist(), *self.covariance_ss.ravel().tolist()]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> "BoxMotion":
        """Read the output of `numbers`."""
        values = np.asarray(numbers, dtype=np.float64)
        return cls(values[:STATE], values[STATE:].reshape(STATE, STATE))


def _measured(box: Box) -> Vector:
    width, height = box[2] - box[0], box[3] - box[1]
    return np.array(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, width / height, height))


def _deviations(height: float, part: float, aspect: float) -> Vector:
    return np.array((part * height, part * height, aspect, part * height))


def _velocities(height: float, times: int) -> Vector:
    return _deviations(height, times * VELOCITY, ASPECT_VELOCITY)
