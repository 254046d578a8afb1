"""Explanations of a tracked frame: how much it attended to each memory.

Suffixes: h, w = rows and columns, n = cells of the image embedding, k = memory tokens, 3 = red,
green, blue.
"""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional

from sam2_hf.contact_sheet import Cell, contact_sheet
from sam2_hf.errors import FrameError, SessionError
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.memory_tokens import MemoryInputs, MemoryKind
from sam2_hf.overlay import draw_heat, draw_overlay
from sam2_hf.results.pictures import NO_PICTURE, png_bytes, write_picture
from sam2_hf.video.policies.memory_policy import Direction, TrackingStep

from .frame_result import read_frame
from .masklet import describe_frames
from .session_options import MEMORY_POLICIES
from .tracked_object import TrackedObject
from .tracker import Tracker
from .tracking import gather_memories

ROW = 4  # pictures in a row of a plot
BRIGHTEST = 0.995  # share of the cells that are not at full brightness


@dataclass(frozen=True, slots=True, eq=False)
class AttendedMemory:
    """A spatial memory or an object pointer that a frame attended to.

    Attributes:
        kind: "reference", "prompted" or "tracked", by what was read: the memory of a prompt, or
            that of tracking.
        frame: Its frame; None for a reference.
        age: Of a spatial memory its temporal code, from 1 for the nearest tracked frame up to that
            of prompted frames and references, which some policies also give to tracked frames; of a
            pointer its time as a fraction of the longest.
        weight: Share of the attention, 0 to 1.
        map_hw: Share of each cell of a spatial memory, which add up to `weight`; None for a
            pointer.
    """

    kind: MemoryKind
    frame: int | None
    age: float
    weight: float
    map_hw: NDArray[np.float32] | None = field(default=None, repr=False)

    @property
    def title(self) -> str:
        """Name and weight."""
        name = "reference" if self.frame is None else f"frame {self.frame}, {self.kind}"
        return f"{name}: {self.weight:.1%}"


@dataclass(frozen=True, eq=False)
class Explanation:
    """Which memories a tracked frame attended to; the weights add up to 1.

    Attributes:
        frame: The frame.
        object_id: The object.
        direction: Direction in which the frame was tracked.
        mask_only: Whether weights are those of the cells of the mask, instead of the whole frame.
        memories: Spatial memories, in the order of attention.
        pointers: Object pointers, in the order of attention.

    Example:
        >>> found = tracked.explain(2, object_id=1)
        >>> [(memory.kind, memory.frame) for memory in found.memories]
        [('prompted', 0), ('tracked', 1)]
        >>> round(sum(memory.weight for memory in (*found.memories, *found.pointers)), 3)
        1.0
    """

    frame: int
    object_id: int
    direction: Direction
    mask_only: bool
    memories: tuple[AttendedMemory, ...]
    pointers: tuple[AttendedMemory, ...]
    _read: Callable[[int], NDArray[np.uint8]] | None = field(default=None, repr=False)
    _mask_hw: NDArray[np.bool_] | None = field(default=None, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """Copy and pickle everything but the way to the video."""
        return {**self.__dict__, "_read": None}

    def weight_of(self, frame: int | None) -> float:
        """Add up the weights of a frame's memory and pointers; None for all references.

        Example:
            >>> 0 < tracked.explain(2, object_id=1).weight_of(0) < 1
            True
        """
        both = (*self.memories, *self.pointers)
        return sum(memory.weight for memory in both if memory.frame == frame)

    def plot(self) -> Image.Image:
        """Draw the frame, and each memory with the places that it was attended to at.

        All memories have one scale, up to the share that few of their cells exceed.

        Raises:
            FrameError: A frame can no longer be read.

        Example:
            >>> picture = tracked.explain(2, object_id=1).plot()
        """
        mask = [] if self._mask_hw is None else [self._mask_hw]
        pointers = sum(pointer.weight for pointer in self.pointers)
        asked = "cells of its mask" if self.mask_only else "all cells"
        title = f"frame {self.frame}, object {self.object_id}, {asked}; pointers: {pointers:.1%}"
        cells = [Cell(title, draw_overlay(self._picture(self.frame), mask))]
        maps = [memory.map_hw.ravel() for memory in self.memories if memory.map_hw is not None]
        largest = float(np.quantile(np.concatenate(maps), BRIGHTEST)) if maps else 0.0
        for memory in sorted(self.memories, key=lambda memory: -memory.weight):
            picture = self._picture(memory.frame)
            if memory.map_hw is not None:
                picture = draw_heat(picture, memory.map_hw, largest=largest)
            cells.append(Cell(memory.title, picture))
        rows = [cells[start : start + ROW] for start in range(0, len(cells), ROW)]
        return contact_sheet(rows)

    def save(self, path: str | Path) -> Path:
        """Write the plot as a picture.

        Raises:
            OutputError: It cannot be written.
            FrameError: A frame can no longer be read.

        Example:
            >>> path = tracked.explain(2, object_id=1).save("why.png")
        """
        return write_picture(Path(path), self.plot())

    def _repr_png_(self) -> bytes:
        """Show the plot in a notebook."""
        return png_bytes(self.plot())

    def _picture(self, frame: int | None) -> NDArray[np.uint8]:
        """Read the picture of a memory; references are memories only."""
        if frame is None:
            size = (240, 320) if self._mask_hw is None else self._mask_hw.shape
            return np.full((*size, 3), NO_PICTURE, np.uint8)
        if self._read is None:
            raise FrameError("the video is gone with its session. Plot before you copy or pickle.")
        return self._read(frame)


@torch.no_grad()
def explain_frame(
    tracker: Tracker, obj: TrackedObject, frame: int, *, mask_only: bool
) -> Explanation:
    """Explain a tracked frame; see `VideoSession.explain`.

    Args:
        tracker: The session's tracker.
        obj: The object.
        frame: The frame, which is available.
        mask_only: Whether to look at the cells of the mask only.

    Raises:
        FrameError: The frame was not tracked, or its memories are gone.
        SessionError: The model cannot report it, or the object has several hypotheses.
    """
    model = tracker.model
    measure = getattr(model, "attention_shares", None)
    if measure is None or model.num_maskmem == 0 or not _attends_to_cells(model.config):
        raise SessionError(
            "this model cannot report which memories it attends to: it attends to none, compresses "
            "them as EdgeTAM, pools them as some EfficientTAMs, or is an export, whose graphs do "
            "not expose the weights. Use a Sam2VideoModel in PyTorch of SAM 2, of SAM 3's tracker "
            "or of an EfficientTAM without pooling."
        )
    direction = _direction(obj, frame)
    _require_one_hypothesis(obj, frame, tracker)
    step = TrackingStep(frame, direction, tracker.frames.num_frames)
    with obj.bank.read_only():
        inputs = gather_memories(obj.bank, step, tracker.policy).to(model.device)
    if not inputs.spatial:
        raise FrameError(f"the memories that frame {frame} attended to are gone. Track it again.")
    features = tracker.encoder.encode(frame)
    grid = (features.embedding_bchw.shape[-2], features.embedding_bchw.shape[-1])
    mask_hw = tracker.masklet_store(obj).masklet.mask(frame)
    cells_n = _cells(mask_hw, obj.object_id, frame, grid).to(model.device) if mask_only else None
    shares_k = measure(features, inputs, cells_n)[0].cpu()
    pieces = model.hidden_dim // model.mem_dim  # tokens of a pointer
    memories = _memories(shares_k, inputs, grid, pieces)
    pointers = _pointers(shares_k, inputs, pieces)
    read = partial(read_frame, weakref.ref(tracker.frames))
    return Explanation(
        frame, obj.object_id, direction, mask_only, memories, pointers, read, mask_hw
    )


def _attends_to_cells(config: Sam2VideoConfig) -> bool:
    """Whether memory attention reads memories cell by cell, without latents or pooling."""
    pooling = getattr(config, "memory_attention_pooling", "none")
    return pooling == "none" and not any(config.memory_latents)


def _require_one_hypothesis(obj: TrackedObject, frame: int, tracker: Tracker) -> None:
    """Refuse a frame whose mask may come from a further hypothesis, which has other memories.

    Raises:
        SessionError: The policy, or that under which the frame was tracked, keeps several.
    """
    branching = [name for name, policy in MEMORY_POLICIES.items() if policy.branches]
    if tracker.policy.branches or any(obj.bank.notes(frame, name) for name in branching):
        raise SessionError(
            f"frame {frame} cannot be explained: under memory_policy={' or '.join(branching)!r} an "
            "object has several hypotheses, and it is not kept which of them answered a frame. "
            "Track it again under another policy."
        )


def _direction(obj: TrackedObject, frame: int) -> Direction:
    """Look up in which direction a frame was tracked.

    Raises:
        FrameError: It has a prompt, or was not tracked.
    """
    state = obj.state(frame)
    if state.prompts is not None or state.output is not None:
        raise FrameError(
            f"object {obj.object_id} has a prompt on frame {frame}, so its mask there was not "
            "tracked. Explain a frame without one."
        )
    if frame not in obj.directions:
        tracked = sorted(other for other in obj.directions if obj.state(other).output is None)
        advice = "" if tracked else " Call propagate() first."
        raise FrameError(
            f"object {obj.object_id} was not tracked on frame {frame}. Tracked frames: "
            f"{describe_frames(tracked)}.{advice}"
        )
    return obj.directions[frame]


def _cells(mask_hw: NDArray[np.bool_], object_id: int, frame: int, grid: tuple[int, int]) -> Tensor:
    """Mark the cells of the image embedding that a mask touches, row by row.

    Raises:
        FrameError: The mask is empty.
    """
    mask_11hw = torch.from_numpy(mask_hw)[None, None].float()
    cells_n = functional.adaptive_max_pool2d(mask_11hw, grid).flatten() > 0
    if not cells_n.any():
        raise FrameError(
            f"object {object_id} is not in view on frame {frame}, so its mask has no cell. "
            "Leave out mask_only."
        )
    return cells_n


def _memories(
    shares_k: Tensor, inputs: MemoryInputs, grid: tuple[int, int], pieces: int
) -> tuple[AttendedMemory, ...]:
    """Add up the shares of each spatial memory's tokens, which come first."""
    of_pointers = pieces * len(inputs.pointer_sources)
    shares_mn = shares_k[: len(shares_k) - of_pointers].unflatten(0, (len(inputs.spatial), -1))
    is_map = shares_mn.shape[1] == grid[0] * grid[1]
    return tuple(
        AttendedMemory(
            *source, age, float(share_n.sum()), share_n.reshape(grid).numpy() if is_map else None
        )
        for source, age, share_n in zip(inputs.spatial_sources, inputs.ages, shares_mn, strict=True)
    )


def _pointers(shares_k: Tensor, inputs: MemoryInputs, pieces: int) -> tuple[AttendedMemory, ...]:
    """Add up the shares of each pointer's tokens, which come last."""
    sources = inputs.pointer_sources
    if inputs.times_bp is None:
        return ()
    count = len(sources)
    weights = shares_k[-pieces * count :].unflatten(0, (count, -1)).sum(dim=1).tolist()
    times = inputs.times_bp[0].tolist()
    return tuple(
        AttendedMemory(*source, time, weight)
        for source, time, weight in zip(sources, times, weights, strict=True)
    )
