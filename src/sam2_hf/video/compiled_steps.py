"""Compiled tracking steps, graphs of fixed shapes: encode a frame; attend, decode, encode memory.

One graph covers everything from the features of a frame to its memory: one launch per frame without
synchronization. On CUDA the graphs are recorded and replayed as a whole. Nothing is recompiled once
each [`ShapeBucket`] has been used both filling and full.

Suffixes: b = objects, 3ss = red green blue, input rows and columns, x = dimensions of a spatial
    memory, d = decoder channels, h, w = rows and columns.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sam2_hf.compiling import Compiled
from sam2_hf.model.memory_tokens import MemoryInputs, StaticMemoryInputs
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import FrameFeatures, ObjectMasks
from sam2_hf.video.policies.hypothesis import Memories
from sam2_hf.video.policies.memory_policy import MemoryPolicy, MemoryRules, TrackingStep

from .static_memory import MemorySlots, ShapeBucket
from .tracking import NO_PROMPTS, chooses_among_masks, gather_memories


class CompiledSteps:
    """Compile the steps of one model; graphs are shared by all sessions that use it.

    Args:
        model: The model, on its device.
        memory_dtype: Dtype of spatial memories.
    """

    def __init__(self, model: Sam2VideoModel, memory_dtype: torch.dtype) -> None:
        self.model = model
        self._memory_dtype = memory_dtype
        self._slots: MemorySlots | None = None
        self._encode = Compiled(encode_frame)
        self._track = Compiled(track_fixed)

    def encode(self, pixels_b3ss: Tensor) -> FrameFeatures:
        """Encode frames; see `Sam2VideoModel.encode_image`."""
        return FrameFeatures(*self._encode(self.model, pixels_b3ss))

    def track(
        self,
        features: FrameFeatures,
        memories: Sequence[Memories],
        step: TrackingStep,
        policy: MemoryPolicy,
        *,
        dynamic_multimask_via_stability: bool | None = None,
    ) -> tuple[ObjectMasks, Tensor]:
        """Track objects on a frame; as `track_step` without prompts, then `encode_memory`.

        Args:
            features: The frame.
            memories: Memories of each object.
            step: The current frame.
            policy: Selects the memories to attend to.
            dynamic_multimask_via_stability: As in `decode_views`.

        Returns:
            Masks, scores and pointers, objects in the order of `memories`; and their spatial
            memories of the frame from `encode_memory`.
        """
        inputs = [gather_memories(bank, step, policy) for bank in memories]
        fixed = self._slots_for(inputs, policy.rules).fill(inputs)
        count = len(memories)
        found = self._track(self.model, features, fixed, dynamic_multimask_via_stability)
        logits_b1hw, iou_b1, pointer_bd, score_b1, spatial_bx = (part[:count] for part in found)
        # without prompts only the best candidate is used
        masks = ObjectMasks(logits_b1hw, iou_b1, logits_b1hw, iou_b1, pointer_bd, score_b1)
        return masks, spatial_bx

    def _slots_for(self, inputs: Sequence[MemoryInputs], rules: MemoryRules) -> MemorySlots:
        """Return tensors with room for these memories; new tensors are empty."""
        room = ShapeBucket.for_all(inputs, slots=rules.num_memories, pointers=rules.num_pointers)
        if self._slots is None or not self._slots.fits(self.model, room):
            self._slots = MemorySlots(self.model, room, self._memory_dtype)
        return self._slots

    @property
    def num_bytes(self) -> int:
        """Bytes of the memory slots."""
        return 0 if self._slots is None else self._slots.num_bytes


def encode_frame(model: Sam2VideoModel, pixels_b3ss: Tensor) -> tuple[Tensor, ...]:
    """Encode frames: the features as a tuple."""
    features = model.encode_image(pixels_b3ss)
    return features.fine_bchw, features.coarse_bchw, features.embedding_bchw


def track_fixed(
    model: Sam2VideoModel,
    features: FrameFeatures,
    memories: StaticMemoryInputs,
    dynamic_multimask_via_stability: bool | None = None,  # noqa: FBT001 - `Compiled` passes by place
) -> tuple[Tensor, ...]:
    """Track objects on a frame: logits, predicted IoU, pointers, object scores, and a memory.

    Args:
        model: The model.
        features: The frame.
        memories: Memories to attend to.
        dynamic_multimask_via_stability: As in `decode_views`.
    """
    embedding_bdhw = model.condition_on_memory(features, memories)
    multimask = chooses_among_masks(model, NO_PROMPTS, tracked=True)
    masks = model.decode_masks(
        features,
        embedding_bdhw,
        NO_PROMPTS,
        multimask_output=multimask,
        dynamic_multimask_via_stability=dynamic_multimask_via_stability,
    )
    spatial_bx = model.encode_memory(features, masks.logits_b1hw, masks.score_b1, binarize=False)
    return masks.logits_b1hw, masks.iou_b1, masks.pointer_bd, masks.score_b1, spatial_bx
