"""Memories in tensors whose shapes do not depend on how much is remembered.

A compiled graph is made for one set of shapes. These stay the same from the second frame of a video
to its last: what is not remembered yet is left out by a bias of minus infinity.

Suffixes: b = objects, s = slots for spatial memories, n = cells of the memory grid, p = pointers,
k = tokens of all memories, c = memory channels (64), d = decoder channels (256).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .memory_tokens import MemoryTokens
from .split_attention import Tiles


@dataclass(frozen=True, slots=True, eq=False)
class FixedMemories:
    """What a group of objects looks back on; they need not remember equally much.

    Attributes:
        spatial_bsnc: Cells of the spatial memories, in any order, `(b, s, n, 64)`.
        ages_bs: Of each spatial memory, which row of the temporal table it takes, as in
            [`Recollection`]; any row for an empty slot.
        pointers_bpd: Object pointers, `(b, p, 256)`.
        times_bp: How far back each pointer lies as a part of the longest time, signed; `(b, p)`.
        slot_bias_bs: 0 for a slot that holds a memory, minus infinity for an empty one; None where
            every slot and every pointer is there.
        pointer_bias_bp: The same for pointers.
        tiles: How a GPU deals out the work of looking, where that was found to be faster.
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

    def spatial_tokens(self, grid_1nc: Tensor, temporal_m11c: Tensor) -> tuple[Tensor, Tensor]:
        """Lay out the cells of all slots; see `Recollection.spatial_tokens`."""
        content_bkc = self.spatial_bsnc.flatten(1, 2).to(temporal_m11c.dtype)
        age_bs1c = temporal_m11c[:, 0][self.ages_bs - 1]
        return content_bkc, (grid_1nc[:, None] + age_bs1c).flatten(1, 2)

    def marked(self, tokens: MemoryTokens) -> MemoryTokens:
        """Say which of the laid out tokens are there, and how to look at them.

        Args:
            tokens: Those of all slots, then those of all pointers.
        """
        bias_bk = None
        if self.slot_bias_bs is not None and self.pointer_bias_bp is not None:
            pieces = tokens.num_pointer_tokens // self.pointers_bpd.shape[1]
            of_slots = self.slot_bias_bs.repeat_interleave(self.spatial_bsnc.shape[2], dim=1)
            of_pointers = self.pointer_bias_bp.repeat_interleave(pieces, dim=1)
            bias_bk = torch.cat((of_slots, of_pointers), dim=1)
        return MemoryTokens(
            tokens.content_bkc, tokens.keys_bkc, tokens.num_pointer_tokens, bias_bk, self.tiles
        )
