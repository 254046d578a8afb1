"""Initial prompts of objects: true masks, clicks, or boxes.

Suffixes: hw = rows and columns of the frame.
"""

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf import VideoSession
from sam2_hf.errors import DataError
from sam2_hf.training.click_sampling import innermost_clicks

Prompt = Literal["mask", "1-click", "3-click", "5-click", "box"]
PROMPTS: tuple[Prompt, ...] = get_args(Prompt)
MaskHw = NDArray[np.bool_]


def give(session: VideoSession, frame: int, truth: dict[int, MaskHw], prompt: Prompt) -> None:
    """Prompt objects on a frame; each click after the first goes to the center of the error.

    Args:
        session: The session.
        frame: The frame.
        truth: True mask of each object to prompt, `(h, w)`.
        prompt: Kind of prompt.

    Raises:
        DataError: An object is not visible on the frame.
    """
    for number, mask_hw in truth.items():
        if not mask_hw.any():
            raise DataError(f"object {number} is not visible on frame {frame}, where it is given.")
        if prompt == "mask":
            session.mask(frame, number, mask_hw)
        elif prompt == "box":
            session.box(frame, number, box_of(mask_hw))
    for _ in range(int(prompt.partition("-")[0]) if prompt.endswith("click") else 0):
        click_once(session, frame, truth)


def click_once(session: VideoSession, frame: int, truth: dict[int, MaskHw]) -> None:
    """Add a click to each object on a frame: at its center, or that of the error.

    Source: SAM paper (arXiv 2304.02643), appendix D.1, and sam2/modeling/sam2_utils.py:243-304 @
        2b90b9f for clicks.
    """
    known = session.preview(frame).masks if set(truth) & set(session.object_ids) else {}
    for number, mask_hw in truth.items():
        truth_1hw = torch.from_numpy(mask_hw[None])
        guess_1hw = torch.from_numpy(known[number][None]) if number in known else None
        click = innermost_clicks(truth_1hw, guess_1hw)
        x, y = click.xy_n2[0].tolist()
        session.click(frame, number, (x, y), positive=bool(click.labels_n[0]))


def box_of(mask_hw: MaskHw) -> tuple[int, int, int, int]:
    """Enclose a mask: x and y of its first and last pixel."""
    columns, rows = (np.flatnonzero(mask_hw.any(axis=axis)) for axis in (0, 1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
