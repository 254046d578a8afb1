"""The memory bank of one object: memories needed next stay on the device, the rest is offloaded.

Prompted frames are "conditioning frames", tracked ones "non-conditioning".
Suffixes: b = objects (1 here), k = further hypotheses of the object on a frame, x = dimensions of a
spatial memory, d = decoder channels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor

from sam2_hf.frames.host_copies import HostCopies, finish_host_copy
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.video.policies.hypothesis import hypotheses
from sam2_hf.video.policies.memory_policy import LOOK_BACK, MemoryPolicy, TrackingStep
from sam2_hf.video.storage.record_store import Key, RecordStore

from .frame_result import FrameOutput

MEMORY = "memory"  # record kind in the history
OUTPUT = "output"  # kind of records of tracked frames that left no memory
NOTES = "notes."  # begins the names of a record's tensors that hold a policy's notes
# further hypotheses in a record: spatial memories `(k, ...)` and object pointers `(k, 256)`
FURTHER_SPATIAL, FURTHER_POINTERS = "further_spatial", "further_pointers"
NOTHING_MORE: Mapping[str, Tensor] = {}
Number = TypeVar("Number")
Records = Mapping[str, Mapping[str, Tensor]]  # kind -> record of a frame


class MemoryBank:
    """Memories of one object: all in the record store, selected ones also on the device.

    Memories of prompted frames and references never leave the device.

    Attributes:
        references: Memories of pictures outside the video, in the order they were added.
        prompted: Memories of prompted frames, by frame.
        device: Device of memories to be read next.

    Args:
        object_id: The object.
        history: Stores every tracked memory, and returns it when tracking starts elsewhere.
        device: Device of memories to be read next; the reader moves them.
    """

    def __init__(self, object_id: int, history: RecordStore, device: torch.device | str) -> None:
        self.references: tuple[FrameMemory, ...] = ()
        self.prompted: dict[int, FrameMemory] = {}
        self._object_id = object_id
        self._history = history
        self.device = device
        self._spatial: dict[int, Tensor] = {}
        self._pointers: dict[int, Tensor] = {}
        self._further_spatial: dict[int, Tensor] = {}
        self._further_pointers: dict[int, Tensor] = {}
        # of tracked frames, to avoid disk reads
        self._scores: dict[int, float] = {}
        self._numbers: dict[int, dict[str, Sequence[float]]] = {}

    def remember(self, memory: FrameMemory, output: FrameOutput) -> None:
        """Store the memory and output of a tracked frame.

        Raises:
            OutputError: The disk is full; the memory is stored anyway.
        """
        copies = HostCopies()
        record = self.stage(memory, output, copies)
        copies.wait()
        self.commit(memory.frame, record)

    def stage(
        self,
        memory: FrameMemory | None,
        output: FrameOutput,
        copies: HostCopies,
        more: Mapping[str, Tensor] = NOTHING_MORE,
    ) -> dict[str, Tensor]:
        """Make the memory of a tracked frame readable, and start copying it to the host.

        Args:
            memory: The memory; None if the frame leaves none, only its output.
            output: The output.
            copies: Collects the copies.
            more: Further tensors of its record: notes of policies, memories of further hypotheses.

        Returns:
            Record to pass to `commit` once `copies` have arrived.
        """
        answer = {"logits": output.logits_1hw, "iou": output.iou_1, "score": output.score_1}
        if memory is None:
            return copies.take_all(answer)
        stored = memory.to(self.device)
        self._spatial[memory.frame] = stored.spatial_bx
        self._pointers[memory.frame] = stored.pointer_bd
        self._further_spatial.pop(memory.frame, None)
        self._further_pointers.pop(memory.frame, None)
        if FURTHER_SPATIAL in more:
            self._further_spatial[memory.frame] = more[FURTHER_SPATIAL].to(self.device)
            self._further_pointers[memory.frame] = more[FURTHER_POINTERS].to(self.device)
        record = {
            **more,
            "spatial": stored.spatial_bx,
            "pointer": stored.pointer_bd,
            **answer,
        }
        return copies.take_all(record)

    def commit(self, frame: int, record: dict[str, Tensor]) -> None:
        """Store the record of `stage` once it has arrived on the host.

        Raises:
            OutputError: The disk is full; the record is kept anyway.
        """
        kept = {
            name: finish_host_copy(values) if values.is_pinned() else values
            for name, values in record.items()
        }
        if "spatial" not in kept:
            self.forget(frame)
            self._history.put(self._key(frame, OUTPUT), kept)
            return
        self._scores[frame] = float(kept["score"])
        self._numbers.pop(frame, None)
        self._history.put(self._key(frame), kept)  # comes before an output without memory

    def remember_prompted(self, memory: FrameMemory) -> None:
        """Store the memory of a prompted frame, replacing a tracked one."""
        self.forget(memory.frame)
        self.prompted[memory.frame] = memory.to(self.device)

    def refer_to(self, memories: Iterable[FrameMemory]) -> None:
        """Add references."""
        self.references += tuple(memory.to(self.device) for memory in memories)

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
        """Look up the object score of a frame, logits; None if it has no memory."""
        if frame in self.prompted:
            return float(self.prompted[frame].score_b1)
        if frame not in self._scores:  # after loading or an undo
            record = self.record(frame)
            if record is None or "score" not in record:
                return None
            self._scores[frame] = float(record["score"])
        return self._scores[frame]

    def iou(self, frame: int) -> float | None:
        """Look up the predicted IoU of a tracked frame; None if it is unknown."""
        iou = self._noted(frame).get("iou")
        return None if iou is None else iou[0]

    def notes(self, frame: int, policy: str) -> Sequence[float] | None:
        """Look up what a policy noted on a tracked frame; None if there is nothing."""
        return self._noted(frame).get(NOTES + policy)

    def further_spatial_kx(self, frame: int) -> Tensor | None:
        """Look up the spatial memories of a frame's further hypotheses; None if there are none."""
        if frame not in self._further_spatial:
            self._fetch(frame, FURTHER_SPATIAL, self._further_spatial)
        return self._further_spatial.get(frame)

    def further_pointers_kd(self, frame: int) -> Tensor | None:
        """Look up the object pointers of a frame's further hypotheses; None if there are none."""
        if frame not in self._further_pointers:
            self._fetch(frame, FURTHER_POINTERS, self._further_pointers)
        return self._further_pointers.get(frame)

    def output(self, frame: int) -> FrameOutput | None:
        """Look up the output of a tracked frame, in RAM; None if there is none."""
        record = self.record(frame) or self._history.get(self._key(frame, OUTPUT))
        if record is None or not {"logits", "iou", "score"} <= record.keys():
            return None
        return FrameOutput(record["logits"], record["iou"], record["score"])

    def record(self, frame: int) -> dict[str, Tensor] | None:
        """Look up the record of a tracked frame; None if there is none."""
        return self._history.get(self._key(frame))

    def remembers(self, frame: int) -> bool:
        """Tell whether a tracked frame has a record."""
        return self._key(frame) in self._history

    def memory(self, frame: int) -> FrameMemory | None:
        """Look up the memory of a prompted or tracked frame; None if there is none."""
        record = self.record(frame)
        if frame in self.prompted or record is None:
            return self.prompted.get(frame)
        if not {"spatial", "pointer", "score"} <= record.keys():
            return None
        return FrameMemory(frame, record["spatial"], record["pointer"], record["score"][None])

    def records(self, frame: int) -> Records:
        """Look up what there is of a tracked frame, by kind; for `restore`."""
        found = {kind: self._history.get(self._key(frame, kind)) for kind in (MEMORY, OUTPUT)}
        return {kind: record for kind, record in found.items() if record is not None}

    def restore(self, frame: int, records: Records) -> None:
        """Restore a tracked frame to the `records` looked up before."""
        self.forget(frame)
        for kind, record in records.items():
            self._history.put(self._key(frame, kind), record)

    def put_back(self, frame: int, record: dict[str, Tensor]) -> None:
        """Replace the `record` of a tracked frame."""
        self.restore(frame, {MEMORY: record})

    def offload(self) -> None:
        """Move everything to the host, for a removed object that may be restored."""
        self._spatial.clear()
        self._pointers.clear()
        self._further_spatial.clear()
        self._further_pointers.clear()
        self._scores.clear()
        self._numbers.clear()
        self.prompted = {frame: memory.to("cpu") for frame, memory in self.prompted.items()}
        self.references = tuple(memory.to("cpu") for memory in self.references)

    def demote(self, frame: int, output: FrameOutput) -> None:
        """Turn a prompted frame into a tracked one; its prompt was removed."""
        self.remember(self.prompted.pop(frame), output)

    def forget(self, frame: int) -> None:
        """Drop the tracked memory and output of a frame."""
        self._spatial.pop(frame, None)
        self._pointers.pop(frame, None)
        self._further_spatial.pop(frame, None)
        self._further_pointers.pop(frame, None)
        self._scores.pop(frame, None)
        self._numbers.pop(frame, None)
        self._history.discard(self._key(frame))
        self._history.discard(self._key(frame, OUTPUT))

    def clear(self) -> None:
        """Drop all memories."""
        outputs = self._history.frames(self._object_id, OUTPUT)
        for frame in {*self.tracked, *outputs, *self._spatial, *self._pointers}:
            self.forget(frame)
        self.prompted.clear()
        self.references = ()

    def evict(self, step: TrackingStep, policy: MemoryPolicy) -> dict[int, int]:
        """Evict memories that `policy` does not select for the next step, and far-off numbers.

        Returns:
            The selected frames.
        """
        chosen = dict(policy.select(step, self)), dict(policy.select_pointers(step, self))
        if policy.branches:
            chosen = self._chosen_on_paths(step, policy)
        for kept, needed in zip(
            (self._spatial, self._pointers, self._further_spatial, self._further_pointers),
            (*chosen, *chosen),
            strict=True,
        ):
            for frame in kept.keys() - needed.keys():
                del kept[frame]
        # numbers that no policy looks back to are read from the records again if need be
        if self._numbers:
            self._numbers = _near(self._numbers, step.frame, LOOK_BACK + 1)
        if len(self._scores) > 2 * LOOK_BACK:
            self._scores = _near(self._scores, step.frame, LOOK_BACK + 1)
        return {**chosen[0], **chosen[1]}

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Within this, what is reloaded stays on the device only until the end."""
        kept = dict(self._spatial), dict(self._pointers)
        further = dict(self._further_spatial), dict(self._further_pointers)
        try:
            yield
        finally:
            self._spatial, self._pointers = kept
            self._further_spatial, self._further_pointers = further

    @property
    def tracked(self) -> list[int]:
        """Frames with a tracked memory, in order."""
        return self._history.frames(self._object_id, MEMORY)

    @property
    def device_bytes(self) -> int:
        """Bytes of memories on the device."""
        prompted = (
            tensor.nbytes
            for memory in (*self.references, *self.prompted.values())
            for tensor in (memory.spatial_bx, memory.pointer_bd, memory.score_b1)
        )
        kinds = (self._spatial, self._pointers, self._further_spatial, self._further_pointers)
        kept = (tensor.nbytes for kind in kinds for tensor in kind.values())
        return sum(prompted) + sum(kept)

    def _chosen_on_paths(
        self, step: TrackingStep, policy: MemoryPolicy
    ) -> tuple[dict[int, int], dict[int, int]]:
        """Collect what the hypotheses of a step attend to."""
        views = hypotheses(self, step, policy)
        return (
            {frame: age for view in views for frame, age in policy.select(step, view)},
            {frame: age for view in views for frame, age in policy.select_pointers(step, view)},
        )

    def _noted(self, frame: int) -> dict[str, Sequence[float]]:
        """Read the predicted IoU and the notes of a tracked frame."""
        if frame not in self._numbers:
            if not self.remembers(frame):
                return {}
            record = self.record(frame) or {}
            self._numbers[frame] = {
                name: tensor.flatten().tolist()
                for name, tensor in record.items()
                if name == "iou" or name.startswith(NOTES)
            }
        return self._numbers[frame]

    def _fetch(self, frame: int, name: str, kept: dict[int, Tensor]) -> None:
        """Reload an evicted memory to the device."""
        record = (self.record(frame) or {}) if self.remembers(frame) else {}
        if name in record:  # it may have been deleted through transformers' API
            kept[frame] = record[name].to(self.device)

    def _key(self, frame: int, kind: str = MEMORY) -> Key:
        return self._object_id, frame, kind


def _near(numbers: dict[int, Number], frame: int, distance: int) -> dict[int, Number]:
    """Return what there is on frames up to a distance from a frame."""
    first, last = frame - distance, frame + distance
    return {number: found for number, found in numbers.items() if first <= number <= last}
