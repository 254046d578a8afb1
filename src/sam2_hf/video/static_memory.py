"""Static memory: memories of a group of objects in preallocated tensors of fixed shape.

The tokens of a memory are copied once into a free slot and stay there while they are attended to;
only their age changes. So each frame copies one memory per object, and shapes are constant.

Suffixes: b = objects, s = slots for spatial memories, n = tokens of one, x = dimensions of one, p =
    pointers, c = memory channels (64), d = decoder channels (256).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sam2_hf.frames.host_copies import numbers_to_device
from sam2_hf.model.memory_tokens import MemoryInputs, StaticMemoryInputs
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

OBJECT_STEPS = (1, 2, 4, 8, 16)  # capacities for objects, then multiples of the last
EXTRA = 4  # growth of slots and pointers, for more prompted frames


@dataclass(frozen=True, slots=True)
class ShapeBucket:
    """Capacity: each shape is a separate graph, so there are few.

    Attributes:
        objects: Objects.
        slots: Spatial memories of each.
        pointers: Object pointers of each.
    """

    objects: int
    slots: int
    pointers: int

    @classmethod
    def for_all(cls, inputs: Sequence[MemoryInputs], *, slots: int, pointers: int) -> "ShapeBucket":
        """Select the shape for some objects.

        Args:
            inputs: Memories to attend to, one object each.
            slots: Minimum capacity of spatial memories.
            pointers: Minimum capacity of pointers.
        """
        objects = len(inputs)
        largest = OBJECT_STEPS[-1]
        steps = [step for step in OBJECT_STEPS if step >= objects]
        return cls(
            steps[0] if steps else -(-objects // largest) * largest,
            _grown(slots, max(len(memories.spatial) for memories in inputs)),
            _grown(pointers, max(len(_times(memories)) for memories in inputs)),
        )


class MemorySlots:
    """Preallocated tensors and their contents.

    Args:
        model: The model; its device holds the tensors.
        room: Capacity.
        memory_dtype: Dtype of spatial memories.
    """

    def __init__(self, model: Sam2VideoModel, room: ShapeBucket, memory_dtype: torch.dtype) -> None:
        self.room = room
        self._tokens_of = model.memory_tokens
        tokens = (model.num_memory_tokens, model.mem_dim)
        place = {"device": model.device}
        with torch.inference_mode(mode=False):  # a session may leave inference mode and continue
            self._spatial_bsnc = torch.zeros(
                room.objects, room.slots, *tokens, dtype=memory_dtype, **place
            )
            self._pointers_bpd = torch.zeros(
                room.objects, room.pointers, model.hidden_dim, dtype=model.dtype, **place
            )
        self._tiles = model.memory_tiles(room.slots, room.pointers)
        # memory in each slot; kept alive, so that its id is not reused
        self._held: list[list[Tensor | None]] = [[None] * room.slots for _ in range(room.objects)]

    def fill(self, inputs: Sequence[MemoryInputs]) -> StaticMemoryInputs:
        """Fill in the memories that the objects attend to from one frame.

        Args:
            inputs: One object each, within capacity.

        Returns:
            One row per object of the capacity; unused rows are zeros.
        """
        slots, pointers = self.room.slots, self.room.pointers
        # unused rows count as filled: softmax of only minus infinity is NaN
        ages = [[1] * slots for _ in range(self.room.objects)]
        is_filled = [[row >= len(inputs)] * slots for row in range(self.room.objects)]
        for held in self._held[len(inputs) :]:
            held[:] = [None] * slots
        # only memories that the previous frame did not attend to are copied
        for row, memories in enumerate(inputs):
            for slot, age in self._place(row, memories):
                ages[row][slot], is_filled[row][slot] = age, True
            self._place_pointers(row, memories)
        # pointers are left-aligned, so a count tells which are filled
        times = [_times(memories) for memories in inputs]
        counts = list(map(len, times))
        counts += [pointers] * (self.room.objects - len(counts))
        is_there = [[place < count for place in range(pointers)] for count in counts]
        device, dtype = self._pointers_bpd.device, self._pointers_bpd.dtype
        # a graph without biases is faster, and the only one once memory is full
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
        """Whether these tensors match a model and a capacity."""
        memories = self._pointers_bpd
        is_alike = memories.device == model.device and memories.dtype == model.dtype
        return is_alike and self.room == room

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensors."""
        return self._spatial_bsnc.nbytes + self._pointers_bpd.nbytes

    def _place(self, row: int, memories: MemoryInputs) -> list[tuple[int, int]]:
        """Assign an object's spatial memories to slots; list slot and age of each."""
        held = self._held[row]
        wanted = {id(memory_1x) for memory_1x in memories.spatial}
        slot_of = {id(kept): slot for slot, kept in enumerate(held) if id(kept) in wanted}
        free = [slot for slot, kept in enumerate(held) if id(kept) not in wanted]
        for slot in free:
            held[slot] = None
        placed = []
        for memory_1x, age in zip(memories.spatial, memories.ages, strict=True):
            if id(memory_1x) not in slot_of:
                slot = free.pop(0)
                tokens_nc = self._tokens_of(memory_1x)[0]
                self._spatial_bsnc[row, slot].copy_(tokens_nc, non_blocking=True)
                held[slot] = memory_1x
                slot_of[id(memory_1x)] = slot
            placed.append((slot_of[id(memory_1x)], age))
        return placed

    def _place_pointers(self, row: int, memories: MemoryInputs) -> None:
        """Copy all of an object's pointers; they are few."""
        if memories.pointers_bpd is not None:
            place = self._pointers_bpd[row, : memories.pointers_bpd.shape[1]]
            place.copy_(memories.pointers_bpd[0], non_blocking=True)

    def _filled_up(self, times: list[list[float]]) -> list[list[float]]:
        """Pad rows and their number to the capacity."""
        rows = times + [[] for _ in range(self.room.objects - len(times))]
        return [row + [0.0] * (self.room.pointers - len(row)) for row in rows]


def _times(memories: MemoryInputs) -> list[float]:
    return [] if memories.times_bp is None else list(memories.times_bp[0].tolist())


def _grown(least: int, needed: int) -> int:
    return least + max(0, -(-(needed - least) // EXTRA)) * EXTRA


def _biases(is_there: list[list[bool]]) -> list[list[float]]:
    return [[0.0 if there else -torch.inf for there in row] for row in is_there]
