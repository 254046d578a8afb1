"""Axial rotary positions: channel pairs of queries and keys turn by the place of their cell.

Suffixes: b = objects, a = heads, n = cells of a grid, m = frames that share the grid, c = channels,
x = pairs of channels.
"""

import torch
from torch import Tensor

from .constant_tables import constant_table

KEPT_TABLES = 4  # one or two grids, on one or two devices


@constant_table(KEPT_TABLES)
def rotary_table(
    height: int, width: int, channels: int, theta: float, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Tabulate the turns of every cell: the first half of the pairs by column, the rest by row.

    Args:
        height: Rows of the grid.
        width: Columns of the grid.
        channels: Channels of one head, a multiple of 4.
        theta: Base of the wave lengths.
        device: Where to put the tables.

    Returns:
        Cosines and sines, each `(height * width, channels / 2)`, float32; shared by all callers,
        not to be written to.

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
    """Turn the channel pairs of tokens that lie on the table's grid, once or several times over.

    Args:
        tokens_banc: `(b, a, m * n, c)`: m grids of n cells, one after the other.
        table: What `rotary_table` returned for the grid.

    Returns:
        New tensor of the same shape and dtype; computed in float32, as the turns of far cells are
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
    """Turn tokens of which some at the end have no place; fresh ones are turned where they lie.

    Args:
        tokens_banc: `(b, a, m * n + unplaced, c)`, which nobody else reads.
        table: As in `rotate`.
        unplaced: How many at the end stay as they are.
    """
    placed = tokens_banc.shape[2] - unplaced
    if can_rotate_in_place(tokens_banc):
        rotate_in_place(tokens_banc[:, :, :placed], table)
        return tokens_banc
    turned = rotate(tokens_banc[:, :, :placed], table)
    return torch.cat((turned, tokens_banc[:, :, placed:]), dim=2) if unplaced else turned


def rotate_in_place(tokens_banc: Tensor, table: tuple[Tensor, Tensor]) -> None:
    """Turn tokens as `rotate` does, in the memory they lie in: one pass instead of six.

    Args:
        tokens_banc: As in `rotate`, float32, the channels of a token side by side; no gradients.
        table: As in `rotate`.
    """
    turns_nx = torch.complex(*table)
    pairs_banx = torch.view_as_complex(tokens_banc.unflatten(-1, (-1, 2)))
    pairs_banx.unflatten(2, (-1, len(turns_nx))).mul_(turns_nx)


def can_rotate_in_place(tokens_banc: Tensor) -> bool:
    """Whether `rotate_in_place` may stand in: float32 inference that nobody records or compiles."""
    is_plain = not (torch.is_grad_enabled() and tokens_banc.requires_grad)
    is_seen = torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()
    is_dense = tokens_banc.dtype == torch.float32 and tokens_banc.stride(-1) == 1
    return is_plain and is_dense and not is_seen
