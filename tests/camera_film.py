"""The film that the browser's camera shows: a frame of the Space's sample clip, slightly shaken.

Chromium's built-in test camera shows a clock on green. Whether the model finds an object in the
middle of it depends on the time of the click.
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
    """Return the clip's first frame at each place that it moves to, by pixels to the right."""
    with av.open(str(SAMPLE)) as container:
        first_hw3 = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return {step: np.roll(first_hw3, step, axis=1) for step in range(-SHAKE, SHAKE + 1)}


def _jpeg(picture_hw3):
    file = io.BytesIO()
    Image.fromarray(picture_hw3).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
