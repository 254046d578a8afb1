"""What transformers' session shows of its inside: frames as a mapping, ids as a list, its types."""

from collections.abc import Callable, Collection, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Protocol, Self, SupportsIndex

import torch
from torch import Tensor

from sam2_hf.errors import SessionError
from sam2_hf.frames.base import Frames
from sam2_hf.frames.preprocessed import EditedFrames, PreparedFrames
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.model.configuration_checks import read_float_dtype
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import Sam2VideoSegmentationOutput
from sam2_hf.video.frame_result import FrameResult


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


class EditableFrames(Protocol):
    """What the view of a session's frames needs of the session."""

    @property
    def frames(self) -> Frames:
        """Where pixels come from."""

    def frame_for_view(self, frame: int) -> Tensor:
        """Read a frame as model input, where and as the type that was asked for."""

    def replace_frame(self, frame: int, pixel_values: Tensor | None) -> None:
        """Put pixels in the place of a frame's; None frees them."""

    def drop_frame(self, frame: int) -> None:
        """Take a frame out."""


class ProcessedFrames(MutableMapping[int, Tensor | None]):
    """Frames as model input, read when asked for; a live view, not a copy.

    A frame that is deleted cannot be tracked or prompted any more; its masks stay. One that is set
    to None keeps its number and frees its pixels.

    Args:
        session: Whose frames.
    """

    def __init__(self, session: EditableFrames) -> None:
        self.session = session

    def __getitem__(self, frame: int) -> Tensor | None:
        if frame not in self:
            raise KeyError(frame)
        frames = self.session.frames
        if isinstance(frames, (PreparedFrames, EditedFrames)) and not frames.has_pixels(frame):
            return None
        return self.session.frame_for_view(frame)

    def __setitem__(self, frame: int, pixel_values: Tensor | None) -> None:
        self.session.replace_frame(frame, pixel_values)

    def __delitem__(self, frame: int) -> None:
        if frame not in self:
            raise KeyError(frame)
        self.session.drop_frame(frame)

    def __iter__(self) -> Iterator[int]:
        return iter(list(self._numbers()))

    def __len__(self) -> int:
        return len(self._numbers())

    def __contains__(self, frame: object) -> bool:
        return frame in self._numbers()

    def clear(self) -> None:
        """Drop every frame without reading it."""
        for frame in self:
            self.session.drop_frame(frame)

    def copy(self) -> dict[int, Tensor | None]:
        """Read every frame into a dictionary, as `dict.copy` does."""
        return dict(self)

    def __repr__(self) -> str:
        return f"ProcessedFrames({len(self)} frames)"

    def _numbers(self) -> Collection[int]:
        frames = self.session.frames
        if isinstance(frames, LiveFrames):
            return frames.kept
        if frames.num_frames is None:
            raise SessionError("nobody knows yet how many frames the iterator gives.")
        if isinstance(frames, (PreparedFrames, EditedFrames)):
            return frames.numbers
        return range(frames.num_frames)


class WrittenThrough(list[int]):
    """A list of object ids that tells the session of every change.

    Args:
        ids: What is in it.
        write: Takes the new list.
    """

    def __init__(self, ids: Iterable[int], write: Callable[[list[int]], None]) -> None:
        super().__init__(ids)
        self._write = write

    def append(self, object_id: int) -> None:
        """Add an id."""
        super().append(object_id)
        self._write(list(self))

    def extend(self, ids: Iterable[int]) -> None:
        """Add several."""
        super().extend(ids)
        self._write(list(self))

    def insert(self, index: SupportsIndex, object_id: int) -> None:
        """Add an id at a place."""
        super().insert(index, object_id)
        self._write(list(self))

    def remove(self, object_id: int) -> None:
        """Take an id out."""
        super().remove(object_id)
        self._write(list(self))

    def pop(self, index: SupportsIndex = -1) -> int:
        """Take the id at a place out."""
        found = super().pop(index)
        self._write(list(self))
        return found

    def clear(self) -> None:
        """Take all of them out."""
        super().clear()
        self._write([])

    def __setitem__(self, index: SupportsIndex | slice, value: object) -> None:
        super().__setitem__(index, value)  # type: ignore[call-overload]
        self._write(list(self))

    def __delitem__(self, index: SupportsIndex | slice) -> None:
        super().__delitem__(index)
        self._write(list(self))

    def __iadd__(self, ids: Iterable[int]) -> Self:  # type: ignore[override,misc]
        self.extend(ids)
        return self

    def __reduce__(self) -> tuple[type[list[int]], tuple[list[int]]]:
        return list, (list(self),)


def as_dtype(dtype: torch.dtype | str) -> torch.dtype:
    """Read a dtype or its name.

    Raises:
        SessionError: It is no float type.
    """
    found = read_float_dtype(dtype)
    if found is None:
        raise SessionError(f"dtype {dtype!r} cannot be used. Use float32, bfloat16 or float16.")
    return found


def segmentation_output(result: FrameResult, model: Sam2VideoModel) -> Sam2VideoSegmentationOutput:
    """Write a result in transformers' form, in the model's type; without objects it has no rows."""
    logits_b1hw = result.logits_bhw[:, None]
    if not result.object_ids:
        logits_b1hw = torch.zeros(0, 1, *model.mask_input_size)
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
