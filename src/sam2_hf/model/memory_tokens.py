"""Memory tokens, the keys and values of memory attention.

A session gathers [`MemoryInputs`], or [`StaticMemoryInputs`] for compiled graphs; the model turns
them into tokens: content, positions, and the number without a position. Only the model knows the
layout of a spatial memory (SAM 2's is a map); to its callers it is a tensor whose rows are objects.

Suffixes: b = objects, x = dimensions of one spatial memory, s = slots for spatial memories,
n = tokens of a spatial memory, p = pointers, k = tokens of all memories, c = memory channels (64),
d = decoder channels (256), h, w = rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from sam2_hf.model.kernels.gpu_attention import Tiles

from .position_encoding import TEMPERATURE

MemoryKind = Literal["reference", "prompted", "tracked"]
MemorySource = tuple[MemoryKind, int | None]  # and its frame; None for a reference


@dataclass(frozen=True, slots=True, eq=False)
class MemoryInputs:
    """Memories that a group of objects attends to from one frame, the same number for each.

    Attributes:
        spatial: Spatial memories from the model's `encode_memory`, each `(b, ...)`.
        ages: Row of the temporal table for each spatial memory: 1 for the nearest tracked frame, 2
            for the next, ...; `num_maskmem` for every conditioning frame.
        pointers_bpd: Object pointers, `(b, p, 256)`; None if there is none.
        times_bp: Age of each pointer as a fraction of the longest, signed; `(b, p)`.
        spatial_sources: Where each spatial memory comes from; for explanations, the model does not
            read it.
        pointer_sources: The same for pointers.
    """

    spatial: tuple[Tensor, ...]
    ages: tuple[int, ...]
    pointers_bpd: Tensor | None = None
    times_bp: Tensor | None = None
    spatial_sources: tuple[MemorySource, ...] = ()
    pointer_sources: tuple[MemorySource, ...] = ()

    @property
    def num_objects(self) -> int:
        """Objects of the group."""
        return len(self.spatial[0])

    def to(self, device: torch.device | str) -> "MemoryInputs":
        """Return these memories on `device`."""
        pointers, times = self.pointers_bpd, self.times_bp
        return MemoryInputs(
            tuple([memory.to(device) for memory in self.spatial]),
            self.ages,
            None if pointers is None else pointers.to(device),
            None if times is None else times.to(device),
            self.spatial_sources,
            self.pointer_sources,
        )

    def spatial_tokens(
        self, tokens_of: Callable[[Tensor], Tensor], place_1nc: Tensor, temporal_m11c: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Lay out all spatial memories.

        Args:
            tokens_of: Converts one memory, `(b, ...)` to `(b, n, 64)`.
            place_1nc: Position of each token, the same for every frame.
            temporal_m11c: Learned code of each age, `(num_maskmem, 1, 1, 64)`.

        Returns:
            Content `(b, m * n, 64)` and positions `(1, m * n, 64)`.

        Source: sam2/modeling/sam2_base.py:565-586 @ 2b90b9f.
        Differs: positions are made once for all objects.
        """
        dtype = temporal_m11c.dtype  # memories may be stored in half precision
        content = [tokens_of(memory_bx).to(dtype) for memory_bx in self.spatial]
        positions = [place_1nc + temporal_m11c[age - 1] for age in self.ages]
        return torch.cat(content, dim=1), torch.cat(positions, dim=1)


@dataclass(frozen=True, slots=True, eq=False)
class MemoryTokens:
    """Keys and values of memory attention.

    Attributes:
        content_bkc: Content: cells of all spatial memories, then pieces of pointers.
        keys_bkc: The same with spatial and temporal positions; the keys of every layer.
        num_pointer_tokens: Number of tokens at the end without a grid position, which rotary
            positions skip.
        bias_bk: Added to the scaled products, minus infinity at tokens to mask; None to mask none.
        tiles: Tile sizes of split-key attention on a GPU, where that is faster.
        table: Rotations of the tokens of one spatial memory; those of the frame's cells if None.
    """

    content_bkc: Tensor
    keys_bkc: Tensor
    num_pointer_tokens: int
    bias_bk: Tensor | None = None
    tiles: Tiles | None = None
    table: tuple[Tensor, Tensor] | None = None


def pointer_tokens(pointers_bpd: Tensor, codes_bpc: Tensor) -> tuple[Tensor, Tensor]:
    """Cut every pointer into tokens as narrow as a memory; the pieces share the pointer's time.

    Args:
        pointers_bpd: Object pointers, `(b, p, 256)`.
        codes_bpc: Code of each one's time, `(b, p, 64)`.

    Returns:
        Content and positions, each `(b, p * 4, 64)`.

    Source: sam2/modeling/sam2_base.py:638-645 @ 2b90b9f.
    """
    width = codes_bpc.shape[-1]
    pieces = pointers_bpd.shape[-1] // width
    content = pointers_bpd.unflatten(-1, (pieces, width)).flatten(1, 2)
    return content.to(codes_bpc.dtype), codes_bpc.repeat_interleave(pieces, dim=1)


def time_code(times_bp: Tensor, channels: int) -> Tensor:
    """Encode times as sines and cosines, `(b, p, channels)`, float32.

    Source: sam2/modeling/sam2_utils.py:68-78 @ 2b90b9f.
    """
    half = channels // 2
    step = torch.arange(half, dtype=torch.float32, device=times_bp.device) // 2
    angle = times_bp.float()[..., None] / TEMPERATURE ** (2 * step / half)
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


@dataclass(frozen=True, slots=True, eq=False)
class StaticMemoryInputs:
    """Memories of a group of objects in tensors of fixed shapes.

    A compiled graph is made for one set of shapes. These stay the same from the second frame of a
    video to its last: empty slots are masked by a bias of minus infinity.

    Attributes:
        spatial_bsnc: Tokens of the spatial memories, in any order, `(b, s, n, 64)`.
        ages_bs: Row of the temporal table for each spatial memory, as in [`MemoryInputs`]; any row
            for an empty slot.
        pointers_bpd: Object pointers, `(b, p, 256)`.
        times_bp: Age of each pointer as a fraction of the longest, signed; `(b, p)`.
        slot_bias_bs: 0 for a slot with a memory, minus infinity for an empty one; None if every
            slot and pointer is filled.
        pointer_bias_bp: The same for pointers.
        tiles: Tile sizes of split-key attention on a GPU, where that is faster.
    """

    spatial_bsnc: Tensor
    ages_bs: Tensor
    pointers_bpd: Tensor
    times_bp: Tensor
    slot_bias_bs: Tensor | None = None
    pointer_bias_bp: Tensor | None = None
    tiles: Tiles | None = None

    @property
    def num_objects(self) -> int:
        """Objects of the group."""
        return len(self.ages_bs)

    def spatial_tokens(
        self, _tokens_of: Callable[[Tensor], Tensor], place_1nc: Tensor, temporal_m11c: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Concatenate all slots, which hold tokens; see `MemoryInputs.spatial_tokens`."""
        content_bkc = self.spatial_bsnc.flatten(1, 2).to(temporal_m11c.dtype)
        age_bs1c = temporal_m11c[:, 0][self.ages_bs - 1]
        return content_bkc, (place_1nc[:, None] + age_bs1c).flatten(1, 2)

    def with_padding_bias(self, tokens: MemoryTokens) -> MemoryTokens:
        """Return the tokens with a bias that masks empty slots.

        Args:
            tokens: Tokens of all slots, then of all pointers.
        """
        bias_bk = None
        if self.slot_bias_bs is not None and self.pointer_bias_bp is not None:
            pieces = tokens.num_pointer_tokens // self.pointers_bpd.shape[1]
            of_slots = self.slot_bias_bs.repeat_interleave(self.spatial_bsnc.shape[2], dim=1)
            of_pointers = self.pointer_bias_bp.repeat_interleave(pieces, dim=1)
            bias_bk = torch.cat((of_slots, of_pointers), dim=1)
        return replace(tokens, bias_bk=bias_bk, tiles=self.tiles)
