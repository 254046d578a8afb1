"""The memory bank of one object: what can be read again stays on the device, the rest is offloaded.

The official terms: prompted frames are "conditioning frames", tracked ones "non-conditioning".
Suffixes: b = objects (1 here), x = as the model lays out a spatial memory, d = decoder channels.
"""

import torch
from torch import Tensor

from sam2_hf.frames.host_copies import HostCopies, finish_host_copy
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.video.storage.record_store import RecordStore

from .frame_result import FrameOutput
from .memory_policy import MemoryPolicy, TrackingStep

MEMORY = "memory"  # kind of record in the history


class MemoryBank:
    """Memories of one object: on the device those that a policy chooses, all in the record store.

    Memories of prompted frames never leave the device.

    Args:
        object_id: Whose memories these are.
        history: Takes every tracked memory, and gives it back when tracking starts elsewhere.
        device: Where memories are stored that are about to be read; the reader moves them.
    """

    def __init__(self, object_id: int, history: RecordStore, device: torch.device | str) -> None:
        self.prompted: dict[int, FrameMemory] = {}
        self._object_id = object_id
        self._history = history
        self.device = device
        self._spatial: dict[int, Tensor] = {}
        self._pointers: dict[int, Tensor] = {}
        self._scores: dict[int, float] = {}  # of tracked frames, so that asking reads no disk

    def remember(self, memory: FrameMemory, output: FrameOutput) -> None:
        """Store what was tracked on a frame.

        Raises:
            OutputError: The disk is full; the memory is stored all the same.
        """
        copies = HostCopies()
        record = self.stage(memory, output, copies)
        copies.wait()
        self.commit(memory.frame, record)

    def stage(
        self, memory: FrameMemory, output: FrameOutput, copies: HostCopies
    ) -> dict[str, Tensor]:
        """Have what was tracked on a frame ready to be read, and start to copy it to the host.

        Returns:
            What `commit` takes once `copies` have arrived.
        """
        stored = memory.to(self.device)
        self._spatial[memory.frame] = stored.spatial_bx
        self._pointers[memory.frame] = stored.pointer_bd
        record = {
            "spatial": stored.spatial_bx,
            "pointer": stored.pointer_bd,
            "logits": output.logits_1hw,
            "iou": output.iou_1,
            "score": output.score_1,
        }
        return copies.take_all(record)

    def commit(self, frame: int, record: dict[str, Tensor]) -> None:
        """Store what `stage` returned, once it has arrived on the host.

        Raises:
            OutputError: The disk is full; the record is kept all the same.
        """
        kept = {
            name: finish_host_copy(values) if values.is_pinned() else values
            for name, values in record.items()
        }
        self._scores[frame] = float(kept["score"])
        self._history.put(self._key(frame), kept)

    def remember_prompted(self, memory: FrameMemory) -> None:
        """Store what is known about a prompted frame, in place of what was tracked there."""
        self.forget(memory.frame)
        self.prompted[memory.frame] = memory.to(self.device)

    def spatial_bx(self, frame: int) -> Tensor | None:
        """Look up the spatial memory of a tracked frame; None if there is none."""
        if frame not in self._spatial:
            self._fetch(frame, "spatial", self._spatial)
        return self._spatial.get(frame)

    def pointer_bd(self, frame: int) -> Tensor | None:
        """Look up the object pointer of a tracked frame; None if there is none."""
        if frame not in self._pointers:
            self._fetch(frame, "pointer", self._pointers)
        return self._pointers.get(frame)

    def score(self, frame: int) -> float | None:
        """Look up the object score of a frame, logits; None if nothing is remembered of it."""
        if frame in self.prompted:
            return float(self.prompted[frame].score_b1)
        if frame not in self._scores:  # of a session that was loaded, or changed by an undo
            record = self.record(frame)
            if record is None or "score" not in record:
                return None
            self._scores[frame] = float(record["score"])
        return self._scores[frame]

    def output(self, frame: int) -> FrameOutput | None:
        """Look up the answer on a tracked frame, in RAM; None if there is none."""
        record = self.record(frame)
        if record is None or not {"logits", "iou", "score"} <= record.keys():
            return None
        return FrameOutput(record["logits"], record["iou"], record["score"])

    def record(self, frame: int) -> dict[str, Tensor] | None:
        """Look up everything that is kept of a tracked frame; None if there is nothing."""
        return self._history.get(self._key(frame))

    def remembers(self, frame: int) -> bool:
        """Tell whether anything is kept of a tracked frame."""
        return self._key(frame) in self._history

    def put_back(self, frame: int, record: dict[str, Tensor] | None) -> None:
        """Make what was tracked on a frame what it was when `record` was looked up."""
        self.forget(frame)
        if record is not None:
            self._history.put(self._key(frame), record)

    def offload(self) -> None:
        """Move everything to the host, for an object that is removed and may come back."""
        self._spatial.clear()
        self._pointers.clear()
        self.prompted = {frame: memory.to("cpu") for frame, memory in self.prompted.items()}

    def demote(self, frame: int, output: FrameOutput) -> None:
        """Treat a prompted frame as a tracked one, since its prompt is gone."""
        self.remember(self.prompted.pop(frame), output)

    def forget(self, frame: int) -> None:
        """Drop what was tracked on a frame."""
        self._spatial.pop(frame, None)
        self._pointers.pop(frame, None)
        self._scores.pop(frame, None)
        self._history.discard(self._key(frame))

    def clear(self) -> None:
        """Drop all memories."""
        for frame in {*self.tracked, *self._spatial, *self._pointers}:
            self.forget(frame)
        self.prompted.clear()

    def evict(self, step: TrackingStep, policy: MemoryPolicy) -> None:
        """Let memories leave the device that `policy` does not choose for the next step."""
        chosen = dict(policy.select(step, self)), dict(policy.select_pointers(step, self))
        for kept, needed in zip((self._spatial, self._pointers), chosen, strict=True):
            for frame in kept.keys() - needed.keys():
                del kept[frame]

    @property
    def tracked(self) -> list[int]:
        """Frames of which a tracked memory is kept somewhere, in order."""
        return self._history.frames(self._object_id, MEMORY)

    @property
    def device_bytes(self) -> int:
        """Bytes of what is about to be read."""
        prompted = (
            tensor.nbytes
            for memory in self.prompted.values()
            for tensor in (memory.spatial_bx, memory.pointer_bd, memory.score_b1)
        )
        kept = (
            tensor.nbytes for kind in (self._spatial, self._pointers) for tensor in kind.values()
        )
        return sum(prompted) + sum(kept)

    def _fetch(self, frame: int, name: str, kept: dict[int, Tensor]) -> None:
        """Bring a memory back to the device that was evicted."""
        record = (self.record(frame) or {}) if self.remembers(frame) else {}
        if name in record:  # a caller may have dropped it by transformers' names
            kept[frame] = record[name].to(self.device)

    def _key(self, frame: int) -> tuple[int, int, str]:
        return self._object_id, frame, MEMORY
