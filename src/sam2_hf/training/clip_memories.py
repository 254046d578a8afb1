"""What the objects of a batch of clips remember while a loss is computed.

Suffixes: b = objects of all clips, c = memory channels (64), d = decoder channels (256), h, w =
rows and columns.
"""

from torch import Tensor

from sam2_hf.model.frame_memory import FrameMemory


class ClipMemories:
    """Memories of all objects of a batch, which are prompted together and so remember alike.

    Nothing ever leaves it: gradients flow back through every memory of a clip.
    """

    def __init__(self) -> None:
        self.prompted: dict[int, FrameMemory] = {}
        self._tracked: dict[int, FrameMemory] = {}

    def remember(self, memory: FrameMemory, *, prompted: bool) -> None:
        """Keep what is known about a frame."""
        kept = self.prompted if prompted else self._tracked
        kept[memory.frame] = memory

    def spatial_bchw(self, frame: int) -> Tensor | None:
        """Look up the spatial memory of a tracked frame; None if there is none."""
        memory = self._tracked.get(frame)
        return None if memory is None else memory.spatial_bchw

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Look up the object pointer of a tracked frame; None if there is none."""
        memory = self._tracked.get(frame)
        return None if memory is None else memory.pointer_bd
