"""Results of one frame: masks and scores of its objects.

Suffixes: b = objects, h, w = rows and columns.
"""

import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf import rle as run_lengths
from sam2_hf.errors import FrameError
from sam2_hf.frames.base import Frames
from sam2_hf.frames.host_copies import HostCopies, finish_host_copy
from sam2_hf.masks import TRACKED_HOLE_MARGIN, fill_holes
from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.results.found_object import FoundObject, Origin
from sam2_hf.results.picture_masks import PictureMasks
from sam2_hf.upsampled_masks import upsampled_logits, upsampled_masks

HOST = ("cpu", "meta")  # device types whose memory need not be spared


@dataclass(frozen=True, slots=True, eq=False)
class FrameOutput:
    """Output for one object on one frame.

    Attributes:
        logits_1hw: Mask logits at a quarter of the input size, small holes closed, float32.
        iou_1: Predicted IoU, probability.
        score_1: Object score, logits; above 0 the object is in view.
    """

    logits_1hw: Tensor
    iou_1: Tensor
    score_1: Tensor

    def to(self, device: torch.device | str) -> "FrameOutput":
        """Return this output on `device`."""
        return FrameOutput(
            self.logits_1hw.to(device), self.iou_1.to(device), self.score_1.to(device)
        )


def split_by_object(masks: ObjectMasks, fill_hole_area: int) -> list[FrameOutput]:
    """Fill small holes and split the outputs by object, copied so that each can be freed.

    Args:
        masks: Decoder output.
        fill_hole_area: Largest hole to fill, pixels.
    """
    logits_bhw = fill_holes(masks.logits_b1hw[:, 0], fill_hole_area, margin=TRACKED_HOLE_MARGIN)
    return [
        FrameOutput(logits_bhw[row : row + 1].clone(), masks.iou_b1[row], masks.score_b1[row])
        for row in range(len(logits_bhw))
    ]


def read_frame(frames: "weakref.ref[Frames]", frame: int) -> NDArray[np.uint8]:
    """Read a frame as long as its session lives; a kept result does not keep the video open.

    Raises:
        FrameError: The session or the frame is gone.
    """
    alive = frames()
    if alive is None:
        raise FrameError(f"frame {frame} is gone with its session. Give its picture as image=.")
    return alive.picture(frame)


@dataclass(frozen=True, eq=False, repr=False)
class FrameResult(PictureMasks):
    """The masks of all objects on one frame.

    Attributes:
        frame: Which frame, counted from 0.
        object_ids: The objects, in the order of the rows below.
        logits_bhw: Mask logits at a quarter of the input size, float32; on the host if masks were
            copied there, so that kept results hold no accelerator memory.
        iou_b: Predicted IoU, probability; on the host if masks were copied there.
        score_b: Object scores, logits; on the host if masks were copied there; above 0 the object
            is in view.
        size: `(height, width)` of the original frame.
        prompted: Objects that have a prompt on this frame.
        non_overlapping: Whether a pixel belongs to one object at most.
        host_masks: Mask of each object at original size, `(height, width)`, on the host; None if
            made on demand.
        origin: Where the frame came from; None if unknown.
        names: Names of objects, by id.

    Example:
        >>> result = session.preview(0)
        >>> result.masks[1].shape, result.masks[1].dtype
        ((180, 240), dtype('bool'))
    """

    IS_TRACKED: ClassVar[bool] = True

    frame: int
    object_ids: tuple[int, ...]
    logits_bhw: Tensor
    iou_b: Tensor
    score_b: Tensor
    size: tuple[int, int]
    prompted: frozenset[int] = frozenset()
    non_overlapping: bool = False
    host_masks: tuple[Tensor, ...] | None = None
    origin: Origin | None = None
    names: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of_outputs(
        cls,
        frame: int,
        outputs: dict[int, FrameOutput],
        size: tuple[int, int],
        prompted: frozenset[int],
        *,
        non_overlapping: bool,
        origin: Origin | None = None,
    ) -> "FrameResult":
        """Combine the outputs of objects; no objects give no rows."""
        parts = list(outputs.values())
        empty = torch.zeros(0)
        return cls(
            frame,
            tuple(outputs),
            torch.cat([output.logits_1hw for output in parts]) if parts else empty.reshape(0, 1, 1),
            torch.cat([output.iou_1 for output in parts]) if parts else empty,
            torch.cat([output.score_1 for output in parts]) if parts else empty,
            size,
            prompted,
            non_overlapping,
            origin=origin,
        )

    def start_host_copy(self, copies: HostCopies) -> "FrameResult":
        """Start copying to the host, where that is asynchronous.

        Args:
            copies: Collects the copies; the result must not be read before they have arrived.
        """
        if self.logits_bhw.device.type in HOST:
            return self
        return replace(
            self,
            logits_bhw=copies.take(self.logits_bhw),
            iou_b=copies.take(self.iou_b),
            score_b=copies.take(self.score_b),
            host_masks=tuple(map(copies.take, self._full_masks())),
        )

    def finish_host_copy(self) -> "FrameResult":
        """Return a result without page-locked memory; its copies have arrived."""
        if self.host_masks is None:
            return self
        return replace(
            self,
            logits_bhw=finish_host_copy(self.logits_bhw),
            iou_b=finish_host_copy(self.iou_b),
            score_b=finish_host_copy(self.score_b),
            host_masks=tuple(map(finish_host_copy, self.host_masks)),
        )

    def on_host(self) -> "FrameResult":
        """Return a result that holds no accelerator memory, once copied.

        Example:
            >>> session.preview(0).on_host().logits_bhw.device
            device(type='cpu')
        """
        copies = HostCopies()
        result = self.start_host_copy(copies)
        copies.wait()
        return result.finish_host_copy()

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle everything but the way to the video."""
        return {**self.__dict__, "origin": None}

    @property
    def picture_size(self) -> tuple[int, int]:
        """`(height, width)` of the original frame."""
        return self.size

    @property
    def picture_origin(self) -> Origin | None:
        """Where the frame came from; None if unknown."""
        return self.origin

    def named(self, names: Mapping[int, str]) -> "FrameResult":
        """Return the same result with names of objects.

        Example:
            >>> session.preview(0).named({1: "cup"}).names
            {1: 'cup'}
        """
        return replace(self, names={**self.names, **names})

    def found_objects(self) -> list[FoundObject]:
        """List the objects with their masks.

        Example:
            >>> result = session.preview(0)
            >>> result.found_objects()[0].area - int(result.masks[1].sum())
            0
        """
        return [
            FoundObject(
                object_id,
                run_lengths.encode(self.masks[object_id]),
                self.iou[object_id],
                self.names.get(object_id),
                {
                    "object_id": object_id,
                    "predicted_iou": self.iou[object_id],
                    "object_score": self.object_score[object_id],
                },
            )
            for object_id in self.object_ids
        ]

    @cached_property
    def masks(self) -> dict[int, NDArray[np.bool_]]:
        """Mask of each object at the frame's original size, `(height, width)`."""
        found = self._full_masks() if self.host_masks is None else self.host_masks
        masks = [mask_hw.numpy(force=True) for mask_hw in found]
        return dict(zip(self.object_ids, masks, strict=True))

    def _full_masks(self) -> Iterable[Tensor]:
        """Make the masks at original size, one at a time."""
        return upsampled_masks(self.logits_bhw, self.size, apart=self.non_overlapping)

    @cached_property
    def iou(self) -> dict[int, float]:
        """Predicted IoU of each object's mask, probability."""
        return dict(zip(self.object_ids, self.iou_b.tolist(), strict=True))

    @cached_property
    def object_score(self) -> dict[int, float]:
        """Object score of each object, logits; above 0 it is in view."""
        return dict(zip(self.object_ids, self.score_b.tolist(), strict=True))

    @cached_property
    def logits(self) -> Tensor:
        """Mask logits at the frame's original size, `(b, height, width)`, float32; above 0 is mask.

        Holes were filled before resizing, overlaps are suppressed after it. Computed on first
        access and cached: 4 bytes per pixel and object.
        """
        return self.video_logits()[:, 0]

    def video_logits(self) -> Tensor:
        """Return mask logits at the frame's original size, `(b, 1, height, width)`.

        Source: sam2/sam2_video_predictor.py:382-402 @ 2b90b9f.

        Example:
            >>> session.preview(0).video_logits().shape
            torch.Size([1, 1, 180, 240])
        """
        logits_b1hw = self.logits_bhw.new_empty((len(self.logits_bhw), 1, *self.size))
        maps = upsampled_logits(self.logits_bhw, self.size, apart=self.non_overlapping)
        for row, logits_hw in enumerate(maps):
            logits_b1hw[row, 0] = logits_hw
        return logits_b1hw
