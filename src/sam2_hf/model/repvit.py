"""RepViT, the convolutional backbone of EdgeTAM, with the parameter names of timm.

Layers that timm calls by short names keep them, because they are those of published checkpoints:
`c` is a convolution, `bn` its normalization, `se` squeeze and excitation.

Suffixes: b = images, c = channels, h, w = rows and columns.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from sam2_hf.model.configs.configuration_backbones import RepVitConfig
from sam2_hf.model.kernels.fast_paths import decides_fast_paths

from .outputs import Sam2HieraDetModelOutput
from .pretrained import Sam2PreTrainedModel

SQUEEZED = 4  # factor by which squeeze and excitation reduces the channels
DIVISOR = 8  # of the reduced channels
WIDENED = 2  # factor by which a channel mixer widens them


class NormalizedConv(nn.Module):
    """A convolution without bias and its batch normalization.

    Args:
        channels: Channels in and out.
        kernel: Side of the kernel.
        stride: Stride; the padding keeps the size otherwise.
        groups: Groups of channels.
    """

    def __init__(
        self, channels: tuple[int, int], kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.c = nn.Conv2d(
            *channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(channels[1])

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Convolve and normalize."""
        return self.bn(self.c(map_bchw))


class TokenMixer(nn.Module):
    """Mix neighboring cells in every channel: two depthwise convolutions, added to the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = NormalizedConv((channels, channels), kernel=3, groups=channels)
        self.conv1 = NormalizedConv((channels, channels), groups=channels)

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Mix `(b, c, h, w)`."""
        return self.conv(map_bchw) + self.conv1(map_bchw) + map_bchw


class SqueezeExcitation(nn.Module):
    """Scale every channel by what all channels are on average."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # timm's rounding of the reduced channels
        reduced = max(DIVISOR, int(channels / SQUEEZED + DIVISOR / 2) // DIVISOR * DIVISOR)
        self.fc1 = nn.Conv2d(channels, reduced, kernel_size=1)
        self.fc2 = nn.Conv2d(reduced, channels, kernel_size=1)

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Scale `(b, c, h, w)`."""
        mean_bc11 = map_bchw.mean(dim=(2, 3), keepdim=True)
        return map_bchw * self.fc2(functional.relu(self.fc1(mean_bc11))).sigmoid()


class ChannelMixer(nn.Module):
    """Mix the channels of every cell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = NormalizedConv((channels, WIDENED * channels))
        self.conv2 = NormalizedConv((WIDENED * channels, channels))

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Add the mixed channels to `(b, c, h, w)`."""
        return map_bchw + self.conv2(functional.gelu(self.conv1(map_bchw)))


class RepVitBlock(nn.Module):
    """A token mixer, squeeze and excitation in every other block, and a channel mixer."""

    def __init__(self, channels: int, *, excites: bool) -> None:
        super().__init__()
        self.token_mixer = TokenMixer(channels)
        self.se = SqueezeExcitation(channels) if excites else nn.Identity()
        self.channel_mixer = ChannelMixer(channels)

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Refine `(b, c, h, w)`."""
        return self.channel_mixer(self.se(self.token_mixer(map_bchw)))


class RepVitDownsample(nn.Module):
    """Halve the grid and widen the channels, between a block and a channel mixer."""

    def __init__(self, channels: tuple[int, int]) -> None:
        super().__init__()
        width_in, width_out = channels
        self.pre_block = RepVitBlock(width_in, excites=False)
        self.spatial_downsample = NormalizedConv(
            (width_in, width_in), kernel=3, stride=2, groups=width_in
        )
        self.channel_downsample = NormalizedConv(channels)
        self.ffn = ChannelMixer(width_out)

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Shrink `(b, c, h, w)` to `(b, c out, h / 2, w / 2)`."""
        halved_bchw = self.spatial_downsample(self.pre_block(map_bchw))
        return self.ffn(self.channel_downsample(halved_bchw))


class RepVitStage(nn.Module):
    """One stage: a halving of the grid, except in the first, and blocks."""

    def __init__(self, channels: tuple[int, int], blocks: int, *, halves: bool) -> None:
        super().__init__()
        self.downsample = RepVitDownsample(channels) if halves else nn.Identity()
        self.blocks = nn.Sequential(
            *(RepVitBlock(channels[1], excites=block % 2 == 0) for block in range(blocks))
        )

    def forward(self, map_bchw: Tensor) -> Tensor:
        """Compute the features of the stage."""
        return self.blocks(self.downsample(map_bchw))


class RepVitStem(nn.Module):
    """Two convolutions that shrink a picture by 4."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = NormalizedConv((3, channels // 2), kernel=3, stride=2)
        self.conv2 = NormalizedConv((channels // 2, channels), kernel=3, stride=2)

    def forward(self, pixels_b3hw: Tensor) -> Tensor:
        """Shrink `(b, 3, h, w)` to `(b, c, h / 4, w / 4)`."""
        return self.conv2(functional.gelu(self.conv1(pixels_b3hw)))


class RepVit(Sam2PreTrainedModel):
    """The backbone, under the names of transformers' wrapper of timm (`timm_model`).

    It attends to nothing, but is a model so that the attention backend of the whole one can be set.

    Source: timm/models/repvit.py of timm 1.0.31, `repvit_m1` with `features_only`; "RepViT:
        Revisiting Mobile CNN From ViT Perspective", sections 3.2-3.4.

    Args:
        config: The backbone's config.
    """

    config: RepVitConfig

    def __init__(self, config: RepVitConfig) -> None:
        super().__init__(config)
        widths = config.embed_dim_per_stage
        stages: dict[str, nn.Module] = {"stem": RepVitStem(widths[0])}
        for stage, (width, blocks) in enumerate(zip(widths, config.blocks_per_stage, strict=True)):
            channels = (widths[max(stage - 1, 0)], width)
            stages[f"stages_{stage}"] = RepVitStage(channels, blocks, halves=stage > 0)
        self.timm_model = nn.ModuleDict(stages)
        self.post_init()

    @property
    def blocks(self) -> nn.ModuleList:
        """Blocks of all stages, first to last."""
        return nn.ModuleList(
            module for module in self.timm_model.modules() if isinstance(module, RepVitBlock)
        )

    def get_input_embeddings(self) -> nn.Module:
        """Return the stem."""
        return self.timm_model["stem"]

    def set_drop_path(self, rate: float) -> None:
        """Refuse stochastic depth, which this backbone does not have.

        Raises:
            ValueError: If the rate is not 0.
        """
        if rate:
            raise ValueError(f"the drop path rate is {rate}; a RepViT has none: leave it at 0.")

    @decides_fast_paths
    def forward(self, pixel_values: Tensor | None, **kwargs: Any) -> Sam2HieraDetModelOutput:
        """Extract features at strides 4, 8, 16 and 32.

        Args:
            pixel_values: Normalized pictures, `(b, 3, height, width)`, both sizes multiples of 32.
            **kwargs: `output_hidden_states`, for the features of each stage.

        Raises:
            ValueError: If `pixel_values` is None.
        """
        if pixel_values is None:
            raise ValueError("pixel_values is None: pass the pictures, (batch, 3, height, width).")
        stem, *stages = self.timm_model.values()
        map_bchw = stem(pixel_values.to(next(stem.parameters()).dtype))
        maps_bhwc = []
        for stage in stages:
            map_bchw = stage(map_bchw)
            maps_bhwc.append(map_bchw.permute(0, 2, 3, 1))
        return Sam2HieraDetModelOutput(
            last_hidden_state=maps_bhwc[-1],
            intermediate_hidden_states=tuple(maps_bhwc),
            hidden_states=tuple(maps_bhwc) if kwargs.get("output_hidden_states") else None,
        )
