"""What transformers' session shows of its inside, where ours has it, and where to look instead."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import Sam2VideoSegmentationOutput

from .frame_result import FrameOutput, FrameResult
from .frames import Frames
from .live_frames import LiveFrames
from .tracked_object import TrackedObject

OUTPUT_KEYS = ("pred_masks", "object_score_logits", "object_pointer", "maskmem_features")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a session was told to put things.

    Attributes:
        inference: Device of the model.
        state: Device of memories.
        storage: Device of prepared frames.
        dtype: Type of prepared frames.
    """

    inference: torch.device
    state: torch.device
    storage: torch.device
    dtype: torch.dtype


class Elsewhere:
    """A name that this session does not have, and the one to use instead.

    Args:
        instead: What to use, with the reason.
    """

    def __init__(self, instead: str) -> None:
        self._instead = instead
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, session: object, owner: type | None = None) -> NoReturn:
        raise AttributeError(f"this session has no {self._name}: {self._instead}")


class ProcessedFrames(Mapping[int, Tensor]):
    """Frames as model input, read when asked for; a view, not a copy.

    Args:
        frames: Where they come from.
        device: Where they are wanted.
        dtype: As which type.
    """

    def __init__(self, frames: Frames, device: torch.device, dtype: torch.dtype) -> None:
        self._frames = frames
        self._device = device
        self._dtype = dtype

    def __getitem__(self, frame: int) -> Tensor:
        if frame not in self._numbers():
            raise KeyError(frame)
        return self._frames.pixel_values(frame, self._device).to(self._dtype)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers())

    def __len__(self) -> int:
        return len(self._numbers())

    def _numbers(self) -> range:
        if isinstance(self._frames, LiveFrames):
            return self._frames.kept
        if self._frames.num_frames is None:
            raise SessionError("nobody knows yet how many frames the iterator gives.")
        return range(self._frames.num_frames)


def as_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """Read a dtype or its name.

    Raises:
        SessionError: It is no float type.
    """
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise SessionError(f"dtype {dtype!r} cannot be used. Use float32, bfloat16 or float16.")
    return found


def segmentation_output(result: FrameResult, model: Sam2VideoModel) -> Sam2VideoSegmentationOutput:
    """Write a result in transformers' form, in the model's type; without objects it has no rows."""
    logits_b1hw = result.logits_bhw[:, None]
    if not result.object_ids:
        logits_b1hw = torch.zeros(0, 1, *model.prompt_encoder.mask_input_size)
    masks, scores, iou = (
        values.to(model.device, model.dtype)
        for values in (logits_b1hw, result.score_b[:, None], result.iou_b[:, None])
    )
    return Sam2VideoSegmentationOutput(
        object_ids=list(result.object_ids),
        pred_masks=masks,
        object_score_logits=scores,
        frame_idx=result.frame,
        iou_scores=iou,
    )


def stored_output(
    one: TrackedObject, frame: int, key: str, *, is_conditioning_frame: bool
) -> Tensor | None:
    """Look up what is remembered of an object on a frame, in transformers' form.

    Args:
        one: The object.
        frame: The frame.
        key: One of `OUTPUT_KEYS`.
        is_conditioning_frame: Whether to look among prompted frames, or among tracked ones.

    Returns:
        `pred_masks` `(1, 1, h, w)`, `object_score_logits` `(1, 1)`, `object_pointer` `(1, 256)` or
        `maskmem_features` `(hw, 1, 64)`; None if the frame is none of those.

    Raises:
        SessionError: There is no such key.
    """
    if key not in OUTPUT_KEYS:
        raise SessionError(f"there is no output {key!r}. There are: {', '.join(OUTPUT_KEYS)}.")
    answer, spatial, pointer = _remembered(one, frame, prompted=is_conditioning_frame)
    if answer is None or spatial is None or pointer is None:
        return None
    return {
        "pred_masks": answer.logits_1hw[None],
        "object_score_logits": answer.score_1[None],
        "object_pointer": pointer,
        "maskmem_features": spatial.flatten(2).permute(2, 0, 1),
    }[key]


def _remembered(
    one: TrackedObject, frame: int, *, prompted: bool
) -> tuple[FrameOutput | None, Tensor | None, Tensor | None]:
    """Return answer, spatial memory and pointer of a frame."""
    if not prompted:
        return one.bank.output(frame), one.bank.spatial_bchw(frame), one.bank.pointer_bd(frame)
    memory = one.bank.prompted.get(frame)
    if memory is None:
        return None, None, None
    return one.outputs.get(frame), memory.spatial_bchw, memory.pointer_bd
