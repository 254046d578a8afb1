"""SAM 2 on exported graphs: a model for sessions and pipelines without a PyTorch module in it.

Tensors at its border are torch's, on the CPU; what lies between runs in ONNX Runtime or OpenVINO.

Suffixes: b = objects (or pictures), p = objects of a picture, m = masks of an object, t = points of
an object, s = spatial memories, c = channels, d = decoder channels (256), h, w = rows and columns.
"""

from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from sam2_hf.errors import ExportError
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.mask_decoder import choose_single, gated
from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.modeling_sam2_video import GIVEN_SCALE, GIVEN_SHIFT
from sam2_hf.model.outputs import (
    DecodedMasks,
    FrameFeatures,
    GatedMasks,
    ObjectMasks,
    Sam2ImageSegmentationOutput,
)
from sam2_hf.model.prompt_encoder import NO_OBJECT, Prompts, fill_padding_objects, labels_for_boxes
from sam2_hf.model.promptable_model import VideoModelSizes

from .graph_folder import GraphFolder
from .hub_download import local_folder

OBJECTS_AT_ONCE = 8  # prompts of a picture; the features of each have 8 MiB at 1024 pixels


class ExportedSam2(VideoModelSizes):
    """What `Sam2VideoModel` and `Sam2Model` do, on the graphs of a folder.

    Sessions, pipelines and the command line take it in place of a model. It can neither learn nor
    be moved; `model.config` says what it was made of.

    Args:
        graphs: The opened folder.

    Attributes:
        graphs: The opened folder.
        config: Config of the exported model.
        name_or_path: The folder, where the processor's settings lie.
    """

    training = False
    dtype = torch.float32
    device = torch.device("cpu")

    def __init__(self, graphs: GraphFolder) -> None:
        self.graphs = graphs
        self.config: Sam2VideoConfig = graphs.config
        self.read_sizes(self.config)
        self.name_or_path = str(graphs.folder)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Open an exported folder, or download one.

        Args:
            folder: Its path, or the id of a Hub repo.

        Raises:
            ExportError: A graph is missing, damaged, or of another model than the others; or there
                is no such export on the Hub.
            MissingPackageError: What runs them is not installed.
        """
        return cls(GraphFolder(local_folder(folder)))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all graphs."""
        return self.graphs.fingerprint

    @property
    def num_parameters(self) -> int:
        """Numbers that the exported model has learned."""
        return int(self.graphs.about["sam2_hf.parameters"])

    @property
    def num_bytes(self) -> int:
        """Bytes of the graphs' files."""
        return self.graphs.num_bytes

    @property
    def num_maskmem(self) -> int:
        """Spatial memories that a frame looks at, the prompted ones counted as one."""
        return self.config.num_maskmem

    def eval(self) -> Self:
        """Return itself, which cannot be trained."""
        return self

    def to(self, *, device: torch.device | str | None = None, dtype: object = None) -> Self:
        """Return itself where it is.

        Raises:
            ExportError: It is wanted elsewhere, or in another dtype.
        """
        if device is not None and torch.device(device).type != "cpu":
            raise ExportError(f"exported graphs run on the CPU; device {device} cannot be used.")
        if dtype not in (None, "auto", torch.float32):
            raise ExportError(
                f"exported graphs keep their type; dtype {dtype} cannot be used. Leave it out, or "
                "export the model with --dtype."
            )
        return self

    def encode_image(self, pixel_values: Tensor) -> FrameFeatures:
        """Encode frames; see `Sam2VideoModel.encode_image`."""
        maps = [
            self.graphs("image_encoder", pixel_values=picture[None]) for picture in pixel_values
        ]
        return FrameFeatures(*(torch.cat(level) for level in zip(*maps, strict=True)))

    def condition_on_memory(self, features: FrameFeatures, memories: MemoryInputs | None) -> Tensor:
        """Fuse what objects remember into a frame; see `Sam2VideoModel.condition_on_memory`.

        Args:
            features: The frame, which all objects share.
            memories: What they attend to; None on a frame that is segmented from prompts alone.
        """
        embedding = features.embedding_bchw
        if memories is None:
            return self.graphs("no_memory", embedding=embedding)[0]
        objects = memories.num_objects
        pointers, times = memories.pointers_bpd, memories.times_bp
        if pointers is None or times is None:
            pointers, times = torch.zeros(objects, 0, self.hidden_dim), torch.zeros(objects, 0)
        return self.graphs(
            "memory_attention",
            embedding=embedding,
            spatial=torch.stack([memory.float() for memory in memories.spatial], dim=1),
            ages=torch.tensor(memories.ages).expand(objects, -1),
            pointers=pointers.float(),
            times=times.float(),
        )[0]

    def decode_masks(
        self,
        features: FrameFeatures,
        embedding_bdhw: Tensor,
        prompts: Prompts,
        *,
        multimask_output: bool,
        dynamic_multimask_via_stability: bool | None = None,
    ) -> ObjectMasks:
        """Decode one mask for each object; see `Sam2VideoModel.decode_masks`."""
        given = [p for p in (prompts.points_bpt2, prompts.masks_bphw) if p is not None]
        objects = max([len(embedding_bdhw), *map(len, given)])
        embedding_bdhw = embedding_bdhw.expand(objects, -1, -1, -1)
        decoded = self._choose(
            self._decode(features, embedding_bdhw, prompts),
            multimask_output=multimask_output,
            by_stability=dynamic_multimask_via_stability,
        )
        score_b1, iou_bm = decoded.score_bp1[:, 0], decoded.iou_bpm[:, 0]
        in_view_b111 = (score_b1 > 0)[..., None, None]
        candidates_bmhw = decoded.logits_bpmhw[:, 0].where(in_view_b111, NO_OBJECT)
        best_b1 = iou_bm.argmax(dim=-1, keepdim=True)
        token_bd = decoded.tokens_bpmc[:, 0].take_along_dim(best_b1[..., None], dim=1)[:, 0]
        return ObjectMasks(
            candidates_bmhw,
            iou_bm,
            candidates_bmhw.take_along_dim(best_b1[..., None, None], dim=1),
            iou_bm.gather(1, best_b1),
            self._pointer(token_bd, score_b1),
            score_b1,
            candidate_tokens_bmd=decoded.tokens_bpmc[:, 0],
        )

    def object_pointers(self, token_bd: Tensor, score_b1: Tensor) -> Tensor:
        """Make pointers of chosen candidates; see `Sam2VideoModel.object_pointers`."""
        return self._pointer(token_bd, score_b1)

    def use_mask_as_output(self, features: FrameFeatures, mask_b1hw: Tensor) -> ObjectMasks:
        """Take given masks for the answer; see `Sam2VideoModel.use_mask_as_output`."""
        mask_b1hw = mask_b1hw.float()
        prompt_b1hw, logits_b1hw = self.graphs("mask_prompt", given=mask_b1hw)
        embedding = features.embedding_bchw.expand(len(mask_b1hw), -1, -1, -1)
        decoded = self._decode(features, embedding, Prompts(masks_bphw=prompt_b1hw))
        in_view_b1 = mask_b1hw.flatten(1).gt(0).any(dim=1, keepdim=True)
        score_b1 = in_view_b1.float() * GIVEN_SCALE + GIVEN_SHIFT
        # the pointer is one of an object in view where the mask and the decoder say so
        both_b1 = torch.minimum(score_b1, decoded.score_bp1[:, 0])
        iou_b1 = torch.ones_like(score_b1)
        return ObjectMasks(
            logits_b1hw,
            iou_b1,
            logits_b1hw,
            iou_b1,
            self._pointer(decoded.tokens_bpmc[:, 0, 0], both_b1),
            score_b1,
            mask_b1hw * GIVEN_SCALE + GIVEN_SHIFT,
        )

    def encode_memory(
        self, features: FrameFeatures, logits_b1hw: Tensor, score_b1: Tensor, *, binarize: bool
    ) -> Tensor:
        """Encode what a frame is remembered by; see `Sam2VideoModel.encode_memory`."""
        return self.graphs(
            "memory_encoder",
            embedding=features.embedding_bchw,
            logits=logits_b1hw.float(),
            score=score_b1.float(),
            binarize=torch.tensor(binarize),
        )[0]

    def get_image_embeddings(self, pixel_values: Tensor, **_: Any) -> list[Tensor]:
        """Encode pictures for a call; see `Sam2Model.get_image_embeddings`."""
        features = self.encode_image(pixel_values)
        marked = [
            self.graphs("no_memory", embedding=picture[None])[0]
            for picture in features.embedding_bchw
        ]
        return [features.fine_bchw, features.coarse_bchw, torch.cat(marked)]

    def __call__(
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: list[Tensor] | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - as of `Sam2Model.forward`
    ) -> Sam2ImageSegmentationOutput:
        """Answer prompts on a picture; see `Sam2Model.forward`.

        Raises:
            ExportError: There are several pictures, or none.
        """
        if image_embeddings is None and pixel_values is not None:
            image_embeddings = self.get_image_embeddings(pixel_values)
        if image_embeddings is None or len(image_embeddings[-1]) != 1:
            raise ExportError("an exported model answers for one picture at a time. Give one.")
        prompts = Prompts(input_points, input_labels, input_boxes, input_masks)
        prompts = prompts.completed(self.mask_input_size, image_embeddings[-1])
        decoded = self._answer(image_embeddings, prompts, multimask_output=multimask_output)
        padding_bp = prompts.padding_objects()
        return Sam2ImageSegmentationOutput(
            iou_scores=fill_padding_objects(decoded.iou_bpm, padding_bp, 0.0),
            pred_masks=fill_padding_objects(decoded.logits_bpmhw, padding_bp, NO_OBJECT),
            object_score_logits=fill_padding_objects(decoded.score_bp1, padding_bp, NO_OBJECT),
            image_embeddings=image_embeddings,
        )

    def decode_gated(
        self,
        image_embeddings: list[Tensor],
        input_points: Tensor,
        input_labels: Tensor,
        input_masks: Tensor | None = None,
        *,
        multimask_output: bool,
        min_iou: float,
    ) -> GatedMasks:
        """Answer many prompts on one picture; see `Sam2Model.decode_gated`."""
        prompts = Prompts(input_points, input_labels, None, input_masks)
        prompts = prompts.completed(self.mask_input_size, image_embeddings[-1])
        decoded = self._answer(image_embeddings, prompts, multimask_output=multimask_output)
        return gated(decoded, min_iou)

    def _answer(
        self, maps: list[Tensor], prompts: Prompts, *, multimask_output: bool
    ) -> DecodedMasks:
        """Decode the prompts of one picture, as one image of p objects; some at a time."""
        objects = prompts.num_objects
        features = FrameFeatures(maps[0], maps[1], maps[2])
        answers = []
        for start in range(0, max(objects, 1), OBJECTS_AT_ONCE):
            few = slice(start, min(start + OBJECTS_AT_ONCE, objects))
            embedding = maps[2].expand(few.stop - few.start, -1, -1, -1)
            decoded = self._decode(features, embedding, _as_images(prompts, few))
            answers.append(self._choose(decoded, multimask_output=multimask_output))
        joined = (torch.cat(parts).transpose(0, 1) for parts in zip(*answers, strict=True))
        return DecodedMasks(*joined)

    def _decode(
        self, features: FrameFeatures, embedding_bdhw: Tensor, prompts: Prompts
    ) -> DecodedMasks:
        """Decode all candidates; each object is an image of its own, `p` = 1."""
        objects, masks = len(embedding_bdhw), prompts.masks_bphw
        if prompts.points_bpt2 is None or prompts.labels_bpt is None:
            points, labels = torch.zeros(objects, 1, 2), torch.full((objects, 1), -1)
        else:
            points, labels = prompts.points_bpt2[:, 0].float(), prompts.labels_bpt[:, 0].long()
        if masks is None:
            masks = torch.zeros(1, 1, *self.mask_input_size)
        found = self.graphs(
            "mask_decoder",
            fine=features.fine_bchw,
            coarse=features.coarse_bchw,
            conditioned=embedding_bdhw,
            points=points,
            labels=labels,
            mask=masks.float().expand(objects, -1, -1, -1),
            has_mask=torch.full((objects,), prompts.masks_bphw is not None),
        )
        logits, iou, tokens, score = (values[:, None] for values in found)
        return DecodedMasks(logits, iou, tokens, score)

    def _choose(
        self, decoded: DecodedMasks, *, multimask_output: bool, by_stability: bool | None = None
    ) -> DecodedMasks:
        """Choose among the candidates; see `MaskDecoder.forward`."""
        logits, iou, tokens, score = decoded
        if multimask_output:
            return DecodedMasks(logits[:, :, 1:], iou[:, :, 1:], tokens[:, :, 1:], score)
        config = self.config.mask_decoder_config
        if by_stability is None:
            by_stability = config.dynamic_multimask_via_stability
        if not by_stability:
            return DecodedMasks(logits[:, :, :1], iou[:, :, :1], tokens[:, :, :1], score)
        chosen_bp1 = choose_single(logits, iou, config)
        drawn = logits.take_along_dim(chosen_bp1[..., None, None], dim=2)
        return DecodedMasks(drawn, iou.gather(2, chosen_bp1), tokens[:, :, :1], score)

    def _pointer(self, token_bd: Tensor, score_b1: Tensor) -> Tensor:
        return self.graphs("object_pointer", token=token_bd, score=score_b1)[0]


OnnxSam2 = ExportedSam2  # its name while there was one runtime


def _as_images(prompts: Prompts, objects: slice) -> Prompts:
    """Turn some objects of one picture into pictures of one object, boxes into corners."""
    points, labels, boxes = prompts.points_bpt2, prompts.labels_bpt, prompts.boxes_bp4
    places = [] if points is None or labels is None else [(points.float(), labels.long())]
    if boxes is not None:
        places.append((boxes.float().unflatten(-1, (2, 2)), labels_for_boxes(boxes)))
    columns = zip(*places, strict=True)
    points, labels = (torch.cat(parts, dim=2)[0, objects, None] for parts in columns)
    masks = prompts.masks_bphw
    if masks is not None:
        masks = masks.expand(-1, prompts.num_objects, -1, -1)[0, objects, None]
    return Prompts(points, labels, masks_bphw=masks)
