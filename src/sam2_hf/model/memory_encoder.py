"""The memory encoder: fuses a frame's features and an object's mask into a spatial memory.

Suffixes: b = objects, c = channels, h, w = feature rows and columns (input size / 16).
"""

import math

import torch
from torch import Tensor, nn
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer

from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.kernels.cpu_kernels import in_bands, linear, may_fuse
from sam2_hf.model.kernels.fast_paths import FastPath, decides_fast_paths, known_module

from .layers import ChannelLayerNorm, pointwise


@known_module
class MaskShrinkLayer(nn.Module):
    """Halve a mask's sides and widen its channels fourfold."""

    def __init__(self, config: Sam2VideoConfig, channels: int) -> None:
        super().__init__()
        stride = config.mask_downsampler_stride
        self.conv = nn.Conv2d(
            channels,
            channels * stride**2,
            kernel_size=config.mask_downsampler_kernel_size,
            stride=stride,
            padding=config.mask_downsampler_padding,
        )
        self.layer_norm = ChannelLayerNorm(channels * stride**2, eps=1e-6)
        self.activation = ACT2FN[config.mask_downsampler_hidden_act]

    def forward(self, mask_bchw: Tensor) -> Tensor:
        """Shrink `(b, c, h, w)` to `(b, 4c, h / 2, w / 2)`."""
        return self.activation(self.layer_norm(self.conv(mask_bchw)))


@known_module
class MaskDownsampler(nn.Module):
    """Shrink a mask of input size to the grid of the features.

    Source: sam2/modeling/memory_encoder.py:17-61 @ 2b90b9f.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        stride = config.mask_downsampler_stride
        count = round(math.log(config.mask_downsampler_total_stride, stride))
        self.layers = nn.ModuleList(
            MaskShrinkLayer(config, stride ** (2 * index)) for index in range(count)
        )
        self.final_conv = nn.Conv2d(
            stride ** (2 * count), config.mask_downsampler_embed_dim, kernel_size=1
        )

    def forward(self, mask_b1hw: Tensor) -> Tensor:
        """Shrink `(b, 1, 16h, 16w)` to `(b, 256, h, w)`."""
        for layer in self.layers:
            mask_b1hw = layer(mask_b1hw)
        return pointwise(self.final_conv, mask_b1hw)


class FuserBlock(FastPath, GradientCheckpointingLayer):
    """A ConvNeXt block.

    Source: sam2/modeling/memory_encoder.py:65-115 @ 2b90b9f.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        width, hidden = config.memory_fuser_embed_dim, config.memory_fuser_intermediate_dim
        self.depthwise_conv = nn.Conv2d(
            width,
            width,
            kernel_size=config.memory_fuser_kernel_size,
            padding=config.memory_fuser_padding,
            groups=width,
        )
        self.layer_norm = nn.LayerNorm(width, eps=1e-6)
        self.activation = ACT2FN[config.memory_fuser_hidden_act]
        self.pointwise_conv1 = nn.Linear(width, hidden)
        self.pointwise_conv2 = nn.Linear(hidden, width)
        self.first_scale = config.memory_fuser_layer_scale_init_value
        self.scale = nn.Parameter(torch.full((width,), self.first_scale))

    def forward(self, features_bchw: Tensor) -> Tensor:
        """Refine `(b, 256, h, w)`; in inference the MLP visits one object at a time."""
        mixed_bhwc = self.depthwise_conv(features_bchw).permute(0, 2, 3, 1)
        layers = (self.layer_norm, self.pointwise_conv1, self.activation, self.pointwise_conv2)
        if may_fuse(self, mixed_bhwc, parts=layers):
            refined_bhwc = in_bands(self._fused_mlp, mixed_bhwc)
        else:
            hidden_bhwc = self.activation(self.pointwise_conv1(self.layer_norm(mixed_bhwc)))
            refined_bhwc = self.scale * self.pointwise_conv2(hidden_bhwc)
        return features_bchw + refined_bhwc.permute(0, 3, 1, 2)

    def _fused_mlp(self, cells_bhwc: Tensor) -> Tensor:
        """Apply the MLP to some cells."""
        normed_bhwc = self.layer_norm(cells_bhwc)
        hidden_bhwc = linear(self.pointwise_conv1, normed_bhwc, self.activation)
        return linear(self.pointwise_conv2, hidden_bhwc).mul_(self.scale)


@known_module
class MemoryFuser(nn.Module):
    """A sequence of ConvNeXt blocks."""

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            FuserBlock(config) for _ in range(config.memory_fuser_num_layers)
        )

    def forward(self, features_bchw: Tensor) -> Tensor:
        """Refine `(b, 256, h, w)`."""
        for layer in self.layers:
            features_bchw = layer(features_bchw)
        return features_bchw


class MemoryEncoder(nn.Module):
    """Fuse image features with a mask (SAM 2 paper, section 4, "Memory encoder").

    Source: sam2/modeling/memory_encoder.py:138-181 @ 2b90b9f.
    Differs: returns the memory alone. The position encoding is the same for every frame and
        object, so memory attention adds it once instead of storing it per frame. Features that
        objects share are projected once.
    """

    def __init__(self, config: Sam2VideoConfig) -> None:
        super().__init__()
        hidden = config.memory_encoder_hidden_size
        self.mask_downsampler = MaskDownsampler(config)
        self.feature_projection = nn.Conv2d(hidden, hidden, kernel_size=1)
        self.memory_fuser = MemoryFuser(config)
        self.projection = nn.Conv2d(hidden, config.memory_encoder_output_channels, kernel_size=1)

    @decides_fast_paths
    def forward(self, features_bchw: Tensor, mask_b1hw: Tensor) -> Tensor:
        """Encode one frame for every object at once.

        Args:
            features_bchw: Image features at stride 16, `(b or 1, 256, h, w)`, without memory.
            mask_b1hw: Mask at input size, `(b, 1, 16h, 16w)`, scaled to [-10, 10].

        Returns:
            Spatial memory, `(b, 64, h, w)`.
        """
        mask_bchw = self.mask_downsampler(mask_b1hw)
        projected_bchw = pointwise(self.feature_projection, features_bchw)
        fused_bchw = self.memory_fuser(projected_bchw + mask_bchw)
        return pointwise(self.projection, fused_bchw)
