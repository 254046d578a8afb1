"""Short clips with masks, a tiny model that tracks them, and sets labeled in processes."""

import json
import os
import subprocess
import sys

import numpy as np
from PIL import Image

from sam2_hf import rle

HEIGHT, WIDTH, LENGTH = 24, 32, 3
SECONDS = 300  # for a process, on a busy machine


def square(number, frame):
    """The mask of a clip's square, which moves a pixel a frame: `(24, 32)`."""
    mask_hw = np.zeros((HEIGHT, WIDTH), bool)
    left, top = 3 + number % 5 + frame, 4 + number % 7
    mask_hw[top : top + 9, left : left + 11] = True
    return mask_hw


def write_clip(folder, number, length=LENGTH):
    """Write a folder of pictures: a bright square on a dark pattern."""
    place = folder / f"clip{number:02d}"
    place.mkdir(parents=True)
    for frame in range(length):
        rows, columns = np.mgrid[:HEIGHT, :WIDTH]
        picture_hw3 = np.stack([rows * 4, columns * 3, rows + columns + number], axis=-1)
        picture_hw3[square(number, frame)] = (220, 200, 60 + number)
        Image.fromarray(picture_hw3.astype(np.uint8)).save(place / f"{frame:05d}.png")
    return place


def write_prompts(path, count):
    """Write COCO with the square's mask on the first frame of each clip."""
    images = [
        {"id": n, "file_name": f"clip{n:02d}/00000.png", "height": HEIGHT, "width": WIDTH}
        for n in range(count)
    ]
    annotations = [
        {
            "id": n,
            "image_id": n,
            "category_id": 1,
            "segmentation": rle.to_coco(rle.encode(square(n, 0))),
        }
        for n in range(count)
    ]
    categories = [{"id": 1, "name": "square"}]
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    return path


def label_command(*arguments, launcher=()):
    """The command of `sam2-hf label` for a process of its own."""
    start = launcher or (sys.executable, "-m", "sam2_hf.cli")
    return [*map(str, start), "label", *map(str, arguments)]


def run_label(*arguments, launcher=(), code=0):
    """Run it; returns its result."""
    done = subprocess.run(
        label_command(*arguments, launcher=launcher),
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
        env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == code, done.stderr
    return done


def content(folder):
    """Every labeled video of a set, as bytes by name."""
    return {path.name: path.read_bytes() for path in (folder / "videos").iterdir()}
