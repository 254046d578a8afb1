"""Image encoder: a backbone and the pyramid neck that projects its stages to one width.

The config's `backbone_config.model_type` selects the backbone. The mask decoder reads the two
finest maps through one more pointwise convolution. In inference the two linear maps are merged, so
the wide map between them is never made.

Suffixes: b = images, h, w = rows and columns, c = channels.
"""

from collections.abc import Callable
from typing import Any, Protocol, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.utils import can_return_tuple
from transformers.utils.generic import TransformersKwargs

from sam2_hf.model.configs.configuration_backbones import RepVitConfig
from sam2_hf.model.configs.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from sam2_hf.model.kernels.cpu_kernels import has_fused_product, product
from sam2_hf.model.kernels.fast_paths import FastPath, WeightCache, decides_fast_paths, is_bare

from .hiera import Sam2HieraDetModel
from .layers import pointwise
from .outputs import Sam2VisionEncoderOutput
from .position_encoding import sine_table
from .pretrained import Sam2PreTrainedModel
from .repvit import RepVit


class FpnNeck(FastPath, nn.Module):
    """Neck that projects the trunk's stages to 256 channels.

    Source: sam2/modeling/backbones/image_encoder.py:45-134 @ 2b90b9f.
    Differs: position tables are made on request, since images need none and videos one; the finest
        maps can be returned in the mask decoder's width.
    """

    def __init__(self, config: Sam2VisionConfig) -> None:
        super().__init__()
        self.top_down_levels = config.fpn_top_down_levels
        self.convs = nn.ModuleList(  # coarsest first
            nn.Conv2d(
                channels,
                config.fpn_hidden_size,
                kernel_size=config.fpn_kernel_size,
                stride=config.fpn_stride,
                padding=config.fpn_padding,
            )
            for channels in config.backbone_channel_list
        )
        self._merged = [WeightCache() for _ in self.convs]

    @decides_fast_paths
    def forward(self, stages_bhwc: tuple[Tensor, ...]) -> list[Tensor]:
        """Fuse the stages.

        Args:
            stages_bhwc: Trunk features, finest first.

        Returns:
            Neck features, finest first, each `(b, 256, h, w)`.
        """
        return self._fused(stages_bhwc, 0)

    @decides_fast_paths
    def narrowed(
        self, stages_bhwc: tuple[Tensor, ...], narrow: tuple[nn.Module, ...]
    ) -> list[Tensor]:
        """Fuse the stages and apply one more convolution to each of the finest maps.

        Args:
            stages_bhwc: Trunk features, finest first.
            narrow: Convolutions of kernel 1, finest first.

        Returns:
            Neck features as of `forward`, the finest in the width of `narrow`.
        """
        count = self._num_mergeable(stages_bhwc, narrow)
        merged = [self._merge(level, stages_bhwc[level], narrow[level]) for level in range(count)]
        others = self._fused(stages_bhwc, count)
        return [*merged, *narrow_maps(others, narrow[count:])]

    def _fused(self, stages_bhwc: tuple[Tensor, ...], finest: int) -> list[Tensor]:
        """Return the maps of the levels from `finest` on."""
        maps_bchw: list[Tensor] = []
        for level in reversed(range(finest, len(stages_bhwc))):
            map_bchw = self.convs[-1 - level](stages_bhwc[level].permute(0, 3, 1, 2))
            if maps_bchw and level in self.top_down_levels:
                map_bchw = map_bchw + functional.interpolate(
                    maps_bchw[-1], scale_factor=2.0, mode="nearest"
                )
            maps_bchw.append(map_bchw)
        return maps_bchw[::-1]

    def _num_mergeable(self, stages_bhwc: tuple[Tensor, ...], narrow: tuple[nn.Module, ...]) -> int:
        """Count the finest levels where the two convolutions can be merged."""
        layers: list[nn.Module] = []
        for level, conv in enumerate(narrow[: len(stages_bhwc)]):
            meets_others = level in self.top_down_levels or level - 1 in self.top_down_levels
            pair = (self.convs[-1 - level], conv)
            if meets_others or not _are_pointwise(*pair):
                break
            layers.extend(pair)
        finest_bhwc = stages_bhwc[0]
        if not layers or not self.may_be_fast(finest_bhwc, parts=tuple(layers)):
            return 0
        return len(layers) // 2 if has_fused_product(finest_bhwc) else 0

    def _merge(self, level: int, stage_bhwc: Tensor, narrow: nn.Module) -> Tensor:
        """Apply a level's convolution and the next one as one product."""
        first = self.convs[-1 - level]
        weights = (*first.parameters(), *narrow.parameters())

        def compute() -> Tensor:
            # float64: the product of two weights is rounded once, like a weight
            inner, inner_bias, outer, outer_bias = (w.double().reshape(len(w), -1) for w in weights)
            bias = outer @ inner_bias + outer_bias
            return torch.cat((outer @ inner, bias), dim=1).to(stage_bhwc.dtype)

        merged = self._merged[level].get(weights, (stage_bhwc.dtype,), compute)
        mapped_bhwc = product(stage_bhwc, merged[:, :-1].contiguous(), merged[:, -1].contiguous())
        return mapped_bhwc.permute(0, 3, 1, 2)


def narrow_maps(maps_bchw: list[Tensor], narrow: tuple[nn.Module, ...]) -> list[Tensor]:
    """Apply a convolution of kernel 1 to each of the first maps."""
    narrowed = [
        pointwise(conv, map_bchw) for conv, map_bchw in zip(narrow, maps_bchw, strict=False)
    ]
    return [*narrowed, *maps_bchw[len(narrow) :]]


def _are_pointwise(*convs: nn.Module) -> bool:
    """Whether convolutions have kernel 1 and a bias."""
    for conv in convs:
        if (
            type(conv) is not nn.Conv2d
            or not conv.kernel_size == conv.stride == (1, 1)
            or conv.padding != (0, 0)
            or conv.groups != 1
            or conv.bias is None
        ):
            return False
    return True


def neck_positions(maps_bchw: list[Tensor]) -> list[Tensor]:
    """Return the sine table of each map, expanded to its shape without a copy."""
    return [
        sine_table(m.shape[2], m.shape[3], m.shape[1], m.device, m.dtype).expand(
            m.shape[0], -1, -1, -1
        )
        for m in maps_bchw
    ]


class Backbone(Protocol):
    """Interface of a backbone, a torch module, to the image encoder and its training."""

    @property
    def blocks(self) -> nn.ModuleList:
        """Blocks for layer-wise learning-rate decay, first to last."""

    def __call__(self, pixel_values: Tensor | None, **kwargs: Any) -> Any:  # noqa: ANN401 - as torch
        """Encode pictures; return the features of each stage as a [`Sam2HieraDetModelOutput`]."""

    def get_input_embeddings(self) -> nn.Module:
        """Return the first layer."""

    def set_drop_path(self, rate: float) -> None:
        """Set the rate of stochastic depth."""


# by `backbone_config.model_type`; `BACKBONE_CONFIGS` has the configs
BACKBONES: dict[str, Callable[[Any], Backbone]] = {
    Sam2HieraDetConfig.model_type: Sam2HieraDetModel,
    RepVitConfig.model_type: RepVit,
}


class Sam2VisionModel(Sam2PreTrainedModel):
    """The image encoder as a standalone model, `model_type` `sam2_vision_model`.

    Source: sam2/modeling/backbones/image_encoder.py:14-42 @ 2b90b9f.

    Example:
        >>> features = image_model.vision_encoder(pixels)
        >>> features.fpn_hidden_states[-1].shape[-2:] == image_model.grid
        True
    """

    config: Sam2VisionConfig

    def __init__(self, config: Sam2VisionConfig) -> None:
        super().__init__(config)
        self.backbone = BACKBONES[type(config.backbone_config).model_type](config.backbone_config)
        self.neck = FpnNeck(config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the trunk's patch embedding."""
        return self.backbone.get_input_embeddings()

    @can_return_tuple
    def forward(
        self,
        pixel_values: Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],  # type: ignore[misc]
    ) -> tuple[Any, ...] | Sam2VisionEncoderOutput:
        """Encode pictures.

        Args:
            pixel_values: Normalized pictures, `(b, 3, height, width)`, both sizes multiples of 32.
            **kwargs: `output_hidden_states`, `output_attentions`, `return_dict`.

        Raises:
            ValueError: If `pixel_values` is None.
        """
        features = self.encode(pixel_values, **kwargs)
        features.fpn_position_encoding = tuple(
            neck_positions(list(features.fpn_hidden_states or ()))
        )
        return features

    def encode(
        self, pixel_values: Tensor | None, narrow: tuple[nn.Module, ...] = (), **kwargs: Any
    ) -> Sam2VisionEncoderOutput:
        """Encode images without the position tables, which image prompts never read.

        Args:
            pixel_values: As in `forward`.
            narrow: Convolutions of kernel 1, applied to the finest maps.
            **kwargs: As in `forward`.
        """
        trunk = self.backbone(pixel_values, **kwargs)
        stages_bhwc = trunk.intermediate_hidden_states
        if narrow and is_bare(self.neck, FpnNeck):
            maps_bchw = self.neck.narrowed(stages_bhwc, narrow)
        else:
            maps_bchw = narrow_maps(self.neck(stages_bhwc), narrow)
        return Sam2VisionEncoderOutput(
            last_hidden_state=trunk.last_hidden_state,
            fpn_hidden_states=tuple(maps_bchw[: self.config.num_feature_levels]),
            hidden_states=trunk.hidden_states,
            attentions=trunk.attentions,
        )
