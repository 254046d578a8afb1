"""The pyramid neck: one width for all stages, and coarse meaning added to finer maps.

Suffixes: b = images, h, w = rows and columns, c = channels.
"""

from torch import Tensor, nn
from torch.nn import functional

from .configuration_sam2 import Sam2VisionConfig
from .position_encoding import sine_table


class FpnNeck(nn.Module):
    """Bring the trunk's stages to 256 channels.

    Source: sam2/modeling/backbones/image_encoder.py:45-134 @ 2b90b9f.
    Differs: position tables are made on request, since images need none of them and videos one.
    """

    def __init__(self, config: Sam2VisionConfig) -> None:
        super().__init__()
        self.top_down_levels = config.fpn_top_down_levels
        self.convs = nn.ModuleList(
            nn.Conv2d(
                channels,
                config.fpn_hidden_size,
                kernel_size=config.fpn_kernel_size,
                stride=config.fpn_stride,
                padding=config.fpn_padding,
            )
            for channels in config.backbone_channel_list
        )

    def forward(self, stages_bhwc: tuple[Tensor, ...]) -> list[Tensor]:
        """Fuse the stages.

        Args:
            stages_bhwc: Trunk features, finest first.

        Returns:
            Neck features, finest first, each `(b, 256, h, w)`.
        """
        fused: list[Tensor] = []
        for level in reversed(range(len(stages_bhwc))):
            # the convolutions are stored coarsest first
            lateral_bchw = self.convs[len(stages_bhwc) - 1 - level](
                stages_bhwc[level].permute(0, 3, 1, 2)
            )
            if fused and level in self.top_down_levels:
                lateral_bchw = lateral_bchw + functional.interpolate(
                    fused[-1], scale_factor=2.0, mode="nearest"
                )
            fused.append(lateral_bchw)
        return fused[::-1]


def neck_positions(maps_bchw: list[Tensor]) -> list[Tensor]:
    """Return the sine table of each map, expanded to its shape without a copy."""
    return [
        sine_table(m.shape[2], m.shape[3], m.shape[1], m.device, m.dtype).expand(
            m.shape[0], -1, -1, -1
        )
        for m in maps_bchw
    ]
