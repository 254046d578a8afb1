"""SAM 2 for images: encode an image once, then decode any number of prompts.

Suffixes: b = images, p = objects (prompts) of an image, m = masks of an object, t = points of an
object, n = cells of the image embedding, c = channels, h, w = rows and columns.
"""

import inspect
from typing import Any, ClassVar, Self, Unpack

import torch
from torch import Tensor
from transformers.utils.generic import TransformersKwargs, merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from sam2_hf.model.configs.configuration_sam2 import Sam2Config
from sam2_hf.model.kernels.fast_paths import is_bare

from .mask_decoder import MaskDecoder, decode_gated, gated
from .mask_losses import LossRules, mask_losses, read_labels
from .outputs import (
    DecodedMasks,
    GatedMasks,
    PromptEmbeddings,
    Sam2ImageSegmentationOutput,
    Sam2VisionEncoderOutput,
)
from .prompt_encoder import NO_OBJECT, Prompts, fill_padding_objects
from .promptable_model import PromptableModel
from .two_way_transformer import TwoWayBlock

LABEL_DIMENSIONS = 4
CONFIG_PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")


class Sam2Model(PromptableModel):
    """SAM 2 for images, `model_type` `sam2`; reads video checkpoints too, but not their memory.

    Source: sam2/sam2_image_predictor.py:364-445 and sam2/modeling/sam2_base.py:464-480 @ 2b90b9f.

    Example:
        >>> inputs = Sam2Processor.from_pretrained("sam2-hiera-micro")(
        ...     photo, input_points=[[[[290, 225]]]], return_tensors="pt"
        ... )
        >>> sizes = inputs.pop("original_sizes")
        >>> image_model(**inputs).iou_scores.shape
        torch.Size([1, 1, 3])
    """

    input_modalities = ("image",)
    accepts_loss_kwargs = False  # else Trainers would count labels to normalize the loss
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "mask_decoder_attentions": OutputRecorder(TwoWayBlock, index=2)
    }
    _keys_to_ignore_on_load_unexpected = (
        r"^(detector|tracker)_model\.",  # of a whole SAM 3
        r"^memory_",
        r"^spatial_perceiver\.",
        r"^mask_downsample\.",
        r"^object_pointer_proj\.",
        r"^temporal_positional_encoding_projection_layer\.",
        r"^no_memory_positional_encoding$",
        r"^no_object_pointer$",
        r"^occlusion_spatial_embedding_parameter$",
    )

    def __init__(self, config: Sam2Config) -> None:
        super().__init__(config)
        self.post_init()

    @classmethod
    def from_video_model(cls, video_model: PromptableModel) -> Self:
        """Make an image model from the parts of a video model.

        Both share modules and weights without a copy, so changes of one (weights, device, `eval()`)
        apply to the other.

        Args:
            video_model: A [`Sam2VideoModel`].

        Example:
            >>> photos = Sam2Model.from_video_model(model)
            >>> photos.mask_decoder is model.mask_decoder
            True
        """
        fields = video_model.config.to_dict() | {"model_type": Sam2Config.model_type}
        with torch.device("meta"):  # its own parts are replaced below
            model = cls(Sam2Config.from_dict(fields))
        for name in CONFIG_PARTS:
            setattr(model.config, name, getattr(video_model.config, name))
        for name in dict(model.named_children()):
            setattr(model, name, getattr(video_model, name))
        model.no_memory_embedding = video_model.no_memory_embedding
        model.name_or_path = video_model.name_or_path  # with the revision: where a processor may be
        model.config._commit_hash = getattr(video_model.config, "_commit_hash", None)
        return model.train(video_model.training)

    @merge_with_config_defaults
    @capture_outputs
    def forward(  # noqa: PLR0913 - transformers' signature
        self,
        pixel_values: Tensor | None = None,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
        image_embeddings: list[Tensor] | None = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - transformers' signature
        attention_similarity: Tensor | None = None,
        target_embedding: Tensor | None = None,
        *,
        labels: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> Sam2ImageSegmentationOutput:
        """Segment images from prompts.

        Points, boxes and masks of one object are combined; objects with fewer points than others
        are padded with the label -10, which has no influence. An object of nothing but padding gets
        empty masks (logits -1024) and an IoU of 0. Without objects, p = 0, the output is empty too.

        Args:
            pixel_values: Normalized pictures, `(b, 3, image_size, image_size)`.
            input_points: Clicks as (x, y) in model pixels (0 - image_size), `(b, p, t, 2)`.
            input_labels: 1 on the object, 0 outside it, 2 and 3 first and last corner of a box, -1
                not a point, -10 padding; `(b, p, t)`. All 1 if left out.
            input_boxes: Boxes as (x0, y0, x1, y1) in model pixels, `(b, p, 4)`; all -10 is padding.
            input_masks: Earlier mask logits, `(b, 1, h, w)` for all objects of an image or `(b, p,
                h, w)` with one for each; resized to a quarter of the input if needed.
            image_embeddings: Output of `get_image_embeddings`, in place of `pixel_values`.
            multimask_output: Three masks for each object (best for a single click), or one.
            attention_similarity: PerSAM's attention bias toward image cells.
            target_embedding: PerSAM's embedding of the wanted concept, added to the tokens.
            labels: True masks for a `loss`, `(b, p, height, width)`, bool, of any size.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Raises:
            ValueError: If images and embeddings are both given or both missing, prompts do not
                match, or there is not one label per object.

        Example:
            >>> boxes = torch.tensor([[[73.0, 12.0, 176.0, 196.0]]])
            >>> image_model(pixels, input_boxes=boxes).pred_masks.shape[:3]
            torch.Size([1, 1, 3])
        """
        features, embeddings = self._encoded(pixel_values, image_embeddings, **kwargs)
        prompts = Prompts(input_points, input_labels, input_boxes, input_masks)
        prompts = prompts.completed(self.mask_input_size, embeddings[-1])
        if prompts.num_objects == 0:
            decoded = self.mask_decoder.no_masks(embeddings, multimask_output=multimask_output)
        else:
            decoded = self.decode_prompts(
                embeddings,
                self._embed(prompts),
                multimask_output=multimask_output,
                attention_similarity=attention_similarity,
                target_embedding=target_embedding,
            )
        output = _as_output(decoded, prompts.padding_objects(), features, embeddings)
        output.loss = _loss(decoded, prompts.padding_objects(), labels)
        return output

    def decode_prompts(
        self,
        image_embeddings: list[Tensor],
        prompt_embeddings: tuple[Tensor, Tensor],
        *,
        multimask_output: bool,
        attention_similarity: Tensor | None = None,
        target_embedding: Tensor | None = None,
    ) -> DecodedMasks:
        """Decode the output of `get_prompt_embeddings`.

        Args:
            image_embeddings: What `get_image_embeddings` returned.
            prompt_embeddings: Tokens `(b, p, t, 256)`, where t may be 0, and the addition to the
                image embedding, `(b * p, 256, h, w)` or `(b, 256, h, w)`.
            multimask_output: As in `forward`.
            attention_similarity: As in `forward`.
            target_embedding: As in `forward`.
        """
        return self.mask_decoder(
            image_embeddings[-1],
            self.get_image_wide_positional_embeddings(),
            *prompt_embeddings,
            multimask_output=multimask_output,
            high_resolution_features=image_embeddings[:-1],
            attention_similarity=attention_similarity,
            target_embedding=target_embedding,
        )

    @torch.no_grad()
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
        """Decode many prompts on one image; draw only masks of predicted IoU above `min_iou`.

        Args:
            image_embeddings: Output of `get_image_embeddings` for one image.
            input_points: As in `forward`, `(1, p, t, 2)`.
            input_labels: As in `forward`, `(1, p, t)`.
            input_masks: As in `forward`, `(1, p, h, w)`.
            multimask_output: As in `forward`.
            min_iou: Probability; 0 or less keeps every mask.
        """
        prompts = Prompts(input_points, input_labels, None, input_masks)
        prompts = prompts.completed(self.mask_input_size, image_embeddings[-1])
        embedded = self._embed(prompts)
        if not is_bare(self.mask_decoder, MaskDecoder):
            decoded = self.decode_prompts(
                image_embeddings, embedded, multimask_output=multimask_output
            )
            return gated(decoded, min_iou)
        return decode_gated(
            self.mask_decoder,
            image_embeddings,
            self._positions_11nc(),
            PromptEmbeddings.of(*embedded),
            multimask=multimask_output,
            min_iou=min_iou,
        )

    def _encoded(
        self, pixel_values: Tensor | None, image_embeddings: list[Tensor] | None, **kwargs: Any
    ) -> tuple[Sam2VisionEncoderOutput, list[Tensor]]:
        """Encode images, or reuse embeddings; exactly one must be given."""
        if pixel_values is not None and image_embeddings is None:
            features = self._encode(pixel_values, **kwargs)
            return features, self._embeddings(features)
        if pixel_values is None and image_embeddings is not None:
            if any(not isinstance(level, Tensor) for level in image_embeddings):
                raise ValueError(
                    "image_embeddings are lists in a list, as transformers' mask generation makes "
                    "them of a batch_size above 1; it would answer for the first picture alone. "
                    "Call sam2_hf.register() before transformers.pipeline, or leave batch_size out."
                )
            return Sam2VisionEncoderOutput(), list(image_embeddings)
        raise ValueError(
            "Exactly one of pixel_values or image_embeddings must be given: encode, or reuse."
        )


class _PromptName(str):
    """An argument name that transformers' `Trainer` does not take for a target.

    `Trainer` computes a loss only if a batch holds every argument of `forward` with "label" in its
    name; `input_labels` are part of a prompt, and boxes and masks come without them.
    """

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        """Whether the name contains a part other than the one `Trainer` looks for."""
        return part != "label" and isinstance(part, str) and str(self).find(part) >= 0


def _with_one_target(signature: inspect.Signature) -> inspect.Signature:
    """Make `labels` the only argument taken for a target."""
    return signature.replace(
        parameters=[
            parameter.replace(name=_PromptName(parameter.name))
            if parameter.name == "input_labels"
            else parameter
            for parameter in signature.parameters.values()
        ]
    )


vars(Sam2Model.forward)["__signature__"] = _with_one_target(inspect.signature(Sam2Model.forward))


def _as_output(
    decoded: DecodedMasks,
    padding_bp: Tensor | None,
    features: Sam2VisionEncoderOutput,
    embeddings: list[Tensor],
) -> Sam2ImageSegmentationOutput:
    """Build the output, blank for padding objects."""
    return Sam2ImageSegmentationOutput(
        iou_scores=fill_padding_objects(decoded.iou_bpm, padding_bp, 0.0),
        pred_masks=fill_padding_objects(decoded.logits_bpmhw, padding_bp, NO_OBJECT),
        object_score_logits=fill_padding_objects(decoded.score_bp1, padding_bp, NO_OBJECT),
        image_embeddings=embeddings,
        vision_hidden_states=features.hidden_states,
        vision_attentions=features.attentions,
    )


def _loss(
    decoded: DecodedMasks, padding_bp: Tensor | None, labels_bphw: Tensor | None
) -> Tensor | None:
    """Compute the loss if there are labels; mean over objects without padding.

    Raises:
        ValueError: There is not one label for each object.
    """
    if labels_bphw is None:
        return None
    shape = decoded.logits_bpmhw.shape[:2]
    if labels_bphw.dim() != LABEL_DIMENSIONS or labels_bphw.shape[:2] != shape:
        raise ValueError(
            f"labels have the shape {tuple(labels_bphw.shape)} for {shape[0]} images of {shape[1]} "
            "objects. Give one true mask per object, (images, objects, height, width)."
        )
    is_real_bp = torch.ones(shape, dtype=torch.bool) if padding_bp is None else ~padding_bp
    answers = (decoded.logits_bpmhw, decoded.iou_bpm, decoded.score_bp1, labels_bphw)
    # from here on, the first dimension is all objects of all images
    logits_bmhw, iou_bm, score_b1, labels_bhw = (answer[is_real_bp] for answer in answers)
    rules = LossRules()
    losses, _ = mask_losses(logits_bmhw, iou_bm, score_b1, read_labels(labels_bhw, rules), rules)
    return losses.divided(max(len(labels_bhw), 1)).total(rules)
