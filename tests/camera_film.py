"""What the browser's camera sees: the Space's sample clip held still, by a hand that shakes.

Chromium's own made-up camera shows a green picture with a clock. Whether a model takes the middle
of it for an object depends on the clock's hand, and so on when a test clicks.
"""

import io
from pathlib import Path

import av
import numpy as np
from PIL import Image

SAMPLE = Path(__file__).parents[1] / "spaces/samples/cup-and-cat.mp4"
SHAKE = 3  # pixels that the picture moves to the left and to the right
QUALITY = 95


def film_cup(path):
    """Write the film as Chromium reads it: JPEGs, one after the other, 30 a second, repeated."""
    steps = np.rint(SHAKE * np.sin(np.linspace(0, 2 * np.pi, 60, endpoint=False)))
    shaken = shaken_cup()
    path.write_bytes(b"".join(_jpeg(shaken[int(step)]) for step in steps))


def shaken_cup():
    """Show the clip's first frame at all places it moves to: pictures by pixels to the right."""
    with av.open(str(SAMPLE)) as container:
        first_hw3 = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return {step: np.roll(first_hw3, step, axis=1) for step in range(-SHAKE, SHAKE + 1)}


def _jpeg(picture_hw3):
    file = io.BytesIO()
    Image.fromarray(picture_hw3).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
