"""Options of one call as rules of pixel preparation."""

from typing import Any

from transformers.image_utils import PILImageResampling, SizeDict

from sam2_hf.errors import ImageError
from sam2_hf.number_reading import shown

from .pixel_values import PixelRules
from .processor_settings import LARGEST_SIDE

RESAMPLING = {
    PILImageResampling.NEAREST: "nearest",
    PILImageResampling.BILINEAR: "bilinear",
    PILImageResampling.BICUBIC: "bicubic",
}


def pixel_rules(options: dict[str, Any]) -> PixelRules:
    """Read standardized options.

    Args:
        options: All options of an image processor, under transformers' names.

    Raises:
        ImageError: One of them is not supported.
    """
    for step in ("do_center_crop", "do_pad"):
        if options.get(step):
            raise ImageError(f"{step}=True is not something SAM 2 does. Leave it out.")
    resample = options.get("resample")
    if resample is not None and resample not in RESAMPLING:
        raise ImageError(
            f"resample={resample!r} is not supported. Choose NEAREST, BILINEAR or BICUBIC."
        )
    return PixelRules(
        size=size_pair(options["size"], "size") if options["do_resize"] else None,
        resampling="bilinear" if resample is None else RESAMPLING[resample],
        rescale_factor=options["rescale_factor"] if options["do_rescale"] else None,
        mean=options["image_mean"] if options["do_normalize"] else None,
        std=options["image_std"] if options["do_normalize"] else None,
        compat=options["compat"],
    )


def size_pair(size: SizeDict | None, name: str) -> tuple[int, int]:
    """Read `(height, width)`.

    Raises:
        ImageError: It has another form, such as a shortest edge.
    """
    if size is None or not (size.height and size.width):
        raise ImageError(f"{name}={size} has no height and width. Give both, in pixels.")
    if not (0 < size.height <= LARGEST_SIDE and 0 < size.width <= LARGEST_SIDE):
        raise ImageError(f"{name}={shown(size)}: sides have 1 to {LARGEST_SIDE} pixels.")
    return size.height, size.width
