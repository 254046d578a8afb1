"""Position encodings: sine tables for grids, random Fourier features for points, rotary positions.

All are computed in float32 and rounded once, at the end: bfloat16 cannot represent phases of
hundreds of radians. Axial rotary positions rotate channel pairs of queries and keys by the position
of their cell.

Suffixes: b = objects, a = heads, n = cells of a grid, m = frames that share the grid, c = channels,
x = pairs of channels, h, w = rows and columns.
"""

import math
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from sam2_hf.model.kernels.fast_paths import constant_table, known_module

TEMPERATURE = (
    10_000  # ratio of the longest to the shortest wave length, as in "Attention is all you need"
)


@constant_table(8)  # three neck levels at two or three input sizes
def sine_table(
    height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Encode rows in the first half of the channels and columns in the second.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        channels: Channels of the table, a multiple of 4.
        device: Where to put the table.
        dtype: Dtype to round to after computing in float32.

    Returns:
        Table, `(1, channels, height, width)`; shared by all callers, read-only.

    Source: sam2/modeling/position_encoding.py:84-131 @ 2b90b9f.
    Differs: a value depends on a row or a column alone, so only `height + width` sines are
        computed.
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


@known_module
class FourierPositions(nn.Module):
    """Random Fourier features of points in the unit square; the frequencies are fixed.

    They stay float32 when the model is cast: bfloat16 phases would be off by up to a tenth of a
    radian and displace points.

    Source: sam2/modeling/position_encoding.py:134-178 @ 2b90b9f.
    """

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        with torch.random.fork_rng(devices=[]):  # keeps the initial weights of later parts
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
        """Move to another device but keep float32."""
        before = self.positional_embedding
        super()._apply(fn, *args, **kwargs)
        if self.positional_embedding.dtype != before.dtype and before.device.type != "meta":
            self.positional_embedding = before.to(self.positional_embedding.device)
        return self


def cell_centers(height: int, width: int, device: torch.device) -> Tensor:
    """List every cell's center (x, y) as fractions of the sides, `(height, width, 2)`."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


@constant_table(4)  # one or two grids, on one or two devices
def rotary_table(
    height: int, width: int, channels: int, theta: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Tabulate the rotations of every cell: the first half of the pairs by column, the rest by row.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        channels: Channels of one head, a multiple of 4.
        theta: Base of the wave lengths.
        device: Where to put the tables.

    Returns:
        Cosines and sines, each `(height * width, channels / 2)`, float32; shared by all callers,
        read-only.

    Source: sam2/modeling/position_encoding.py:182-199 @ 2b90b9f.
    """
    exponent = torch.arange(0, channels, 4, dtype=torch.float32, device=device) / channels
    frequency_x = 1.0 / theta**exponent
    column_w = torch.arange(width, dtype=torch.float32, device=device)
    row_h = torch.arange(height, dtype=torch.float32, device=device)
    by_column = torch.outer(column_w, frequency_x).expand(height, -1, -1)
    by_row = torch.outer(row_h, frequency_x)[:, None].expand(-1, width, -1)
    angle_nx = torch.cat((by_column, by_row), dim=-1).flatten(0, 1)
    return angle_nx.cos(), angle_nx.sin()


def rotate(tokens_banc: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate the channel pairs of tokens on one or several copies of the table's grid.

    Args:
        tokens_banc: `(b, a, m * n, c)`: m grids of n cells, one after the other.
        table: Output of `rotary_table` for the grid.

    Returns:
        New tensor of the same shape and dtype; computed in float32, as rotations of far cells are
        hundreds of radians.

    Source: sam2/modeling/position_encoding.py:210-239 @ 2b90b9f.
    Differs: real arithmetic, and the table is broadcast over the grids instead of repeated.
    """
    cos_nx, sin_nx = table
    grids_bamnx2 = tokens_banc.float().unflatten(-1, (-1, 2)).unflatten(2, (-1, len(cos_nx)))
    first, second = grids_bamnx2.unbind(dim=-1)
    turned = torch.stack(
        (first * cos_nx - second * sin_nx, first * sin_nx + second * cos_nx), dim=-1
    )
    return turned.flatten(-2).flatten(2, 3).to(tokens_banc.dtype)


def rotated(tokens_banc: Tensor, table: tuple[Tensor, Tensor], unplaced: int = 0) -> Tensor:
    """Rotate tokens, except some at the end without a position; in place if possible.

    Args:
        tokens_banc: `(b, a, m * n + unplaced, c)`; may be overwritten.
        table: As in `rotate`.
        unplaced: Number of tokens at the end to leave unchanged.
    """
    placed = tokens_banc.shape[2] - unplaced
    is_recorded = torch.is_grad_enabled() and tokens_banc.requires_grad
    is_dense = tokens_banc.dtype == torch.float32 and tokens_banc.stride(-1) == 1
    is_exported = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    if is_dense and not is_recorded and not is_exported:
        # one pass over memory instead of six
        turns_nx = torch.complex(*table)
        pairs_banx = torch.view_as_complex(tokens_banc[:, :, :placed].unflatten(-1, (-1, 2)))
        pairs_banx.unflatten(2, (-1, len(turns_nx))).mul_(turns_nx)
        return tokens_banc
    turned = rotate(tokens_banc[:, :, :placed], table)
    return torch.cat((turned, tokens_banc[:, :, placed:]), dim=2) if unplaced else turned
