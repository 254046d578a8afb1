"""Building blocks of transformers' session API: tensor placement, mappings, id lists, outputs."""

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Generic, Self, SupportsIndex, TypeVar

import torch

from sam2_hf.errors import SessionError
from sam2_hf.model.configs.configuration_checks import read_float_dtype
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import Sam2VideoSegmentationOutput
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.tracked_object import TrackedObject

View = TypeVar("View")


@dataclass(slots=True)
class Placement:
    """Devices and dtype of a session's tensors; mutable and shared by the session's parts.

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


class PerObject(Mapping[int, View], Generic[View]):
    """Mapping from object index to a view of the object.

    Args:
        objects: Lists the objects.
        view: Makes the view of an object.
    """

    def __init__(
        self, objects: Callable[[], list[TrackedObject]], view: Callable[[TrackedObject], View]
    ) -> None:
        self._objects = objects
        self._view = view

    def __getitem__(self, obj_idx: int) -> View:
        if obj_idx not in range(len(self)):
            raise KeyError(obj_idx)
        return self._view(self._objects()[obj_idx])

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    def __len__(self) -> int:
        return len(self._objects())


class FrameMapping(MutableMapping[int, View], Generic[View]):
    """A mapping from frames that writes through; `clear` reads nothing."""

    def clear(self) -> None:
        """Remove every frame."""
        for frame in list(self):
            del self[frame]

    def copy(self) -> dict[int, View]:
        """Return a new dictionary, as `dict.copy` does."""
        return dict(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(frames {list(self)})"


class WrittenThrough(list[int]):
    """A list of object ids that writes every change through to the session.

    Args:
        ids: Initial ids.
        write: Receives the new list.
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
        """Insert an id at an index."""
        super().insert(index, object_id)
        self._write(list(self))

    def remove(self, object_id: int) -> None:
        """Remove an id."""
        super().remove(object_id)
        self._write(list(self))

    def pop(self, index: SupportsIndex = -1) -> int:
        """Remove and return the id at an index."""
        found = super().pop(index)
        self._write(list(self))
        return found

    def clear(self) -> None:
        """Remove all ids."""
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
        SessionError: It is not a float dtype.
    """
    found = read_float_dtype(dtype)
    if found is None:
        raise SessionError(f"dtype {dtype!r} cannot be used. Use float32, bfloat16 or float16.")
    return found


def segmentation_output(result: FrameResult, model: Sam2VideoModel) -> Sam2VideoSegmentationOutput:
    """Convert a result to transformers' format, in the model's dtype; no objects give no rows."""
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
