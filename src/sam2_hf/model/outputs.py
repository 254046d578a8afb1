"""Outputs of the models and of their parts: features, decoded masks, memories.

Suffixes: b = images (objects in what belongs to a video), p = objects (prompts) of an image, m =
masks of an object, n = tokens of the image embedding, t = decoder tokens, x = dimensions of a
spatial memory, c = channels, d = decoder channels (256), h, w = rows and columns (of the image
embedding: input size / 16, so 64 for 1024-pixel frames).
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput

LONELY = 2  # tokens of a single click and its closing token, which never need padding


@dataclass
class Sam2HieraDetModelOutput(ModelOutput):
    """Features of the trunk.

    Args:
        last_hidden_state: Output of the last block, `(b, h, w, c)`.
        intermediate_hidden_states: Output of each stage's last block, finest first, each `(b, h, w,
            c)`.
        hidden_states: Input of the first block and output of every block; with
            `output_hidden_states=True`.
        attentions: Output of every attention module, `(windows, h, w, c)`; with
            `output_attentions=True`.
    """

    last_hidden_state: Tensor | None = None
    intermediate_hidden_states: tuple[Tensor, ...] | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@dataclass
class Sam2VisionEncoderOutput(BaseModelOutputWithPooling):
    """Features of the image encoder.

    Args:
        last_hidden_state: Output of the trunk's last block, `(b, h, w, c)`.
        pooler_output: Always None; kept because the base class has it.
        hidden_states: As in [`Sam2HieraDetModelOutput`].
        attentions: As in [`Sam2HieraDetModelOutput`].
        fpn_hidden_states: Neck features, finest first, each `(b, 256, h, w)`.
        fpn_position_encoding: Sine positions of the same shapes.
    """

    fpn_hidden_states: tuple[Tensor, ...] | list[Tensor] | None = None
    fpn_position_encoding: tuple[Tensor, ...] | list[Tensor] | None = None


@dataclass
class Sam2ImageSegmentationOutput(ModelOutput):
    """Masks for the prompts of some images.

    Args:
        iou_scores: Predicted IoU of each mask, `(b, p, m)`, probability.
        pred_masks: Mask logits at a quarter of the input size, `(b, p, m, h, w)`; above 0 is the
            object.
        object_score_logits: Whether the object is in view at all, `(b, p, 1)`, logits.
        image_embeddings: Output of `get_image_embeddings`, to be reused for the next prompt.
        vision_hidden_states: As in [`Sam2HieraDetModelOutput`]; with `output_hidden_states=True`.
        vision_attentions: As in [`Sam2HieraDetModelOutput`]; with `output_attentions=True`.
        mask_decoder_attentions: Output of each layer's image-to-token attention; with
            `output_attentions=True`.
        loss: The loss, a scalar; with `labels`. Last, because transformers' class has no such
            field.
    """

    iou_scores: Tensor | None = None
    pred_masks: Tensor | None = None
    object_score_logits: Tensor | None = None
    image_embeddings: tuple[Tensor, ...] | list[Tensor] | None = None
    vision_hidden_states: tuple[Tensor, ...] | None = None
    vision_attentions: tuple[Tensor, ...] | None = None
    mask_decoder_attentions: tuple[Tensor, ...] | None = None
    loss: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class PromptEmbeddings:
    """Prompts as the mask decoder reads them.

    Attributes:
        sparse_bptc: Tokens of clicks and boxes, `(b, p, t, 256)`.
        dense_bpnc: Mask prompts as an addition to the image embedding, `(b, p or 1, n, 256)`.
        keep_bpt: False where a token only pads a shorter prompt, `(b, p, t)` bool; None if nothing
            is padded.
    """

    sparse_bptc: Tensor
    dense_bpnc: Tensor
    keep_bpt: Tensor | None = None

    @classmethod
    def of(cls, sparse_bptc: Tensor, dense_bchw: Tensor) -> Self:
        """Rearrange the output of the prompt encoder.

        Args:
            sparse_bptc: Tokens; zero at padding.
            dense_bchw: `(b * p, 256, h, w)`, or `(b, 256, h, w)` for all objects of an image.
        """
        batch, objects = sparse_bptc.shape[:2]
        shared = dense_bchw.shape[0] != batch * objects
        dense_bnc = dense_bchw.flatten(2).transpose(1, 2)
        dense_bpnc = dense_bnc.unflatten(0, (batch, 1 if shared else objects))
        return cls(sparse_bptc, dense_bpnc, _marked_padding(sparse_bptc))


def _marked_padding(sparse_bptc: Tensor) -> Tensor | None:
    """Mark tokens other than padding, `(b, p, t)`; None if there is no padding."""
    is_traced = torch.compiler.is_compiling() or torch.jit.is_tracing()  # type: ignore[attr-defined]
    if not is_traced and sparse_bptc.shape[2] <= LONELY:
        return None
    keep_bpt = (sparse_bptc != 0).any(dim=-1)
    # Graphs and accelerators skip the check, which would synchronize: a mask that drops nothing
    # gives the same.
    return None if not is_traced and sparse_bptc.is_cpu and bool(keep_bpt.all()) else keep_bpt


@dataclass(frozen=True, slots=True, eq=False)
class DecodedTokens:
    """Output of the mask decoder before masks are drawn; cheap compared to the masks.

    Attributes:
        image_bpnc: Image tokens after the two-way transformer, `(b, p, n, 256)`.
        mask_tokens_bpmc: One token per candidate mask (the single mask, then the three), `(b, p, 4,
            256)`.
        iou_bpm: Predicted IoU of each candidate, `(b, p, 4)`, probability.
        score_bp1: Object score, `(b, p, 1)`, logits.
    """

    image_bpnc: Tensor
    mask_tokens_bpmc: Tensor
    iou_bpm: Tensor
    score_bp1: Tensor


class DecodedMasks(NamedTuple):
    """The masks chosen for each object; a tuple in the order of transformers' mask decoder.

    Attributes:
        logits_bpmhw: Mask logits at a quarter of the input size, `(b, p, m, h, w)`.
        iou_bpm: Predicted IoU, `(b, p, m)`, probability.
        tokens_bpmc: Tokens of the object pointers, `(b, p, m, 256)`.
        score_bp1: Object score, `(b, p, 1)`, logits.
    """

    logits_bpmhw: Tensor
    iou_bpm: Tensor
    tokens_bpmc: Tensor
    score_bp1: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class GatedMasks:
    """Masks of many prompts whose predicted IoU exceeds a threshold, in prompt order.

    Attributes:
        logits_mhw: Mask logits at a quarter of the input size, `(m, h, w)`.
        iou_m: Predicted IoU, `(m,)`, probability.
        prompt_m: Prompt index of each mask, `(m,)` int64.
    """

    logits_mhw: Tensor
    iou_m: Tensor
    prompt_m: Tensor


@dataclass
class Sam2VideoSegmentationOutput(ModelOutput):
    """Masks of the tracked objects on one frame.

    Args:
        object_ids: The objects, in the order of the rows below.
        pred_masks: Mask logits at a quarter of the input size, `(objects, 1, h, w)`.
        object_score_logits: Whether each object is in view, `(objects, 1)`, logits.
        frame_idx: The frame, counted from 0.
        iou_scores: Predicted IoU of each mask, `(objects, 1)`, probability.
    """

    object_ids: list[int] | None = None
    pred_masks: Tensor | None = None
    object_score_logits: Tensor | None = None
    frame_idx: int | None = None
    iou_scores: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ObjectMasks:
    """Decoder output for objects of one frame, `b` = objects.

    Attributes:
        candidates_bmhw: Mask logits of every candidate at a quarter of the input size; -1024
            everywhere if the object is out of view.
        candidate_iou_bm: Their predicted IoU, probability.
        logits_b1hw: The best candidate.
        iou_b1: Its predicted IoU.
        pointer_bd: Object pointer, `(b, 256)`.
        score_b1: Object score, logits; above 0 the object is in view.
        full_logits_b1hw: A given mask at input size, for the memory encoder; None without a given
            mask.
        candidate_tokens_bmd: Tokens of the candidates, `(b, m, 256)`, from which `object_pointers`
            makes a pointer for another candidate than the best; None where there is no choice.
    """

    candidates_bmhw: Tensor
    candidate_iou_bm: Tensor
    logits_b1hw: Tensor
    iou_b1: Tensor
    pointer_bd: Tensor
    score_b1: Tensor
    full_logits_b1hw: Tensor | None = None
    candidate_tokens_bmd: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameFeatures:
    """Features of one frame shared by all its objects, or of one frame per object.

    Attributes:
        fine_bchw: For the mask decoder, `(b or 1, 32, 4h, 4w)`.
        coarse_bchw: For the mask decoder, `(b or 1, 64, 2h, 2w)`.
        embedding_bchw: Image embedding without any memory, `(b or 1, 256, h, w)`.
    """

    fine_bchw: Tensor
    coarse_bchw: Tensor
    embedding_bchw: Tensor

    def to(self, device: torch.device | str) -> "FrameFeatures":
        """Return these features on `device`."""
        return FrameFeatures(
            self.fine_bchw.to(device), self.coarse_bchw.to(device), self.embedding_bchw.to(device)
        )


@dataclass(frozen=True, slots=True, eq=False)
class FrameMemory:
    """One row of a memory bank. Immutable; a new prompt makes a new row.

    Attributes:
        frame: Index of the frame in its video, counted from 0.
        spatial_bx: Fused image-and-mask memory in the model's layout, `(b, ...)`.
        pointer_bd: Object pointer from the mask decoder, `(b, 256)`.
        score_b1: Object score in logits, `(b, 1)`. Above 0 the object is in view.
    """

    frame: int
    spatial_bx: Tensor
    pointer_bd: Tensor
    score_b1: Tensor

    def to(self, device: torch.device | str) -> "FrameMemory":
        """Return this memory on `device`; all its tensors move together."""
        return replace(
            self,
            spatial_bx=self.spatial_bx.to(device),
            pointer_bd=self.pointer_bd.to(device),
            score_b1=self.score_b1.to(device),
        )
