"""Checks of a processor's settings, as read from a file.

A file may hold any value. Values refused here would otherwise fail in the middle of a picture, or
silently give wrong pixels: a deviation of 0, a size of -1, a mean that is not a number.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sam2_hf.errors import ProcessorError

FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
LARGEST_FILE = 8 * 2**20  # bytes
LARGEST_SIDE = 16_384  # pixels
LARGEST_NUMBER = 1e6  # of a mean, a deviation or a factor
RESAMPLINGS = 6  # of Pillow, numbered from 0
PARTS = ("image_processor", "video_processor")


def read_settings(path: Path) -> dict[str, Any]:
    """Read a file of settings.

    Raises:
        ProcessorError: It is too large, not a JSON object, or a setting in it cannot be used,
            whatever its class.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise ProcessorError(f"{path} is too large for a settings file. Download it again.")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProcessorError(f"{path} is not valid JSON: {error}. Download it again.") from error
    if not isinstance(fields, dict):
        raise ProcessorError(
            f"{path} holds a {type(fields).__name__} instead of a JSON object. Download it again."
        )
    _require_usable(fields.get, str(path))
    for name in PARTS:
        if name in fields and not isinstance(fields[name], dict):
            raise ProcessorError(f"{path}: {name} is not a JSON object. Download it again.")
        _require_usable(fields.get(name, {}).get, str(path))
    return fields


def require_usable(processor: object, source: str) -> None:
    """Refuse a processor whose settings cannot be used.

    None, an omitted setting, is fine, except for the numbers of an enabled step.

    Args:
        processor: A processor, image processor or video processor.
        source: Its name in messages.

    Raises:
        ProcessorError: The message names the setting, its value, and what it must be.
    """
    _require_usable(lambda name: getattr(processor, name, None), f"the processor of {source}")
    needed = {"do_rescale": ("rescale_factor",), "do_normalize": ("image_mean", "image_std")}
    for step, names in needed.items():
        missing = [name for name in names if getattr(processor, name, None) is None]
        if getattr(processor, step, False) and missing:
            raise ProcessorError(
                f"the processor of {source} cannot be used: {step} is true and {missing[0]} is "
                f"null. Set the number, or {step} to false."
            )
    for name in PARTS:
        if (part := getattr(processor, name, None)) is not None:
            require_usable(part, source)


def require_usable_options(options: Mapping[str, object]) -> None:
    """Refuse unusable options of one call; sizes are left to `pixel_rules`.

    Raises:
        ProcessorError: As in `require_usable`.
    """
    given = {name: options.get(name) for name in ("image_mean", "image_std", "rescale_factor")}
    _require_usable(given.get, "this call")


def _require_usable(setting: Callable[[str], object], source: str) -> None:
    """Check each setting."""
    for name, rule in RULES.items():
        value = setting(name)
        if value is not None and (why := rule(value)):
            raise ProcessorError(
                f"{source} cannot be used: {name} is {value!r:.80}; it must {why}."
            )


def _is_number(value: object) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and -LARGEST_NUMBER <= value <= LARGEST_NUMBER  # type: ignore[operator]


def _side(value: object) -> str | None:
    fits = type(value) is int and 0 < value <= LARGEST_SIDE
    return None if fits else f"be a whole number of pixels from 1 to {LARGEST_SIDE}"


def _size(value: Any) -> str | None:  # noqa: ANN401 - a dict, or transformers' `SizeDict`
    """Both sides, in pixels, or one number for both."""
    if not isinstance(value, dict) and not hasattr(value, "height"):
        return _side(value)
    sides = value if isinstance(value, dict) else vars(value)
    found = [sides.get("height"), sides.get("width")]
    return next((f"have sides that each {why}" for side in found if (why := _side(side))), None)


def _mean(value: object) -> str | None:
    values = value if isinstance(value, list | tuple) else [value]
    fits = len(values) in (1, 3) and all(map(_is_number, values))
    return None if fits else "be one number, or one per color"


def _deviation(value: object) -> str | None:
    values: Any = value if isinstance(value, list | tuple) else [value]
    return _mean(value) or (
        None if min(values) > 0 else "be above 0, since pixels are divided by it"
    )


def _factor(value: object) -> str | None:
    return None if _is_number(value) and value > 0 else "be a number above 0"  # type: ignore[operator]


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "be true or false"


def _resampling(value: object) -> str | None:
    fits = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < RESAMPLINGS
    return None if fits else f"be a number of Pillow's, 0 to {RESAMPLINGS - 1}"


def _padding(value: object) -> str | None:
    return None if type(value) is int and value < 0 else "be a whole number below 0"


RULES: dict[str, Callable[[object], str | None]] = {
    "size": _size,
    "mask_size": _size,
    "image_mean": _mean,
    "image_std": _deviation,
    "rescale_factor": _factor,
    "resample": _resampling,
    "do_resize": _flag,
    "do_rescale": _flag,
    "do_normalize": _flag,
    "do_convert_rgb": _flag,
    "target_size": _side,
    "point_pad_value": _padding,
}
