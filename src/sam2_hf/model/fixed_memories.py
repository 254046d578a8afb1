"""Memories in tensors whose shapes do not depend on how much is remembered.

A compiled graph is made for one set of shapes. These stay the same from the second frame of a video
to its last: what is not remembered yet is left out by a bias of minus infinity.

Suffixes: b = objects, s = slots for spatial memories, n = cells of the memory grid, p = pointers,
k = tokens of all memories, c = memory channels (64), d = decoder channels (256).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


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
    """

    spatial_bsnc: Tensor
    ages_bs: Tensor
    pointers_bpd: Tensor
    times_bp: Tensor
    slot_bias_bs: Tensor | None = None
    pointer_bias_bp: Tensor | None = None

    def spatial_tokens(self, grid_1nc: Tensor, temporal_m11c: Tensor) -> tuple[Tensor, Tensor]:
        """Lay out the cells of all slots; see `Recollection.spatial_tokens`."""
        content_bkc = self.spatial_bsnc.flatten(1, 2).to(temporal_m11c.dtype)
        age_bs1c = temporal_m11c[:, 0][self.ages_bs - 1]
        return content_bkc, (grid_1nc[:, None] + age_bs1c).flatten(1, 2)

    def bias_bk(self, pieces: int) -> Tensor | None:
        """Return what is added to the scores of each token.

        Args:
            pieces: Tokens that a pointer is cut into.
        """
        if self.slot_bias_bs is None or self.pointer_bias_bp is None:
            return None
        cells = self.spatial_bsnc.shape[2]
        of_slots = self.slot_bias_bs.repeat_interleave(cells, dim=1)
        return torch.cat((of_slots, self.pointer_bias_bp.repeat_interleave(pieces, dim=1)), dim=1)
