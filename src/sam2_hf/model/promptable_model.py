"""PromptableModel, the base of the image and the video model: encodes images and prompts.

Suffixes: b = images, p = objects (prompts) of an image, t = points of an object, n = cells of the
image embedding, c = channels, h, w = rows and columns.
"""

import copy
import importlib
from collections.abc import Callable
from typing import Any, Self, Unpack

import torch
from torch import Tensor, nn
from transformers.models.sam3.configuration_sam3 import Sam3VisionConfig
from transformers.utils import can_return_tuple
from transformers.utils.generic import TransformersKwargs

from sam2_hf.model.configs.configuration_checks import require_buildable
from sam2_hf.model.configs.configuration_sam2 import (
    EdgeTamVisionConfig,
    EfficientTamVisionConfig,
    Sam2Config,
    Sam2VisionConfig,
    with_image_size,
)
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.kernels.fast_paths import WeightCache, fast_products, is_bare

from .image_encoder import Sam2VisionModel, narrow_maps, neck_positions
from .mask_decoder import MaskDecoder
from .outputs import Sam2VisionEncoderOutput
from .position_encoding import FourierPositions, cell_centers
from .pretrained import Sam2PreTrainedModel
from .prompt_encoder import PromptEncoder, Prompts, input_sizes
from .vitdet import EfficientTamVisionModel

SAM3_MODULE = "transformers.models.sam3.modeling_sam3"


def sam3_vision_model(config: Any) -> nn.Module:  # noqa: ANN401 - a config of transformers
    """Build the image encoder of a SAM 3.

    Its file is imported with the first model, since it takes half a second. `transformers` itself
    offers the class only beside torchvision, which only SAM 3's detector needs.

    Args:
        config: A `transformers.Sam3VisionConfig`.

    Returns:
        A `Sam3VisionModel`, whose feature maps are those of [`Sam2VisionModel`] and a coarser one.
    """
    model: nn.Module = importlib.import_module(SAM3_MODULE).Sam3VisionModel(config)
    return model


# by `vision_config.model_type`
VISION_MODELS: dict[str, Callable[[Any], Any]] = {
    Sam2VisionConfig.model_type: Sam2VisionModel,
    EdgeTamVisionConfig.model_type: Sam2VisionModel,
    EfficientTamVisionConfig.model_type: EfficientTamVisionModel,
    Sam3VisionConfig.model_type: sam3_vision_model,
}
LEVELS = 3  # feature maps that the mask decoder reads


class ModelSizes:
    """Mixin: sizes of what a model takes and returns, those of the input read when it is made.

    Attributes:
        image_size: Side of the square input, model pixels.
        grid: Rows and columns of the image embedding.
        mask_input_size: Rows and columns of mask logits, both those given and those decoded.
    """

    config: Sam2Config
    image_size: int
    grid: tuple[int, int]
    mask_input_size: tuple[int, int]

    def read_sizes(self, config: Sam2Config) -> None:
        """Read the sizes of the input; they stay."""
        sizes = input_sizes(config.prompt_encoder_config)
        self.image_size, self.grid, self.mask_input_size = sizes

    @property
    def hidden_dim(self) -> int:
        """Channels of the image embedding and of every token."""
        return self.config.vision_config.fpn_hidden_size


class VideoModelSizes(ModelSizes):
    """[`ModelSizes`], and those of memories."""

    config: Sam2VideoConfig

    @property
    def mem_dim(self) -> int:
        """Channels of a memory."""
        return self.config.memory_encoder_output_channels

    @property
    def memory_shape(self) -> tuple[int, ...]:
        """Shape of the spatial memory of one object: a map, `(64, h, w)`, or latents, `(l, 64)`."""
        if latents := sum(self.config.memory_latents):
            return (latents, self.mem_dim)
        return (self.mem_dim, *self.grid)


class PromptableModel(ModelSizes, Sam2PreTrainedModel):
    """Abstract base with image encoder, prompt encoder and mask decoder.

    Source: sam2/sam2_image_predictor.py:364-445 and sam2/modeling/sam2_base.py:464-480 @ 2b90b9f.
    """

    # Fourier frequencies, see position_encoding.py
    _keep_in_fp32_modules_strict = ("shared_embedding", "shared_image_embedding")

    def __init__(self, config: Sam2Config) -> None:
        super().__init__(config)
        # Only models follow a later change of the attention backend; this part is a plain module.
        config.mask_decoder_config._attn_implementation = config._attn_implementation
        prompt_config = config.prompt_encoder_config
        self.shared_image_embedding = FourierPositions(
            prompt_config.hidden_size, prompt_config.scale
        )
        self.vision_encoder = VISION_MODELS[type(config.vision_config).model_type](
            config.vision_config
        )
        self.prompt_encoder = PromptEncoder(prompt_config)
        kind = type(config.vision_config).model_type
        self.mask_decoder = MaskDecoder(
            config.mask_decoder_config, narrows=kind != EfficientTamVisionConfig.model_type
        )
        # Added to frames without memory; an image is such a frame.
        self.no_memory_embedding = nn.Parameter(
            torch.zeros(1, 1, config.vision_config.fpn_hidden_size)
        )
        self._grid_positions = WeightCache()
        self.read_sizes(config)

    @property
    def num_feature_levels(self) -> int:
        """Number of feature maps of the image encoder that prompts are decoded on."""
        return LEVELS

    @property
    def backbone_feature_sizes(self) -> list[list[int]]:
        """Rows and columns of each map by the config, finest first.

        Not used here, since sizes follow from the input. Settable, because transformers' class
        needs it for another input size.
        """
        return self.config.vision_config.backbone_feature_sizes

    @backbone_feature_sizes.setter
    def backbone_feature_sizes(self, sizes: list[list[int]]) -> None:
        """Set the sizes in the config."""
        self.config.vision_config.backbone_feature_sizes = [list(size) for size in sizes]

    def at_image_size(self, image_size: int) -> Self:
        """Return a model for another input size; it shares all weights with this one.

        Args:
            image_size: Side of the input in model pixels: a multiple of 32, for EdgeTAM one whose
                cells its latents share evenly. SAM 3 has only its own: the rotary tables of its
                image encoder are made for it.

        Raises:
            ValueError: If the model cannot have this size.

        Example:
            >>> small = model.at_image_size(512)
            >>> small.image_size, small.mask_decoder is model.mask_decoder
            (512, True)
        """
        if image_size == self.image_size:
            return self
        if type(self.config.vision_config).model_type == Sam3VisionConfig.model_type:
            raise ValueError(
                f"image_size is {image_size}, but SAM 3's image encoder was built for "
                f"{self.image_size}. Load the model for the other size: "
                "from_pretrained(..., config=with_image_size(model.config, image_size))."
            )
        config = with_image_size(self.config, image_size)
        require_buildable(config, f"image_size={image_size}")
        twin = copy.copy(self)
        twin._modules = {**self._modules, "prompt_encoder": copy.copy(self.prompt_encoder)}
        twin.config = config
        sizes = input_sizes(config.prompt_encoder_config)
        for part in (twin, twin.prompt_encoder):
            part.image_size, part.grid, part.mask_input_size = sizes
        return twin

    def get_input_embeddings(self) -> nn.Module:
        """Return the trunk's patch embedding."""
        return self.vision_encoder.get_input_embeddings()

    def set_drop_path(self, rate: float) -> None:
        """Set stochastic depth of the trunk; see `Sam2HieraDetModel`.

        Args:
            rate: Probability for the last block, 0 to below 1.

        Raises:
            ValueError: If the rate is out of range, or the trunk has no stochastic depth.

        Example:
            >>> trained = Sam2Model(image_model.config)
            >>> trained.set_drop_path(0.1)
        """
        if hasattr(self.vision_encoder.backbone, "set_drop_path"):
            self.vision_encoder.backbone.set_drop_path(rate)
        elif rate:
            raise ValueError(
                f"the drop path rate is {rate}; SAM 3's image encoder has none: leave it at 0."
            )

    def get_image_wide_positional_embeddings(self) -> Tensor:
        """Return the position of every cell of the image embedding, `(1, 256, h, w)`, float32.

        Example:
            >>> positions = image_model.get_image_wide_positional_embeddings()
            >>> positions.shape[-2:] == image_model.grid
            True
        """
        frequencies = self.shared_image_embedding.positional_embedding
        grid = self.grid

        def compute() -> Tensor:
            positions_hwc = self.shared_image_embedding(cell_centers(*grid, frequencies.device))
            return positions_hwc.permute(2, 0, 1)[None]  # stays token-major, as it is used

        if not is_bare(self.shared_image_embedding, FourierPositions):
            return compute()
        return self._grid_positions.get((frequencies,), grid, compute)

    @torch.no_grad()
    def get_image_embeddings(
        self,
        pixel_values: Tensor,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> list[Tensor]:
        """Encode pictures for `forward(image_embeddings=...)`.

        Args:
            pixel_values: Normalized pictures, `(b, 3, image_size, image_size)`.
            **kwargs: As in `forward`.

        Returns:
            `(b, 32, 4h, 4w)`, `(b, 64, 2h, 2w)` and `(b, 256, h, w)` with h = w = image_size / 16.

        Example:
            >>> embeddings = image_model.get_image_embeddings(pixels)
            >>> points = torch.tensor([[[[124.0, 144.0]]]])
            >>> output = image_model(image_embeddings=embeddings, input_points=points)
        """
        return self._embeddings(self._encode(pixel_values, **kwargs))

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: Tensor,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> tuple[Any, ...] | Sam2VisionEncoderOutput:
        """Encode pictures and return features and positions as sequences.

        Args:
            pixel_values: Normalized pictures, `(b, 3, image_size, image_size)`.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Returns:
            The vision encoder's output, its `fpn_hidden_states` and `fpn_position_encoding` as
            lists of `(h * w, b, c)`, the two finer ones already narrowed for the mask decoder.

        Example:
            >>> features = image_model.get_image_features(pixels)
            >>> len(features.fpn_hidden_states)
            3
        """
        features = self._encode(pixel_values, **kwargs)
        maps = feature_maps(features)
        # the neck's width, not that of the narrowed maps
        shapes = [m[:, :1].expand(-1, self.hidden_dim, -1, -1) for m in maps]
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

        Example:
            >>> boxes = torch.tensor([[[73.0, 12.0, 176.0, 196.0]]])
            >>> tokens, dense = image_model.get_prompt_embeddings(input_boxes=boxes)
            >>> tokens.shape[:2]
            torch.Size([1, 1])
        """
        return self._embed(
            Prompts(input_points, input_labels, input_boxes, input_masks).completed(
                self.mask_input_size
            )
        )

    def _encode(self, pixel_values: Tensor, **kwargs: Any) -> Sam2VisionEncoderOutput:
        """Run the image encoder and narrow its two finer maps, shared by all prompts."""
        decoder = self.mask_decoder
        narrow = (decoder.conv_s0, decoder.conv_s1) if decoder.narrows else ()
        if is_bare(self.vision_encoder, Sam2VisionModel):
            return self.vision_encoder.encode(pixel_values, narrow, **kwargs)
        with fast_products(self):
            features: Sam2VisionEncoderOutput = self.vision_encoder(pixel_values, **kwargs)
            maps = feature_maps(features)[:LEVELS]  # SAM 3 has a coarser one for its detector
            features.fpn_hidden_states = tuple(narrow_maps(maps, narrow))
        return features

    def _embeddings(self, features: Sam2VisionEncoderOutput) -> list[Tensor]:
        """Add the no-memory embedding to the image embedding."""
        fine, coarse, embedding = feature_maps(features)
        return [fine, coarse, embedding + self.no_memory_embedding.transpose(1, 2)[..., None]]

    def _positions_11nc(self) -> Tensor:
        """Return the positions of the image tokens."""
        return self.get_image_wide_positional_embeddings().flatten(2).transpose(1, 2)[:, None]

    def _embed(self, prompts: Prompts) -> tuple[Tensor, Tensor]:
        return self.prompt_encoder(
            prompts.points_bpt2, prompts.labels_bpt, prompts.boxes_bp4, prompts.masks_bphw
        )


def feature_maps(features: Sam2VisionEncoderOutput) -> list[Tensor]:
    """List the neck features, finest first."""
    return list(features.fpn_hidden_states or ())


def feature_weights(model: PromptableModel) -> list[Tensor]:
    """List the weights that determine image features, statistics of normalizations included."""
    decoder, encoder = model.mask_decoder, model.vision_encoder
    parts = (encoder, decoder.conv_s0, decoder.conv_s1) if decoder.narrows else (encoder,)
    weights = [weight for part in parts for weight in part.parameters()]
    weights.extend(encoder.buffers())
    return weights
