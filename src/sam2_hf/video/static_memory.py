"""What a group of objects looks back on, kept in tensors that stay where they are.

A memory is copied once, into a free slot, and stays there for as long as it is looked back on; only
its age changes. So a frame moves one memory for each object, and shapes stay the same.

Suffixes: b = objects, s = slots for spatial memories, n = cells of the memory grid, p = pointers,
c = memory channels (64), d = decoder channels (256), h, w = rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam2_hf.frames.host_copies import numbers_to_device
from sam2_hf.model.gpu_attention import best_tiles
from sam2_hf.model.memory_tokens import MemoryInputs, StaticMemoryInputs
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

OBJECT_STEPS = (1, 2, 4, 8, 16)  # room for so many objects, then for multiples of the last
EXTRA = 4  # by how many slots or pointers the room grows, for more prompted frames


@dataclass(frozen=True, slots=True)
class ShapeBucket:
    """How much fits: each room is a graph of its own, so there are few.

    Attributes:
        objects: Objects.
        slots: Spatial memories of each.
        pointers: Object pointers of each.
    """

    objects: int
    slots: int
    pointers: int

    @classmethod
    def for_all(
        cls, recollections: Sequence[MemoryInputs], *, slots: int, pointers: int
    ) -> "ShapeBucket":
        """Choose the room for some objects.

        Args:
            recollections: What they look back on, one object each.
            slots: Spatial memories that are always made room for.
            pointers: Pointers, likewise.
        """
        objects = len(recollections)
        largest = OBJECT_STEPS[-1]
        steps = [step for step in OBJECT_STEPS if step >= objects]
        return cls(
            steps[0] if steps else -(-objects // largest) * largest,
            _grown(slots, max(len(one.spatial) for one in recollections)),
            _grown(pointers, max(len(_times(one)) for one in recollections)),
        )


class MemorySlots:
    """The tensors, and what lies in them.

    Args:
        model: Whose memories these are; the tensors are where it is.
        room: How much fits.
        memory_dtype: How spatial memories are stored.
    """

    def __init__(self, model: Sam2VideoModel, room: ShapeBucket, memory_dtype: torch.dtype) -> None:
        self.room = room
        config = model.config
        height, width = model.grid
        cells, channels = height * width, config.memory_encoder_output_channels
        decoder_channels = config.memory_attention_hidden_size
        place = {"device": model.device}
        with torch.inference_mode(mode=False):  # a session may leave that mode, and go on
            self._spatial_bsnc = torch.zeros(
                room.objects, room.slots, cells, channels, dtype=memory_dtype, **place
            )
            self._pointers_bpd = torch.zeros(
                room.objects, room.pointers, decoder_channels, dtype=model.dtype, **place
            )
        keys = room.slots * cells + room.pointers * (decoder_channels // channels)
        sizes = (cells, keys, decoder_channels // config.memory_attention_downsample_rate, channels)
        self._tiles = best_tiles(model.device, model.dtype, sizes)
        # which memory lies where; held, so that no other one can take its identity
        self._held: list[list[Tensor | None]] = [[None] * room.slots for _ in range(room.objects)]

    def fill(self, recollections: Sequence[MemoryInputs]) -> StaticMemoryInputs:
        """Take in what the objects look back on from one frame.

        Args:
            recollections: One object each, at most as many as there is room for.

        Returns:
            Rows for all the room; those without an object look at zeros.
        """
        slots, pointers = self.room.slots, self.room.pointers
        ages = [[1] * slots for _ in range(self.room.objects)]
        is_filled = [[row >= len(recollections)] * slots for row in range(self.room.objects)]
        for held in self._held[len(recollections) :]:
            held[:] = [None] * slots
        for row, one in enumerate(recollections):
            for slot, age in self._place(row, one):
                ages[row][slot], is_filled[row][slot] = age, True
            self._place_pointers(row, one)
        times = [_times(one) for one in recollections]
        counts = list(map(len, times))
        counts += [pointers] * (self.room.objects - len(counts))
        is_there = [[place < count for place in range(pointers)] for count in counts]
        device, dtype = self._pointers_bpd.device, self._pointers_bpd.dtype
        is_full = all(map(all, is_filled)) and all(map(all, is_there))
        return StaticMemoryInputs(
            self._spatial_bsnc,
            numbers_to_device(ages, torch.int64, device),
            self._pointers_bpd,
            numbers_to_device(self._filled_up(times), torch.float32, device),
            None if is_full else numbers_to_device(_biases(is_filled), dtype, device),
            None if is_full else numbers_to_device(_biases(is_there), dtype, device),
            self._tiles,
        )

    def fits(self, model: Sam2VideoModel, room: ShapeBucket) -> bool:
        """Whether these tensors are as `model` needs them for that room."""
        memories = self._pointers_bpd
        is_alike = memories.device == model.device and memories.dtype == model.dtype
        return is_alike and self.room == room

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensors."""
        return self._spatial_bsnc.nbytes + self._pointers_bpd.nbytes

    def _place(self, row: int, one: MemoryInputs) -> list[tuple[int, int]]:
        """Put an object's spatial memories into slots; list the slot and the age of each."""
        held = self._held[row]
        wanted = {id(memory) for memory in one.spatial}
        slot_of = {id(kept): slot for slot, kept in enumerate(held) if id(kept) in wanted}
        free = [slot for slot, kept in enumerate(held) if id(kept) not in wanted]
        for slot in free:
            held[slot] = None
        placed = []
        for memory_1chw, age in zip(one.spatial, one.ages, strict=True):
            if id(memory_1chw) not in slot_of:
                slot = free.pop(0)
                cells_nc = memory_1chw[0].flatten(1).T
                self._spatial_bsnc[row, slot].copy_(cells_nc, non_blocking=True)
                held[slot] = memory_1chw
                slot_of[id(memory_1chw)] = slot
            placed.append((slot_of[id(memory_1chw)], age))
        return placed

    def _place_pointers(self, row: int, one: MemoryInputs) -> None:
        """Put an object's pointers side by side; they are few, and all of them are copied."""
        if one.pointers_bpd is not None:
            place = self._pointers_bpd[row, : one.pointers_bpd.shape[1]]
            place.copy_(one.pointers_bpd[0], non_blocking=True)

    def _filled_up(self, times: list[list[float]]) -> list[list[float]]:
        """Make all rows as long, and as many, as there is room for."""
        rows = times + [[] for _ in range(self.room.objects - len(times))]
        return [row + [0.0] * (self.room.pointers - len(row)) for row in rows]


def _times(one: MemoryInputs) -> list[float]:
    return [] if one.times_bp is None else list(one.times_bp[0].tolist())


def _grown(least: int, needed: int) -> int:
    return least + max(0, -(-(needed - least) // EXTRA)) * EXTRA


def _biases(is_there: list[list[bool]]) -> list[list[float]]:
    return [[0.0 if there else -torch.inf for there in row] for row in is_there]
