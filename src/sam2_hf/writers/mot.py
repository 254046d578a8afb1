"""MOTChallenge text: a line for each box, `frame,id,left,top,width,height,confidence,-1,-1,-1`.

Frames count from 1, as the format wants it. Boxes are those around the masks, pixels from 0; the
confidence is the predicted IoU.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from sam2_hf.atomic_write import atomic_path

from .frame_journal import TrackedFrame

DIGITS = 6
UNKNOWN = "-1,-1,-1"  # place in the world


def write_mot(path: str | os.PathLike[str], frames: Iterable[TrackedFrame]) -> Path:
    """Write the boxes of all objects; a hidden object has no line.

    Args:
        path: The file.
        frames: In order.

    Raises:
        OutputError: The file cannot be written.
    """
    with atomic_path(path) as hidden, hidden.open("w", encoding="ascii", newline="") as file:
        for tracked in frames:
            for found in tracked.objects:
                if found.area:
                    box = ",".join(map(str, found.box()))
                    score = f"{found.predicted_iou:.{DIGITS}f}"
                    place = f"{tracked.frame + 1},{found.object_id}"
                    file.write(f"{place},{box},{score},{UNKNOWN}\n")
    return Path(path)
