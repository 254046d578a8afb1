"""From an RGB tensor to what the image encoder sees.

Suffixes: c = channels, h, w = rows and columns.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.errors import ImageError

BYTE = 255
Compat = Literal["official", "transformers"]
Numbers = float | tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRules:
    """How pixels are prepared; None leaves a step out.

    Attributes:
        size: `(height, width)` to resize to.
        resampling: "nearest", "bilinear" or "bicubic"; the last two are antialiased.
        rescale_factor: What a byte is multiplied with.
        mean: Taken off each channel after that.
        std: Each channel is divided by it.
        compat: "official" resizes floats. "transformers" rounds bytes to bytes after the resize,
            which moves a value by half a grey level at most.
    """

    size: tuple[int, int] | None
    resampling: str
    rescale_factor: float | None
    mean: Numbers | None
    std: Numbers | None
    compat: Compat


def to_pixel_values(pixels_chw: Tensor, rules: PixelRules) -> Tensor:
    """Scale to floats, resize, normalize.

    Args:
        pixels_chw: `(c, h, w)`, uint8, or float32 which is taken to be rescaled already.
        rules: How.

    Returns:
        `(c, height, width)`, float32, contiguous.

    Source: sam2/utils/transforms.py:31-45 @ 2b90b9f.
    """
    rounded = rules.compat == "transformers" and pixels_chw.dtype == torch.uint8
    values = pixels_chw if rounded else _rescale(pixels_chw, rules.rescale_factor)
    if rules.size is not None:
        values = _resize(values.to(torch.float32), rules)
        values = values.round().clamp(0, BYTE) if rounded else values
    if rounded:
        values = _rescale(values.to(torch.uint8), rules.rescale_factor)
    if rules.mean is not None and rules.std is not None:
        mean, std = (_per_channel(numbers, values) for numbers in (rules.mean, rules.std))
        values = (values - mean) / std
    return values.contiguous()


def _rescale(pixels_chw: Tensor, factor: float | None) -> Tensor:
    values = pixels_chw.to(torch.float32)
    if pixels_chw.dtype != torch.uint8 or factor is None:
        return values
    # The original divides; a product with 1 / 255 would differ in the last bit.
    return values / BYTE if factor == 1 / BYTE else values * factor


def _resize(values_chw: Tensor, rules: PixelRules) -> Tensor:
    if rules.resampling == "nearest":
        return functional.interpolate(values_chw[None], rules.size, mode="nearest")[0]
    return functional.interpolate(
        values_chw[None], rules.size, mode=rules.resampling, antialias=True, align_corners=False
    )[0]


def _per_channel(numbers: Numbers, values_chw: Tensor) -> Tensor:
    """One number, or one per channel, ready for `(c, h, w)`."""
    tensor = torch.as_tensor(numbers, dtype=torch.float32, device=values_chw.device)
    if tensor.numel() not in (1, len(values_chw)):
        raise ImageError(
            f"there are {tensor.numel()} means or deviations for {len(values_chw)} channels. "
            "Give one per channel, or a single number."
        )
    return tensor.reshape(-1, 1, 1)
