"""Mask upscaling: image tokens to masks at a quarter of the input size.

[`draw_masks`] calls the layers. [`MaskUpscaling`] is the fast path: everything stays token-major,
so a transposed convolution of kernel and stride 2 is one matrix product per cell, and only the
finished masks are put into image order.

Suffixes: b = images, p = objects of an image, m = masks of an object, n = cells of the image
embedding, s = sub-cells of a cell, x = sub-cells of those, c = channels, h, w = rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from sam2_hf.model.kernels.cpu_kernels import has_fused_product, product

# integers as wide as two numbers
PAIRS = {torch.float32: torch.int64, torch.bfloat16: torch.int32, torch.float16: torch.int32}


class UpscalingLayers(Protocol):
    """Upscaling layers of a mask decoder."""

    upscale_conv1: nn.ConvTranspose2d
    upscale_conv2: nn.ConvTranspose2d
    upscale_layer_norm: nn.LayerNorm


def draw_masks(
    layers: UpscalingLayers, image_bpnc: Tensor, filters_bpmc: Tensor, skips: tuple[Tensor, Tensor]
) -> Tensor:
    """Upscale image tokens and apply mask filters to every sub-cell.

    Args:
        layers: A mask decoder.
        image_bpnc: Image tokens after the transformer.
        filters_bpmc: One filter per mask, `(b, p, m, 32)`.
        skips: The image's features at strides 4 and 8, `(b, 32, 4h, 4w)` and `(b, 64, 2h, 2w)`.

    Returns:
        Mask logits, `(b, p, m, 4h, 4w)`.

    Source: sam2/modeling/sam/mask_decoder.py:216-240 @ 2b90b9f.
    """
    skip_fine, skip_coarse = skips
    objects = image_bpnc.shape[:2]
    grid = (skip_coarse.shape[-2] // 2, skip_coarse.shape[-1] // 2)
    cells_bchw = image_bpnc.flatten(0, 1).transpose(1, 2).unflatten(-1, grid)
    fine_bpchw = layers.upscale_conv1(cells_bchw).unflatten(0, objects) + skip_coarse[:, None]
    fine_bpchw = layers.upscale_layer_norm(fine_bpchw.movedim(2, -1)).movedim(-1, 2)
    fine_bchw = functional.gelu(fine_bpchw.flatten(0, 1))
    finest_bpchw = layers.upscale_conv2(fine_bchw).unflatten(0, objects) + skip_fine[:, None]
    finest_bpchw = functional.gelu(finest_bpchw)
    logits_bpmn = filters_bpmc @ finest_bpchw.flatten(3)
    return logits_bpmn.unflatten(-1, finest_bpchw.shape[-2:])


@dataclass(frozen=True, slots=True, eq=False)
class MaskUpscaling:
    """Two transposed convolutions as matrices, built once for all bands of an image.

    Attributes:
        first: Weight `(4 * 64, 256)` and bias `(4 * 64,)` of the first.
        second: Weight `(4 * 32, 64)` and bias `(4 * 32,)` of the second.
        norm: Normalization between them.
        fused: Whether nothing is traced, so that oneDNN's product and work in place are possible.
        multiply: Multiplies tokens by a weight and adds a bias, as `functional.linear`.

    Source: sam2/modeling/sam/mask_decoder.py:216-240 @ 2b90b9f.
    Differs: matrix products, equal up to the order of summation.
    """

    first: tuple[Tensor, Tensor | None]
    second: tuple[Tensor, Tensor | None]
    norm: nn.LayerNorm
    fused: bool
    multiply: Callable[[Tensor, Tensor, Tensor | None], Tensor]

    @classmethod
    def of(cls, layers: UpscalingLayers, tokens: Tensor, *, fused: bool) -> "MaskUpscaling":
        """Build the matrices from a decoder's weights, for the dtype and device of some tokens."""
        return cls(
            _as_matrix(layers.upscale_conv1),
            _as_matrix(layers.upscale_conv2),
            layers.upscale_layer_norm,
            fused,
            product if fused and has_fused_product(tokens) else functional.linear,
        )

    def draw(
        self, image_bpnc: Tensor, filters_bpmc: Tensor, skips: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Upscale the tokens of whole rows of cells and apply mask filters to every sub-cell.

        Args:
            image_bpnc: Their image tokens after the transformer.
            filters_bpmc: One filter per mask, `(b, p, m, 32)`.
            skips: Features of the same rows at strides 4 and 8, `(b, 32, 4h, 4w)`
                and `(b, 64, 2h, 2w)`.

        Returns:
            Mask logits, `(b, p, m, 4h, 4w)`.
        """
        skip_fine, skip_coarse = skips
        grid = (skip_coarse.shape[-2] // 2, skip_coarse.shape[-1] // 2)
        fine_bpnsc = self.multiply(image_bpnc, *self.first).unflatten(-1, (4, -1))
        skip_coarse, skip_fine = _cells(skip_coarse), _cells_of_cells(skip_fine)
        if self.fused:  # in place: new memory of this size is slow to get
            objects, gelu = image_bpnc.shape[:2], torch.ops.aten.gelu_
            fine_bpnsc.view(*objects, *skip_coarse.shape[1:]).add_(skip_coarse[:, None])
            fine_bpnsc = gelu(self.norm(fine_bpnsc))
            finest_bpnsxc = self.multiply(fine_bpnsc, *self.second).unflatten(-1, (4, -1))
            finest_bpnsxc.view(*objects, *skip_fine.shape[1:]).add_(skip_fine[:, None])
            gelu(finest_bpnsxc)
        else:
            fine_bpnsc = fine_bpnsc + skip_coarse.flatten(3, 4).flatten(1, 2)[:, None]
            fine_bpnsc = functional.gelu(self.norm(fine_bpnsc))
            finest_bpnsxc = self.multiply(fine_bpnsc, *self.second).unflatten(-1, (4, -1))
            skip_b1nsxc = skip_fine.flatten(5, 6).flatten(3, 4).flatten(1, 2)[:, None]
            finest_bpnsxc = functional.gelu(finest_bpnsxc + skip_b1nsxc)
        logits = filters_bpmc @ finest_bpnsxc.flatten(2, 4).transpose(-1, -2)
        pair = PAIRS.get(logits.dtype)
        if pair is None or not self.fused:
            # (b, p, m, h, w, row, column, finer row, finer column) -> image order
            logits = logits.unflatten(-1, (*grid, 2, 2, 2, 2)).permute(0, 1, 2, 3, 5, 7, 4, 6, 8)
            return logits.flatten(6, 8).flatten(3, 5)
        # the same for both finer columns as one number, in half the time
        pairs = logits.view(pair).unflatten(-1, (*grid, 2, 2, 2)).permute(0, 1, 2, 3, 5, 7, 4, 6)
        return pairs.flatten(6, 7).flatten(3, 5).view(logits.dtype)


def are_products(*layers: nn.Module) -> bool:
    """Whether transposed convolutions have kernel and stride 2."""
    return False not in [
        type(conv) is nn.ConvTranspose2d
        and conv.kernel_size == conv.stride == (2, 2)
        and conv.padding == conv.output_padding == (0, 0)
        and conv.groups == 1
        for conv in layers
    ]


def _as_matrix(conv: nn.ConvTranspose2d) -> tuple[Tensor, Tensor | None]:
    """Lay out a transposed convolution of kernel and stride 2 as weight and bias of a product."""
    weight = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)  # (c, c out, 2, 2) -> (4 * c out, c)
    return weight, conv.bias.repeat(4) if conv.bias is not None else None


def _cells(map_bchw: Tensor) -> Tensor:
    """View a map as cells of 2 x 2: `(b, c, 2h, 2w)` -> `(b, h, w, 2, 2, c)`."""
    height, width = map_bchw.shape[-2:]
    cells = (
        map_bchw.permute(0, 2, 3, 1).unflatten(2, (width // 2, 2)).unflatten(1, (height // 2, 2))
    )
    return cells.transpose(2, 3)


def _cells_of_cells(map_bchw: Tensor) -> Tensor:
    """View a map as 2 x 2 in cells of 4 x 4: `(b, c, 4h, 4w)` -> `(b, h, w, 2, 2, 2, 2, c)`."""
    height, width = map_bchw.shape[-2:]
    cells = (
        map_bchw.permute(0, 2, 3, 1)
        .unflatten(2, (width // 4, 2, 2))
        .unflatten(1, (height // 4, 2, 2))
    )
    return cells.permute(0, 1, 4, 2, 5, 3, 6, 7)
