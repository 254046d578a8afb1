"""The pyramid neck: one width for all stages, and coarse meaning added to finer maps.

What the mask decoder reads of the two finest maps goes through one more convolution at every cell.
Two linear maps in a row are one: where nobody trains, the wide map between them is never made.

Suffixes: b = images, h, w = rows and columns, c = channels.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .configuration_sam2 import Sam2VisionConfig
from .fast_paths import FastPath, is_plain, is_watched
from .fused_linear import has_fused_product, product
from .layers import pointwise
from .position_encoding import sine_table
from .weight_cache import WeightCache


class FpnNeck(FastPath, nn.Module):
    """Bring the trunk's stages to 256 channels.

    Source: sam2/modeling/backbones/image_encoder.py:45-134 @ 2b90b9f.
    Differs: position tables are made on request, since images need none of them and videos one;
        the finest maps can be handed out as narrow as the mask decoder reads them.
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
        self._merged = [WeightCache() for _ in self.convs]

    def forward(
        self, stages_bhwc: tuple[Tensor, ...], narrow: tuple[nn.Conv2d, ...] = ()
    ) -> list[Tensor]:
        """Fuse the stages.

        Args:
            stages_bhwc: Trunk features, finest first.
            narrow: Convolutions of kernel 1 that the finest maps go through in the end, finest
                first.

        Returns:
            Neck features, finest first, each `(b, 256, h, w)`, the finest as narrow as `narrow`.
        """
        handed_out: list[Tensor] = []
        wide_bchw: Tensor | None = None  # the coarser map
        for level in reversed(range(len(stages_bhwc))):
            if level < len(narrow) and self._may_merge(level, stages_bhwc[level], narrow[level]):
                handed_out.append(self._merge(level, stages_bhwc[level], narrow[level]))
                continue
            lateral_bchw = self._conv(level)(stages_bhwc[level].permute(0, 3, 1, 2))
            if wide_bchw is not None and level in self.top_down_levels:
                lateral_bchw = lateral_bchw + functional.interpolate(
                    wide_bchw, scale_factor=2.0, mode="nearest"
                )
            wide_bchw = lateral_bchw
            handed_out.append(
                pointwise(narrow[level], wide_bchw) if level < len(narrow) else wide_bchw
            )
        return handed_out[::-1]

    def _conv(self, level: int) -> nn.Conv2d:
        """Return a level's convolution; they are stored coarsest first."""
        return cast(nn.Conv2d, self.convs[len(self.convs) - 1 - level])

    def _may_merge(self, level: int, stage_bhwc: Tensor, narrow: nn.Conv2d) -> bool:
        """Whether a level is nothing but two products in a row, seen by nobody else."""
        meets_others = level in self.top_down_levels or level - 1 in self.top_down_levels
        conv = self._conv(level)
        is_product = conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0)
        return (
            is_product
            and is_plain(conv, nn.Conv2d)
            and is_plain(narrow, nn.Conv2d)
            and conv.bias is not None
            and narrow.bias is not None
            and not meets_others
            and self.may_be_fast(stage_bhwc)
            and has_fused_product(stage_bhwc)
            and not is_watched(self)
        )

    def _merge(self, level: int, stage_bhwc: Tensor, narrow: nn.Conv2d) -> Tensor:
        """Apply a level's convolution and the one after it as one product."""
        first = self._conv(level)
        weights = tuple(w for w in (*first.parameters(), *narrow.parameters()))

        def compute() -> Tensor:
            # float64: the product of two weights is rounded once, like a weight
            inner, inner_bias, outer, outer_bias = (w.double().reshape(len(w), -1) for w in weights)
            bias = outer @ inner_bias + outer_bias
            return torch.cat((outer @ inner, bias), dim=1).to(stage_bhwc.dtype)

        merged = self._merged[level].get(weights, (stage_bhwc.dtype,), compute)
        mapped_bhwc = product(stage_bhwc, merged[:, :-1].contiguous(), merged[:, -1].contiguous())
        return mapped_bhwc.permute(0, 3, 1, 2)


def neck_positions(maps_bchw: list[Tensor]) -> list[Tensor]:
    """Return the sine table of each map, expanded to its shape without a copy."""
    return [
        sine_table(m.shape[2], m.shape[3], m.shape[1], m.device, m.dtype).expand(
            m.shape[0], -1, -1, -1
        )
        for m in maps_bchw
    ]
