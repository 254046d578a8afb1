"""Where things are: fixed sine tables for grids, random Fourier features for points.

Both are computed in float32 and rounded once, at the end: a phase of hundreds of radians does not
survive bfloat16. Suffixes: c = channels, h, w = rows and columns.
"""

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from .constant_tables import constant_table

TEMPERATURE = (
    10_000  # ratio of the longest to the shortest wave length, as in "Attention is all you need"
)
KEPT_TABLES = 8  # three neck levels at two or three input sizes


@constant_table(KEPT_TABLES)
def sine_table(
    height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Encode rows in the first half of the channels and columns in the second.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        channels: Channels of the table, a multiple of 4.
        device: Where to put the table.
        dtype: What to round it to, after computing in float32.

    Returns:
        Table, `(1, channels, height, width)`; shared by all callers, not to be written to.

    Source: sam2/modeling/position_encoding.py:84-131 @ 2b90b9f.
    Differs: the value depends on a row or a column alone, so only `height + width` sines are taken.
    """
    rows_hc = _sine_line(height, channels // 2, device)
    columns_wc = _sine_line(width, channels // 2, device)
    table_hwc = torch.cat(
        (rows_hc[:, None].expand(-1, width, -1), columns_wc[None].expand(height, -1, -1)), dim=-1
    )
    return table_hwc.permute(2, 0, 1)[None].to(dtype).contiguous()


def _sine_line(length: int, channels: int, device: torch.device) -> Tensor:
    """Encode positions 1..length, scaled to one turn, as `(length, channels)`."""
    position = torch.arange(1, length + 1, dtype=torch.float32, device=device)
    phase = position / (position[-1] + 1e-6) * (2 * math.pi)
    step = torch.arange(channels, dtype=torch.float32, device=device) // 2
    angle = phase[:, None] / TEMPERATURE ** (2 * step / channels)
    return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=-1).flatten(1)


class FourierPositions(nn.Module):
    """Encode points of the unit square with frequencies that were drawn once, before training.

    The frequencies stay float32 when the model is cast: in bfloat16 their phases would be off by up
    to a tenth of a radian, and points would land beside the place they name.

    Source: sam2/modeling/position_encoding.py:134-178 @ 2b90b9f.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        with torch.random.fork_rng(devices=[]):  # the first weights of later parts stay the same
            frequencies = scale * torch.randn(2, channels // 2, dtype=torch.float32)
        self.positional_embedding: Tensor = nn.Buffer(frequencies)

    def forward(self, points_xy: Tensor) -> Tensor:
        """Encode points given as fractions of width and height.

        Args:
            points_xy: Any shape ending in 2, values 0-1.

        Returns:
            Same shape ending in `channels`, float32.
        """
        frequencies = self.positional_embedding.float()
        phases = (2 * math.pi) * ((2 * points_xy.float() - 1) @ frequencies)
        return torch.cat((phases.sin(), phases.cos()), dim=-1)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        """Move to another device, but keep float32."""
        before = self.positional_embedding
        super()._apply(fn, *args, **kwargs)
        if self.positional_embedding.dtype != before.dtype and before.device.type != "meta":
            self.positional_embedding = before.to(self.positional_embedding.device)
        return self


def cell_centres(height: int, width: int, device: torch.device) -> Tensor:
    """List every cell's centre (x, y) as fractions of the sides, `(height, width, 2)`."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)
