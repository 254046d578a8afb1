"""What objects remember, without a session: for tests of single steps."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from sam2_hf.model.outputs import FrameMemory
from tests.drawn_video import GRID, HIDDEN, MEMORY


@dataclass
class Remembered:
    """What an object remembers, frame by frame; one object, or several side by side."""

    prompted: dict[int, FrameMemory] = field(default_factory=dict)
    tracked: dict[int, FrameMemory] = field(default_factory=dict)
    references: tuple[FrameMemory, ...] = ()

    def spatial_bx(self, frame) -> Tensor | None:
        memory = self.tracked.get(frame)
        return None if memory is None else memory.spatial_bx

    def pointer_bd(self, frame) -> Tensor | None:
        memory = self.tracked.get(frame)
        return None if memory is None else memory.pointer_bd


def drawn_memory(frame, seed, objects=1):
    generator = torch.Generator().manual_seed(1000 * seed + frame)
    spatial = torch.randn(objects, MEMORY, GRID, GRID, generator=generator)
    pointer = torch.randn(objects, HIDDEN, generator=generator)
    return FrameMemory(frame, spatial, pointer, torch.ones(objects, 1))


def fake_remembered(*, prompted=(0,), tracked=()):
    def of(frame):
        return FrameMemory(frame, torch.ones(1, 3, 1, 1), torch.ones(1, 4), torch.ones(1, 1))

    return Remembered({f: of(f) for f in prompted}, {f: of(f) for f in tracked})
