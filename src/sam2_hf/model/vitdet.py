"""EfficientTAM's image encoder: a plain vision transformer with one grid, and a neck of one level.

Its blocks are Hiera's with a single stage, so they have Hiera's fast paths.

Suffixes: b = images, c = channels, h, w = rows and columns of the grid.
"""

import math
from typing import Any, Unpack, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils import can_return_tuple
from transformers.utils.generic import TransformersKwargs

from sam2_hf.model.configs.configuration_backbones import VitDetConfig
from sam2_hf.model.configs.configuration_sam2 import EfficientTamVisionConfig
from sam2_hf.model.kernels.fast_paths import WeightCache, decides_fast_paths, known_module

from .hiera import HieraBlock, PatchEmbedding, spread_drop_path
from .layers import ChannelLayerNorm
from .outputs import Sam2HieraDetModelOutput, Sam2VisionEncoderOutput
from .pretrained import Sam2PreTrainedModel


@known_module
class VitDet(Sam2PreTrainedModel):
    """The backbone; a model, so that it follows the attention backend of the whole one.

    Source: efficient_track_anything/modeling/backbones/vitdet.py of yformer/EfficientTAM.
    Differs: the stretched position table is cached until the weights change.

    Args:
        config: The backbone's config.
    """

    config: VitDetConfig

    def __init__(self, config: VitDetConfig) -> None:
        super().__init__(config)
        cells = config.pretrain_image_size // config.patch_size
        self.patch_embed = PatchEmbedding(config)
        # the first row is the class token's, which is not used
        self.pos_embed = nn.Parameter(torch.zeros(1, cells**2 + 1, config.hidden_size))
        self.blocks = nn.ModuleList(
            HieraBlock(config, 0, block) for block in range(config.num_hidden_layers)
        )
        self._positions = WeightCache()
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the patch embedding."""
        return self.patch_embed

    def set_drop_path(self, rate: float) -> None:
        """Set stochastic depth; see `Sam2HieraDetModel.set_drop_path`.

        Raises:
            ValueError: If the rate is out of range.
        """
        spread_drop_path(self.blocks, rate)

    @decides_fast_paths
    def forward(self, pixel_values: Tensor) -> Sam2HieraDetModelOutput:
        """Extract features at the stride of the patches."""
        tokens_bhwc = self.patch_embed(pixel_values.to(self.pos_embed.dtype))
        tokens_bhwc = tokens_bhwc + self._position_table(tokens_bhwc.shape[1], tokens_bhwc.shape[2])
        for block in self.blocks:
            tokens_bhwc = block(tokens_bhwc)
        return Sam2HieraDetModelOutput(tokens_bhwc, (tokens_bhwc,))

    def _position_table(self, height: int, width: int) -> Tensor:
        """Stretch the learned table over the grid, `(1, height, width, c)`."""

        def compute() -> Tensor:
            cells_1nc = self.pos_embed[:, 1:].float()
            side = math.isqrt(cells_1nc.shape[1])
            table_1chw = cells_1nc.transpose(1, 2).unflatten(2, (side, side))
            if (height, width) != (side, side):
                table_1chw = functional.interpolate(table_1chw, (height, width), mode="bicubic")
            return table_1chw.permute(0, 2, 3, 1).to(self.pos_embed.dtype).contiguous()

        return self._positions.get((self.pos_embed,), (height, width), compute)


class VitDetNeck(nn.Module):
    """Two convolutions, each followed by a normalization, as the original names them."""

    def __init__(self, config: EfficientTamVisionConfig) -> None:
        super().__init__()
        width = config.fpn_hidden_size
        (channels,) = config.backbone_channel_list
        self.convs = nn.ModuleList(
            [
                nn.ModuleDict(
                    {
                        "conv_1x1": nn.Conv2d(channels, width, kernel_size=1, bias=False),
                        "norm_0": ChannelLayerNorm(width, eps=1e-6),
                        "conv_3x3": nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False),
                        "norm_1": ChannelLayerNorm(width, eps=1e-6),
                    }
                )
            ]
        )

    @decides_fast_paths
    def forward(self, features_bhwc: Tensor) -> Tensor:
        """Project `(b, h, w, c)` to `(b, 256, h, w)`."""
        map_bchw = features_bhwc.permute(0, 3, 1, 2)
        for layer in cast(nn.ModuleDict, self.convs[0]).values():
            map_bchw = layer(map_bchw)
        return map_bchw


class EfficientTamVisionModel(Sam2PreTrainedModel):
    """EfficientTAM's image encoder, with the feature maps that a mask decoder reads.

    Source: efficient_track_anything/modeling/backbones/image_encoder.py of yformer/EfficientTAM.
    Differs: the two finer maps, which this model does not have, are zeros without memory of their
        own, so that every tool sees three maps.
    """

    config: EfficientTamVisionConfig

    def __init__(self, config: EfficientTamVisionConfig) -> None:
        super().__init__(config)
        self.backbone = VitDet(config.backbone_config)
        self.neck = VitDetNeck(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the backbone's patch embedding."""
        return self.backbone.get_input_embeddings()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> tuple[Any, ...] | Sam2VisionEncoderOutput:
        """Encode pictures.

        Args:
            pixel_values: Normalized pictures, `(b, 3, height, width)`.
            **kwargs: `return_dict`.

        Raises:
            ValueError: If `pixel_values` is None.
        """
        if pixel_values is None:
            raise ValueError("pixel_values is None: pass the pictures, (batch, 3, height, width).")
        features_bhwc = self.backbone(pixel_values).last_hidden_state
        embedding = self.neck(features_bhwc)
        batch, width, rows, columns = embedding.shape
        zero = embedding.new_zeros(())
        fine = zero.expand(batch, width // 8, 4 * rows, 4 * columns)
        coarse = zero.expand(batch, width // 4, 2 * rows, 2 * columns)
        return Sam2VisionEncoderOutput(
            last_hidden_state=features_bhwc, fpn_hidden_states=(fine, coarse, embedding)
        )
