"""SAM 2 for images: encode a picture once, answer any number of prompts on it.

Suffixes: b = images, p = objects (prompts) of an image, m = masks of an object, t = points of an
object, n = cells of the image embedding, c = channels, h, w = rows and columns.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_sam2 import Sam2Config
from .fpn_neck import neck_positions
from .gated_decoding import decode_gated
from .image_encoder import Sam2VisionModel
from .layers import pointwise
from .mask_decoder import MaskDecoder
from .outputs import (
    DecodedMasks,
    GatedMasks,
    PromptEmbeddings,
    Sam2ImageSegmentationOutput,
    Sam2VisionEncoderOutput,
)
from .position_encoding import FourierPositions, cell_centres
from .pretrained import Sam2PreTrainedModel
from .prompt_encoder import PromptEncoder
from .prompt_inputs import NO_OBJECT, Prompts, blank
from .two_way_transformer import NO_HINTS, AttentionHints, TwoWayBlock
from .weight_cache import WeightCache


class Sam2Model(Sam2PreTrainedModel):
    """SAM 2 for images, `model_type` `sam2`; reads video checkpoints too, but not their memory.

    Source: sam2/sam2_image_predictor.py:364-445 and sam2/modeling/sam2_base.py:464-480 @ 2b90b9f.
    """

    input_modalities = ("image",)
    _can_record_outputs: ClassVar[dict[str, Any]] = {
        "mask_decoder_attentions": OutputRecorder(TwoWayBlock, index=2)
    }
    _keys_to_ignore_on_load_unexpected = (
        r"^memory_",
        r"^mask_downsample\.",
        r"^object_pointer_proj\.",
        r"^temporal_positional_encoding_projection_layer\.",
        r"^no_memory_positional_encoding$",
        r"^no_object_pointer$",
        r"^occlusion_spatial_embedding_parameter$",
    )

    def __init__(self, config: Sam2Config) -> None:
        super().__init__(config)
        # Only models follow a later change of the attention backend; this part is a plain module.
        config.mask_decoder_config._attn_implementation = config._attn_implementation
        prompt_config = config.prompt_encoder_config
        self.shared_image_embedding = FourierPositions(
            prompt_config.hidden_size, prompt_config.scale
        )
        self.vision_encoder = Sam2VisionModel(config.vision_config)
        self.prompt_encoder = PromptEncoder(prompt_config)
        self.mask_decoder = MaskDecoder(config.mask_decoder_config)
        # What a frame without any memory gets added; an image is such a frame.
        self.no_memory_embedding = nn.Parameter(
            torch.zeros(1, 1, config.vision_config.fpn_hidden_size)
        )
        self._grid_positions = WeightCache()
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the trunk's patch embedding."""
        return self.vision_encoder.get_input_embeddings()

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Return the position of every cell of the image embedding, `(1, 256, h, w)`, float32."""
        frequencies = self.shared_image_embedding.positional_embedding
        grid = self.prompt_encoder.grid

        def compute() -> Tensor:
            positions_hwc = self.shared_image_embedding(cell_centres(*grid, frequencies.device))
            return positions_hwc.permute(2, 0, 1)[None]  # stays token-major, as it is read

        return self._grid_positions.get((frequencies,), grid, compute)

    @torch.no_grad()
    def get_image_embeddings(self, pixel_values: Tensor, **kwargs: Any) -> list[Tensor]:
        """Encode pictures for `forward(image_embeddings=...)`.

        Args:
            pixel_values: Normalised pictures, `(b, 3, image_size, image_size)`.
            **kwargs: As in `forward`.

        Returns:
            `(b, 32, 4h, 4w)`, `(b, 64, 2h, 2w)` and `(b, 256, h, w)` with h = w = image_size / 16.
        """
        return self._embeddings(self._encode(pixel_values, **kwargs))

    @can_return_tuple
    def get_image_features(
        self, pixel_values: Tensor, **kwargs: Any
    ) -> tuple[Any, ...] | Sam2VisionEncoderOutput:
        """Encode pictures and return features and positions as sequences.

        Args:
            pixel_values: Normalised pictures, `(b, 3, image_size, image_size)`.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            The vision encoder's output, its `fpn_hidden_states` and `fpn_position_encoding` as
            lists of `(h * w, b, c)`, the two finer ones already narrowed for the mask decoder.
        """
        features = self._encode(pixel_values, **kwargs)
        # the neck's width, not that of the narrowed maps
        width = self.config.vision_config.fpn_hidden_size
        maps = _maps(features)
        shapes = [m[:, :1].expand(-1, width, -1, -1) for m in maps]
        features.fpn_position_encoding = [
            p.flatten(2).permute(2, 0, 1) for p in neck_positions(shapes)
        ]
        features.fpn_hidden_states = [m.flatten(2).permute(2, 0, 1) for m in maps]
        return features

    @torch.no_grad()
    def get_prompt_embeddings(
        self,
        input_points: Tensor | None = None,
        input_labels: Tensor | None = None,
        input_boxes: Tensor | None = None,
        input_masks: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Encode prompts; arguments as in `forward`.

        Returns:
            Tokens `(b, p, t, 256)` and the addition to the image embedding, `(b * p, 256, h, w)`.
        """
        embedded = self._embed(
            Prompts(input_points, input_labels, input_boxes, input_masks).completed(self._mask_size)
        )
        batch = embedded.sparse_bptc.shape[0]
        height, width = self.prompt_encoder.grid
        dense_bpnc = embedded.dense_bpnc.expand(
            max(batch, embedded.dense_bpnc.shape[0]), -1, height * width, -1
        )
        return embedded.sparse_bptc, dense_bpnc.flatten(0, 1).transpose(1, 2).unflatten(
            -1, (height, width)
        )

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
        **kwargs: Any,
    ) -> Sam2ImageSegmentationOutput:
        """Answer prompts on pictures.

        Points, boxes and masks of one object belong together; objects with fewer points than others
        are filled up with the label -10, which has no influence at all. An object that is nothing
        but padding gets empty masks (logits -1024) and an IoU of 0.

        Args:
            pixel_values: Normalised pictures, `(b, 3, image_size, image_size)`.
            input_points: Clicks as (x, y) in model pixels (0 - image_size), `(b, p, t, 2)`.
            input_labels: 1 on the object, 0 beside it, 2 and 3 first and last corner of a box, -1
                not a point, -10 padding; `(b, p, t)`. All 1 if left out.
            input_boxes: Boxes as (x0, y0, x1, y1) in model pixels, `(b, p, 4)`; all -10 is padding.
            input_masks: Earlier mask logits, `(b, 1, h, w)` for all objects of an image or `(b, p,
                h, w)` with one for each; resized to a quarter of the input if need be.
            image_embeddings: What `get_image_embeddings` returned, in place of `pixel_values`.
            multimask_output: Three masks for each object (best for a single click), or one.
            attention_similarity: PerSAM's preference for image cells, added to the tokens'
                attention.
            target_embedding: PerSAM's embedding of the wanted concept, added to the tokens.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Raises:
            ValueError: If pictures and embeddings are both given or both missing, or prompts do not
                fit together.
        """
        features, embeddings = self._encoded(pixel_values, image_embeddings, **kwargs)
        prompts = Prompts(input_points, input_labels, input_boxes, input_masks)
        prompts = prompts.completed(self._mask_size, embeddings[-1])
        hints = AttentionHints(similarity=attention_similarity, target_bptc=target_embedding)
        decoded = self.mask_decoder(
            embeddings,
            self._positions_11nc(),
            self._embed(prompts),
            hints,
            multimask_output=multimask_output,
        )
        return _as_output(decoded, prompts.padding_objects(), features, embeddings)

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
        """Answer many prompts on one picture; draw only masks of predicted IoU above `min_iou`.

        Args:
            image_embeddings: What `get_image_embeddings` returned for one picture.
            input_points: As in `forward`, `(1, p, t, 2)`.
            input_labels: As in `forward`, `(1, p, t)`.
            input_masks: As in `forward`, `(1, p, h, w)`.
            multimask_output: As in `forward`.
            min_iou: Probability; 0 or less keeps every mask.
        """
        prompts = Prompts(input_points, input_labels, None, input_masks)
        prompts = prompts.completed(self._mask_size, image_embeddings[-1])
        tokens = self.mask_decoder.decode_tokens(
            image_embeddings[-1], self._positions_11nc(), self._embed(prompts), NO_HINTS
        )
        return decode_gated(
            self.mask_decoder, tokens, image_embeddings, multimask=multimask_output, min_iou=min_iou
        )

    def _encoded(
        self, pixel_values: Tensor | None, image_embeddings: list[Tensor] | None, **kwargs: Any
    ) -> tuple[Sam2VisionEncoderOutput, list[Tensor]]:
        """Encode pictures, or take embeddings over; there must be one of them."""
        if pixel_values is not None and image_embeddings is None:
            features = self._encode(pixel_values, **kwargs)
            return features, self._embeddings(features)
        if pixel_values is None and image_embeddings is not None:
            return Sam2VisionEncoderOutput(), list(image_embeddings)
        raise ValueError(
            "Exactly one of pixel_values or image_embeddings must be given: encode, or reuse."
        )

    def _encode(self, pixel_values: Tensor, **kwargs: Any) -> Sam2VisionEncoderOutput:
        """Run the image encoder and narrow its two finer maps, once for all prompts."""
        features = self.vision_encoder.encode(pixel_values, **kwargs)
        fine, coarse, embedding = _maps(features)
        narrowed = (
            pointwise(self.mask_decoder.conv_s0, fine),
            pointwise(self.mask_decoder.conv_s1, coarse),
            embedding,
        )
        features.fpn_hidden_states = narrowed
        return features

    def _embeddings(self, features: Sam2VisionEncoderOutput) -> list[Tensor]:
        """Mark the image embedding as one without memory."""
        fine, coarse, embedding = _maps(features)
        return [fine, coarse, embedding + self.no_memory_embedding.transpose(1, 2)[..., None]]

    def _positions_11nc(self) -> Tensor:
        """Return the positions of the image tokens."""
        return self.get_image_wide_positional_embeddings().flatten(2).transpose(1, 2)[:, None]

    @property
    def _mask_size(self) -> tuple[int, int]:
        return self.prompt_encoder.mask_input_size

    def _embed(self, prompts: Prompts) -> PromptEmbeddings:
        return self.prompt_encoder(
            prompts.points_bpt2, prompts.labels_bpt, prompts.boxes_bp4, prompts.masks_bphw
        )


def _maps(features: Sam2VisionEncoderOutput) -> list[Tensor]:
    """List the neck features, finest first."""
    return list(features.fpn_hidden_states or ())


def _as_output(
    decoded: DecodedMasks,
    ghosts_bp: Tensor | None,
    features: Sam2VisionEncoderOutput,
    embeddings: list[Tensor],
) -> Sam2ImageSegmentationOutput:
    """Put the answer together, with nothing in place of padding objects."""
    return Sam2ImageSegmentationOutput(
        iou_scores=blank(decoded.iou_bpm, ghosts_bp, 0.0),
        pred_masks=blank(decoded.logits_bpmhw, ghosts_bp, NO_OBJECT),
        object_score_logits=blank(decoded.score_bp1, ghosts_bp, NO_OBJECT),
        image_embeddings=embeddings,
        vision_hidden_states=features.hidden_states,
        vision_attentions=features.attentions,
    )
