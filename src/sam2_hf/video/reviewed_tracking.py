"""Tracking under a policy that reviews the candidate masks of a frame, and may keep several.

Hypotheses of an object are tracked as further objects of the batch.

Suffixes: b = hypotheses of all objects, k = masks that are kept, m = candidates, x = dimensions of
a spatial memory, d = decoder channels, h, w = rows and columns.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

import torch
from torch import Tensor

from sam2_hf.model.outputs import FrameFeatures, FrameMemory, ObjectMasks
from sam2_hf.video.policies.hypothesis import hypotheses
from sam2_hf.video.policies.mask_candidates import MaskCandidates
from sam2_hf.video.policies.memory_policy import Kept, MemoryPolicy, TrackingStep

from .frame_result import FrameOutput
from .memory_bank import FURTHER_POINTERS, FURTHER_SPATIAL, NOTES, MemoryBank
from .tracked_object import TrackedObject
from .tracking import NO_PROMPTS, track_step
from .tracking_model import TrackingModel

# an object with its output and memory on a frame, and further tensors of its record
TrackedFrame = tuple[TrackedObject, FrameOutput, FrameMemory | None, Mapping[str, Tensor]]


@dataclass(frozen=True, slots=True, eq=False)
class KeptMasks:
    """The masks that a policy keeps of a frame.

    Attributes:
        masks: One row for each mask, those of an object one after the other, its answer first.
        kept: What is kept of each object.
    """

    masks: ObjectMasks
    kept: Sequence[Kept]

    def by_object(
        self,
        objects: Sequence[TrackedObject],
        outputs: Sequence[FrameOutput],
        memories: Sequence[FrameMemory | None],
    ) -> list[TrackedFrame]:
        """Group the outputs and memories of all masks by object.

        Args:
            objects: The objects.
            outputs: One for each row of `masks`.
            memories: The same; None without a memory.
        """
        ends = list(accumulate(len(kept.masks) for kept in self.kept))
        starts = [0, *ends[:-1]]
        return [
            (
                obj,
                outputs[start],
                memories[start],
                _record(kept, [memory for memory in memories[start + 1 : end] if memory]),
            )
            for obj, kept, start, end in zip(objects, self.kept, starts, ends, strict=True)
        ]


def track_and_review(
    model: TrackingModel,
    features: FrameFeatures,
    banks: Sequence[MemoryBank],
    step: TrackingStep,
    policy: MemoryPolicy,
    *,
    dynamic_multimask_via_stability: bool | None = None,
) -> KeptMasks:
    """Track all hypotheses of all objects on a frame, and keep what the policy chooses.

    Args:
        model: The model.
        features: The frame.
        banks: Memories of each object.
        step: The current frame.
        policy: Selects memories, and masks.
        dynamic_multimask_via_stability: As in `decode_views`.
    """
    views = [hypotheses(bank, step, policy) for bank in banks]
    found = track_step(
        model,
        features,
        [view for own in views for view in own],
        NO_PROMPTS,
        step,
        policy,
        dynamic_multimask_via_stability=dynamic_multimask_via_stability,
    )
    iou_bm, score_b = found.candidate_iou_bm.tolist(), found.score_b1[:, 0].tolist()
    kept, rows, candidates, start = [], [], [], 0
    for bank, own in zip(banks, views, strict=True):
        several = [
            MaskCandidates(found.candidates_bmhw[row], iou_bm[row], score_b[row])
            for row in range(start, start + len(own))
        ]
        kept.append(policy.keep(step, bank, several))
        rows += [start + hypothesis for hypothesis, _ in kept[-1].masks]
        candidates += [candidate for _, candidate in kept[-1].masks]
        start += len(own)
    return KeptMasks(_selected(model, found, rows, candidates), kept)


def _selected(
    model: TrackingModel, found: ObjectMasks, rows: list[int], candidates: list[int]
) -> ObjectMasks:
    """Make chosen candidates the masks, with their object pointers."""
    device = found.candidate_iou_bm.device
    row_k, candidate_k = torch.tensor([rows, candidates], device=device)
    pointer_kd, score_k1 = found.pointer_bd[row_k], found.score_b1[row_k]
    # a pointer that is there already is not made again: equal choices give equal bits
    others = (found.candidate_iou_bm.argmax(dim=-1)[row_k] != candidate_k).nonzero()[:, 0]
    if len(others) and found.candidate_tokens_bmd is not None:
        token_kd = found.candidate_tokens_bmd[row_k[others], candidate_k[others]]
        pointer_kd[others] = model.object_pointers(token_kd, score_k1[others]).to(pointer_kd.dtype)
    return replace(
        found,
        candidates_bmhw=found.candidates_bmhw[row_k],
        candidate_iou_bm=found.candidate_iou_bm[row_k],
        logits_b1hw=found.candidates_bmhw[row_k, candidate_k][:, None],
        iou_b1=found.candidate_iou_bm[row_k, candidate_k][:, None],
        pointer_bd=pointer_kd,
        score_b1=score_k1,
        candidate_tokens_bmd=None,
    )


def _record(kept: Kept, further: list[FrameMemory]) -> dict[str, Tensor]:
    """Collect what a record holds beyond the answer: notes, and other hypotheses' memories."""
    record = {
        f"{NOTES}{name}": torch.tensor(list(numbers), dtype=torch.float64)
        for name, numbers in kept.notes.items()
    }
    if further:
        record[FURTHER_SPATIAL] = torch.cat([memory.spatial_bx for memory in further])
        record[FURTHER_POINTERS] = torch.cat([memory.pointer_bd for memory in further])
    return record
