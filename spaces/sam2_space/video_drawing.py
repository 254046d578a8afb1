"""What the page shows of a frame.

Suffixes: h, w = rows and columns in pixels, 3 = red, green, blue.
"""

import numpy as np
from numpy.typing import NDArray

from sam2_hf.pipelines.masklet_overlay import draw_masklets

from .picture_sizes import ShownSize
from .video_work import VideoWork


def draw_frame(work: VideoWork, frame: int) -> NDArray[np.uint8]:
    """Draw a frame with masks and prompts, as large as the page shows it.

    A frame that has just been clicked shows what the click gives; the model is asked for that.

    Raises:
        FrameError: The frame cannot be read.
    """
    with work.model.turns.taken(), work.reading() as session:
        result = session.preview(frame)
        picture_hw3 = session.frames.picture(frame)
    shown = ShownSize.within(work.size)
    masks = {number: shown.mask(mask_hw) for number, mask_hw in result.masks.items()}
    return draw_masklets(
        shown.picture(picture_hw3),
        masks,
        colour_order(work),
        shown.prompts(work.scene.drawn_on(frame)),
    )


def colour_order(work: VideoWork) -> list[int]:
    """List object numbers so that each has the same colour everywhere."""
    return list(range(1, max(work.numbers) + 1))


def hint(work: VideoWork, frame: int) -> str:
    """Tell what to do next, looking at a frame."""
    scene = work.scene
    if scene.corner is not None:
        return "Now click the **opposite corner** of the box."
    if not scene.said:
        return "**Click an object** in this frame, or move to another frame first."
    if not work.tracked:
        return "**Track** when the mask looks right; or click what is missing, add a new object."
    if frame not in work.tracked:
        return "This frame is not tracked. Click an object here, or **Track**."
    return "Not right here? **Click what is missing or too much** in this frame, then Track again."
