"""Pixel preparation: RGB tensors to the image encoder's input, for photos, frames and training.

Suffixes: c = channels, h, w = rows and columns.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from sam2_hf.errors import ImageError

BYTE = 255
Compat = Literal["official", "transformers"]
Numbers = float | tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRules:
    """Steps of pixel preparation; None skips a step.

    Attributes:
        size: `(height, width)` to resize to.
        resampling: "nearest", "bilinear" or "bicubic"; the last two are antialiased.
        rescale_factor: Factor of bytes.
        mean: Subtracted from each channel after that.
        std: Divisor of each channel.
        compat: "official" resizes floats. "transformers" resizes bytes to bytes and fuses rescaling
            with normalization, with the pixels of transformers' processors; a value differs by one
            gray level at most.

    Raises:
        ImageError: A number is not finite, or a divisor is 0.
    """

    size: tuple[int, int] | None
    resampling: str
    rescale_factor: float | None
    mean: Numbers | None
    std: Numbers | None
    compat: Compat

    def __post_init__(self) -> None:
        for name, may_be_zero in (("rescale_factor", False), ("mean", True), ("std", False)):
            numbers = _numbers(getattr(self, name))
            if not all(math.isfinite(n) and (n or may_be_zero) for n in numbers):
                raise ImageError(
                    f"{name} is {getattr(self, name)}. Give finite numbers"
                    f"{'' if may_be_zero else ', none of them 0'}, as the model was trained with."
                )


def _numbers(numbers: object) -> tuple[float, ...]:
    if numbers is None:
        return ()
    found: Iterable[Any] = numbers if isinstance(numbers, Iterable) else (numbers,)
    try:
        return tuple(map(float, found))
    except (TypeError, ValueError) as error:
        raise ImageError(f"{numbers!r} is not a number, nor one for each channel.") from error


RELEASED_PIXELS = PixelRules(
    size=None,
    resampling="bilinear",
    rescale_factor=1 / BYTE,
    mean=tuple(IMAGENET_DEFAULT_MEAN),
    std=tuple(IMAGENET_DEFAULT_STD),
    compat="official",
)  # the numbers of every released checkpoint


def to_pixel_values(pixels_chw: Tensor, rules: PixelRules) -> Tensor:
    """Scale to floats, resize, normalize.

    Args:
        pixels_chw: `(c, h, w)`, uint8, or float32, taken as already rescaled.
        rules: The steps.

    Returns:
        `(c, height, width)`, contiguous; float32, except as in `normalize_pixels`.

    Source: sam2/utils/transforms.py:31-45 @ 2b90b9f; with `compat="transformers"`
        transformers/image_processing_backends.py:399-446.
    """
    if rules.compat == "transformers":
        return normalize_pixels(resize_pixels(pixels_chw, rules), rules).contiguous()
    values = _rescale(pixels_chw, rules)
    return normalize_pixels(resize_pixels(values, rules), rules).contiguous()


def resize_pixels(pixels_chw: Tensor, rules: PixelRules) -> Tensor:
    """Resize pixels to `rules.size`; they keep their type.

    Args:
        pixels_chw: `(c, h, w)`, uint8 or float32.
        rules: The steps.

    Returns:
        `(c, height, width)`; `pixels_chw` itself if it has that size.

    Source: torchvision/transforms/v2/functional/_geometry.py, `resize_image`, for bytes.
    """
    if rules.size is None or tuple(pixels_chw.shape[-2:]) == tuple(rules.size):
        return pixels_chw
    if rules.resampling == "nearest":
        mode = "nearest-exact" if rules.compat == "transformers" else "nearest"
        return functional.interpolate(pixels_chw[None], rules.size, mode=mode)[0]
    as_bytes = pixels_chw.dtype != torch.uint8 or _resizes_bytes(pixels_chw, rules.resampling)
    values_1chw = (pixels_chw if as_bytes else pixels_chw.to(torch.float32))[None]
    resized = functional.interpolate(
        values_1chw, rules.size, mode=rules.resampling, antialias=True, align_corners=False
    )[0]
    return resized if as_bytes else resized.clamp_(0, BYTE).round_().to(torch.uint8)


def normalize_pixels(pixels_chw: Tensor, rules: PixelRules) -> Tensor:
    """Rescale bytes to floats, and normalize each channel.

    Args:
        pixels_chw: `(..., c, h, w)`, uint8, or float32, taken as already rescaled. Not
            modified.
        rules: The steps; `size` is ignored.

    Returns:
        The same shape, float32; bytes stay bytes if there is nothing to do with
        `compat="transformers"`.

    Raises:
        ImageError: The count of numbers is not that of channels.

    Source: sam2/utils/misc.py:94-96, :267-277 @ 2b90b9f; with `compat="transformers"`
        transformers/image_processing_backends.py:329-369.
    Differs: divides in float32 instead of float64, equal for every byte. Divisors are tensors,
        because CUDA multiplies by the inverse of a plain number.
    """
    if rules.mean is None or rules.std is None:
        return _rescale(pixels_chw, rules)
    factor, scale = rules.rescale_factor, 1.0
    if rules.compat == "transformers" and factor is not None and pixels_chw.dtype == torch.uint8:
        values, scale = pixels_chw.to(torch.float32), 1.0 / factor
    else:
        values = _rescale(pixels_chw, rules).to(torch.float32)
    channels, device = pixels_chw.shape[-3], pixels_chw.device
    mean = _per_channel(_numbers(rules.mean), scale, channels, device)
    std = _per_channel(_numbers(rules.std), scale, channels, device)
    if values is pixels_chw:
        return (values - mean).div_(std)
    return values.sub_(mean).div_(std)  # a fresh tensor


def _rescale(pixels_chw: Tensor, rules: PixelRules) -> Tensor:
    """Convert bytes to floats and scale them; floats stay as they are."""
    factor = rules.rescale_factor
    if factor is None and rules.compat == "transformers":
        return pixels_chw
    values = pixels_chw.to(torch.float32)
    if pixels_chw.dtype != torch.uint8 or factor is None:
        return values
    if factor == 1 / BYTE and rules.compat == "official":
        # The original divides; multiplying by 1 / 255 would differ in the last bit.
        return values.div_(_per_channel((BYTE,), 1.0, 1, values.device))
    return values.mul_(factor)


def _resizes_bytes(pixels_chw: Tensor, resampling: str) -> bool:
    """Whether torchvision resizes bytes with torch's integer kernel, instead of rounding floats."""
    if not pixels_chw.is_cpu:
        return False
    is_quick = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return resampling == "bicubic" or is_quick


@lru_cache(maxsize=32)
def _per_channel(
    numbers: tuple[float, ...], scale: float, channels: int, device: torch.device
) -> Tensor:
    """Make a tensor of one number, or one per channel, on the pixels' device: `(c, 1, 1)`.

    Cached, since making a tensor on an accelerator synchronizes.
    """
    if len(numbers) not in (1, channels):
        raise ImageError(
            f"there are {len(numbers)} means or deviations for {channels} channels. "
            "Give one per channel, or a single number."
        )
    with torch.inference_mode(mode=False):  # training may read it as well
        table = torch.tensor(numbers, dtype=torch.float32) * scale
        return table.view(-1, 1, 1).to(device)
