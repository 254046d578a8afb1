"""Value range: which number is black and which is white, for pictures and frames of a video.

`value_range=(low, high)` sets it: `low` is black, `high` is white, values beyond are clipped (a
window in radiology). "percentile" takes the 0.5th and the 99.5th percentile of all values, "full"
the whole range of an integer type. Without it the type decides:

| values | black | white | note |
|---|---|---|---|
| bool | False | True | |
| uint8 | 0 | 255 | |
| uint16 | 0 | 65535 | 12-bit values in uint16 are dark: give `value_range=(0, 4095)` |
| other integers | 0 | 255 | an error if a value lies outside |
| floats, 90 % of them in 0-1, the rest up to 0.5 beyond, as after filtering | 0 | 1 | |
| floats up to 255, 90 % of the nonzero ones above 1.5 | 0 | 255 | |
| other floats | | | an error, since the scale is unknown |

The scale holds for all pictures of one call, and for all frames of one video. With a `value_range`
they must have one type. Frames in memory decide together. Of frames on disk or from a stream the
first decides (percentiles of a folder or stack: 16 frames), and a later one that does not fit is an
error.

Opacity has a scale of its own, independent of the window: bool is 0 or 1, uint16 runs to 65535,
other integers run to 255, or with "full" over their range. Floats run to 1; those with a value
above 1.5 run to 255, unless the colors were found to run to 1, where such a value is an error.

Suffixes: c = channels, h, w = rows and columns.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from sam2_hf.errors import ImageError
from sam2_hf.number_reading import shown

ValueRange = tuple[float, float] | Literal["full", "percentile"] | None

BYTE, WORD = 255.0, 65535.0
OVERSHOOT = {
    1.0: 0.5,
    BYTE: 25.0,
}  # scale -> tolerated overshoot of a few values; clipped
NOISE = 0.05  # of the scale; overshoot of many values after filtering or denoising
MOST = 0.9  # fraction of values that decides; in a 0-255 photo, 99 % of the nonzero are > 1.5
MOST_SAMPLES = 1_000_000  # values for percentiles
WIDE_TYPES = (torch.int32, torch.int64, torch.uint32, torch.uint64, torch.float64)
ASK = "Specify which values are black and white: value_range=(low, high), such as (0, 255)."

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class ValueScale:
    """Black and white for every type of numbers.

    Attributes:
        given: Both numbers of `value_range`, or "full"; None if it is not set.
        floats: Black and white of floats if nothing is given; None leaves floats unchanged.
        dtype: The type that `given` applies to.
    """

    given: Bounds | Literal["full"] | None = None
    floats: Bounds | None = (0.0, 1.0)
    dtype: torch.dtype | None = None

    def apply(self, values_chw: Tensor) -> Tensor:
        """Scale values.

        Args:
            values_chw: Numbers of any type.

        Returns:
            uint8 0-255 for bytes, else float32 0-1.

        Raises:
            ImageError: They do not fit the scale, or are not finite.
        """
        dtype = values_chw.dtype
        if self.dtype not in (None, dtype):
            raise _mixed_types(self.dtype, dtype)
        if dtype.is_floating_point and self.given is None and self.floats is None:
            return values_chw.to(torch.float32)
        low, high = self._bounds(dtype)
        if dtype == torch.uint8 and (low, high) == (0, BYTE):
            return values_chw
        if dtype == torch.bool:
            return values_chw.to(torch.uint8) * int(BYTE)
        if dtype.is_floating_point:
            self._check_floats(values_chw, low, high)
        elif self.given is None and dtype != torch.uint16:
            _check_bytes(values_chw)
            return values_chw.to(torch.uint8)
        # float32 holds neither 32-bit numbers nor differences of large ones
        wide = dtype in WIDE_TYPES and (low, high) not in ((0, 1), (0, BYTE))
        values = values_chw.to(torch.float64 if wide else torch.float32)
        if (low, high) != (0, 1):
            values = (values - low) / (high - low) if low else values / high
        return values.clamp(0, 1).to(torch.float32)

    def opacity(self, values_1hw: Tensor) -> Tensor:
        """Scale the opacity of a picture to 0-1, independent of the window of its colors.

        Args:
            values_1hw: Numbers of any type.

        Returns:
            float32, 0-1; floats are unchanged if this scale leaves colors unchanged.

        Raises:
            ImageError: They are out of range, or not finite.
        """
        dtype = values_1hw.dtype
        if dtype.is_floating_point:
            return self._float_opacity(values_1hw)
        if self.given == "full" and dtype not in (torch.bool, torch.uint8):
            return self.apply(values_1hw)
        white = {torch.bool: 1.0, torch.uint16: WORD}.get(dtype, BYTE)
        if white == BYTE and dtype != torch.uint8:
            _check_opacity(values_1hw.to(torch.float64), BYTE, slack=0)
        return values_1hw.to(torch.float32) / white

    def _float_opacity(self, values_1hw: Tensor) -> Tensor:
        """Scale floats to 0-1, dividing by 255 if they exceed 1 by more than filtering does."""
        if self.given is None and self.floats is None:
            return values_1hw.to(torch.float32)
        _, most = _extremes(values_1hw)
        is_of_one = self.given is None and self.floats == (0.0, 1.0)
        white = BYTE if most > 1 + OVERSHOOT[1.0] and not is_of_one else 1.0
        _check_opacity(values_1hw, white, slack=OVERSHOOT[white])
        return (values_1hw.to(torch.float32) / white).clamp(0, 1)

    def _bounds(self, dtype: torch.dtype) -> Bounds:
        """Return black and white of a type."""
        if self.given == "full":
            if dtype.is_floating_point:
                raise ImageError(f'value_range="full" is not defined for {dtype} values. {ASK}')
            if dtype == torch.bool:
                return 0, 1
            return torch.iinfo(dtype).min, torch.iinfo(dtype).max
        if self.given is not None:
            return self.given
        if dtype.is_floating_point and self.floats is not None:
            return self.floats
        return (0, WORD) if dtype == torch.uint16 else (0, BYTE)

    def _check_floats(self, values: Tensor, low: float, high: float) -> None:
        """Refuse floats that are not finite, or that do not fit an inferred scale."""
        darkest, brightest = _extremes(values)
        fits = self.given is not None or _fit([values], darkest, brightest, high)
        if not math.isfinite(darkest + brightest) or not fits:
            raise _not_on_scale(darkest, brightest, low, high)


def read_value_range(value_range: object) -> ValueRange:
    """Check a range from a caller, a file or the command line.

    Raises:
        ImageError: It is not a range.
    """
    if value_range is None:
        return None
    if isinstance(value_range, str) and value_range in ("full", "percentile"):
        return value_range  # type: ignore[return-value]  # one of the literals
    numbers: Any = () if isinstance(value_range, str) else value_range
    try:
        low, high = (float(number) for number in numbers)
    except (TypeError, ValueError, OverflowError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ImageError(
            f"value_range is {shown(value_range)}. Give (low, high) with low < high, "
            '"percentile" or "full".'
        )
    return low, high


def choose_scale(pictures: Iterable[Tensor], value_range: ValueRange = None) -> ValueScale:
    """Choose one scale for several pictures.

    Args:
        pictures: Their values, of any types and shapes.
        value_range: See the top of this file.

    Raises:
        ImageError: It cannot be decided, or `value_range` is invalid.
    """
    value_range = read_value_range(value_range)
    if value_range is not None:
        pictures = list(pictures)
        types = list(dict.fromkeys(values.dtype for values in pictures))
        if len(types) > 1:
            raise _mixed_types(*types[:2])
        given = _percentiles(pictures) if value_range == "percentile" else value_range
        return ValueScale(given, dtype=types[0] if types else None)
    floats = [values for values in pictures if values.is_floating_point() and values.numel()]
    return ValueScale(floats=_float_bounds(floats)) if floats else ValueScale()


def _float_bounds(pictures: Sequence[Tensor]) -> Bounds:
    """Decide whether most floats run to 1 or to 255, ignoring a few extreme values."""
    extremes = [_extremes(values) for values in pictures]
    darkest = min(low for low, _ in extremes)
    brightest = max(high for _, high in extremes)
    if _fit(pictures, darkest, brightest, 1.0):
        return 0.0, 1.0
    num_lit = sum(int(torch.count_nonzero(values)) for values in pictures)
    beyond = 1 + OVERSHOOT[1.0]
    num_beyond = sum(int(torch.count_nonzero(values > beyond)) for values in pictures)
    if _fit(pictures, darkest, brightest, BYTE) and num_beyond >= MOST * num_lit:
        return 0.0, BYTE
    raise _not_on_scale(darkest, brightest, 0, 1)


def _fit(pictures: Sequence[Tensor], darkest: float, brightest: float, white: float) -> bool:
    """Whether values lie between 0 and `white`, except for a few that overshoot slightly."""
    slack, noise = OVERSHOOT[white], NOISE * white
    if not (-slack <= darkest and brightest <= white + slack):
        return False
    if -noise <= darkest and brightest <= white + noise:
        return True
    inside = [(values >= -noise) & (values <= white + noise) for values in pictures]
    num_inside = sum(int(torch.count_nonzero(inside_hw)) for inside_hw in inside)
    return num_inside >= MOST * sum(inside_hw.numel() for inside_hw in inside)


def _extremes(values: Tensor) -> Bounds:
    """Return the smallest and the largest value; NaN if any value is."""
    low, high = torch.aminmax(values.detach())
    return float(low), float(high)


def _percentiles(pictures: Sequence[Tensor]) -> Bounds:
    """Return the bounds without the darkest and the brightest half percent."""
    filled = [values.detach().flatten() for values in pictures if values.numel()]
    step = max(1, sum(len(values) for values in filled) // MOST_SAMPLES)
    sampled = [values[::step].to("cpu", torch.float64).numpy() for values in filled]
    if not sampled or not all(np.isfinite(values).all() for values in sampled):
        raise ImageError("there are no percentiles of values that are not finite numbers.")
    low, high = (float(bound) for bound in np.percentile(np.concatenate(sampled), (0.5, 99.5)))
    return low, high if high > low else low + 1


def _mixed_types(first: torch.dtype | None, other: torch.dtype) -> ImageError:
    return ImageError(
        f"one picture holds {first} values and another {other}; one value_range cannot be meant "
        "for both. Convert them to one type."
    )


def _check_bytes(values: Tensor) -> None:
    wide = values.to(torch.float64) if values.dtype == torch.uint64 else values.to(torch.int64)
    low, high = (int(value) for value in torch.aminmax(wide))
    if low < 0 or high > BYTE:
        raise ImageError(
            f"the image has whole numbers from {low} to {high} of the type {values.dtype}, of "
            f"which 0 to 255 are read as bytes. {ASK}"
        )


def _check_opacity(values: Tensor, white: float, slack: float) -> None:
    low, high = _extremes(values)
    if not (-slack <= low and high <= white + slack):
        raise ImageError(
            f"the fourth channel, opacity, has values from {low:g} to {high:g} of the type "
            f"{values.dtype}, where 0 to {white:g} was expected. Scale it, or give RGB alone."
        )


def _not_on_scale(darkest: float, brightest: float, low: float, high: float) -> ImageError:
    if not math.isfinite(darkest + brightest):
        return ImageError(
            f"the image has values from {darkest:g} to {brightest:g}. Replace what is not a finite "
            "number."
        )
    return ImageError(
        f"the image has float values from {darkest:g} to {brightest:g}, which fit no scale: "
        f"{low:g} to {high:g} was expected. {ASK}"
    )
