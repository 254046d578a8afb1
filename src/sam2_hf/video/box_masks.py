"""Masks of boxes on a frame, as new objects would have them, without adding any to the session.

Suffixes: b = boxes, p = 1, t = points of a box, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf.model.prompt_encoder import Prompts

from .frame_result import split_by_object
from .prompts import FramePrompts, read_box
from .session import VideoSession
from .tracking import decode_views, view

BOXES_AT_ONCE = 64


@torch.no_grad()
def box_masks(
    session: VideoSession, frame: int, boxes: Sequence[Sequence[float]]
) -> NDArray[np.bool_]:
    """Decode the mask of each box, as the first prompt of a new object.

    Args:
        session: The session; its objects stay as they are.
        frame: The frame.
        boxes: Each `(x0, y0, x1, y1)`, pixels of the original frame.

    Returns:
        `(b, h, w)`, at a quarter of the model's input size, as `FrameResult.logits_bhw` has them.

    Raises:
        FrameError: There is no such frame, or a stream has dropped it.
        PromptError: A box is inverted or lies outside the frame.
    """
    with session.lock:
        tracker = session._tracker
        tracker.encoder.require_open()
        tracker.follow_weights()
        model, size = tracker.encoder.model, tracker.size
        given = [
            FramePrompts()
            .with_box(read_box(box, size, "the object"))
            .model_points(size, model.image_size)
            for box in boxes
        ]
        masks = []
        for start in range(0, len(given), BOXES_AT_ONCE):
            points, labels = zip(*given[start : start + BOXES_AT_ONCE], strict=True)
            found = decode_views(
                model,
                view(model, tracker.encoder.encode(frame), None),
                Prompts(
                    torch.stack(points)[:, None].to(model.device),
                    torch.stack(labels)[:, None].to(model.device),
                ),
                dynamic_multimask_via_stability=tracker.options.dynamic_multimask_via_stability,
            )
            masks += [
                output.logits_1hw > 0
                for output in split_by_object(found, tracker.options.fill_hole_area)
            ]
    side = model.image_size // 4
    none_0hw = torch.zeros(0, side, side, dtype=torch.bool)
    stacked: NDArray[np.bool_] = torch.cat([none_0hw, *(mask.cpu() for mask in masks)]).numpy()
    return stacked
