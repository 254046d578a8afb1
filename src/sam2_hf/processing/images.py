"""Pictures from files, addresses or memory as RGB tensors.

Suffixes: c = channels (3 after conversion), h, w = rows and columns of the original picture.
"""

import os
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from transformers.image_utils import load_image as load_from_address

from sam2_hf.errors import ImageError
from sam2_hf.picture_files import file_problem, picture_errors

from .value_range import ValueRange, ValueScale, choose_scale

ImageSource = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor

RGB, RGBA = 3, 4
CHANNELS = (1, RGB, RGBA)  # gray, color, color with transparency
MAP_DIMENSIONS, IMAGE_DIMENSIONS, BATCH_DIMENSIONS = 2, 3, 4
BYTE = 255
ADDRESS_STARTS = ("http://", "https://", "data:image/")
# PNG, JPEG, GIF, WebP, BMP and TIFF in base64; a path may also start with "/9j/"
BASE64_STARTS = ("iVBORw0KGgo", "/9j/", "R0lGOD", "UklGR", "Qk", "SUkqA", "TU0AK")
MIN_BASE64 = 64  # characters; no picture is smaller
NUMERIC_MODES = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")  # clipped by Pillow's conversion
WORD_FORMATS = ("PNG", "PPM")  # their 16-bit pictures are of mode "I" in some versions of PIL


def load_image(
    source: ImageSource, timeout: float | None = None
) -> Image.Image | np.ndarray | Tensor:
    """Read a picture from a file or an address; return one in memory as it is.

    A file is rotated upright by its EXIF orientation, as in a viewer. Of a file with several pages
    or frames this is the first; opened as a video it has all of them.

    Args:
        source: Path, `http(s)` address, `data:` address, a picture file as base64 text, or a
            picture.
        timeout: Timeout for an `http(s)` address, seconds; None waits forever.

    Raises:
        ImageError: There is no such file, or it is not a readable picture.
    """
    if isinstance(source, (Image.Image, np.ndarray, Tensor)):
        return source
    if isinstance(source, str) and source.startswith(ADDRESS_STARTS):
        return _fetch(source, timeout)
    if isinstance(source, str) and _is_base64(source):
        return _fetch(f"data:image/base64,{source}", timeout)
    if isinstance(source, (str, os.PathLike)):
        return _read(source)
    raise ImageError(
        f"cannot make an image from a {type(source).__name__}. "
        "Give a path, a PIL image, an array (height, width, 3) or a tensor (3, height, width)."
    )


def list_images(images: object) -> list[ImageSource]:
    """List the pictures of one picture, a list, nested lists, or an array with one axis more.

    Raises:
        ImageError: There is none.
    """
    if isinstance(images, (np.ndarray, Tensor)) and images.ndim == BATCH_DIMENSIONS:
        images = list(images)
    if not isinstance(images, (list, tuple)):
        return [images]  # type: ignore[list-item]  # `load_image` refuses other types
    flat = [image for item in images for image in list_images(item)]
    if not flat:
        raise ImageError("the list of images is empty. Give at least one image.")
    return flat


def to_rgb(
    image: ImageSource, channels: str | None = None, value_range: ValueRange = None
) -> Tensor:
    """Convert a picture to RGB.

    Gray is repeated, transparency is blended over white, deep values keep their precision.

    Args:
        image: Anything `load_image` takes; arrays as in `read_values`.
        channels: As in `read_values`.
        value_range: Which colors are black and white; see `value_range.py`.

    Returns:
        `(3, h, w)`, uint8 0-255 or float32 0-1, contiguous. May share memory with `image`.

    Raises:
        ImageError: The shape, the number of channels or the values are not those of a picture.
    """
    values_chw = read_values(image, channels)
    return rgb_of(values_chw, scale_of([values_chw], value_range))


def scale_of(pictures: Sequence[Tensor], value_range: ValueRange = None) -> ValueScale:
    """Choose one scale for several pictures; see [`choose_scale`].

    Args:
        pictures: Each `(c, h, w)`, as from `read_values`. Opacity is ignored.
        value_range: The caller's range.

    Raises:
        ImageError: It cannot be decided, or they are of several types and there is a range.
    """
    return choose_scale([values_chw[:RGB] for values_chw in pictures], value_range)


def rgb_of(values_chw: Tensor, scale: ValueScale) -> Tensor:
    """Convert values to RGB.

    Args:
        values_chw: `(c, h, w)`, as from `read_values`.
        scale: Which of them are black and white.

    Returns:
        As `to_rgb`.

    Raises:
        ImageError: A value does not fit the scale.
    """
    pixels_chw = scale.apply(values_chw[:RGB])
    if len(values_chw) == RGBA:
        return _lay_on_white(pixels_chw, scale.opacity(values_chw[RGB:]))
    return pixels_chw.expand(RGB, -1, -1).contiguous()


def read_values(image: ImageSource, channels: str | None = None) -> Tensor:
    """Read a picture as `(c, h, w)`, with its own channels and numbers.

    Args:
        image: Anything `load_image` takes. Arrays and tensors are `(h, w)`, `(h, w, c)` or
            `(c, h, w)` with 1, 3 or 4 channels, of any real type.
        channels: "channels_first" or "channels_last" where an array could be read both ways;
            otherwise arrays are read as `(h, w, c)` and tensors as `(c, h, w)`.

    Returns:
        `(c, h, w)`. May share memory with `image`.

    Raises:
        ImageError: It is unreadable, or its shape or type is not that of a picture.
    """
    image = load_image(image)
    if isinstance(image, Image.Image):
        image, channels = _pil_pixels(image), "channels_last"
    tensor_first = isinstance(image, Tensor)
    values = image if isinstance(image, Tensor) else as_tensor(image)
    if values.numel() == 0:
        raise ImageError(f"the image has no pixels (shape {tuple(values.shape)}).")
    if values.is_complex():
        raise ImageError(f"an image holds {values.dtype} values. Give real numbers.")
    return _channels_first(values, channels, tensor_first=tensor_first)


def as_tensor(array: np.ndarray) -> Tensor:
    """Convert an array, sharing memory if possible; read-only and mirrored ones are copied.

    Raises:
        ImageError: The array does not hold numbers.
    """
    if array.dtype.kind not in "buif":
        raise ImageError(
            f"an image array holds {array.dtype} values. Give bytes 0-255 or floats 0-1."
        )
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    mirrored = any(stride < 0 for stride in native.strides)
    return torch.from_numpy(native.copy() if mirrored or not native.flags.writeable else native)


def _is_base64(text: str) -> bool:
    """Whether a text is a picture file in base64, and not the path of a file."""
    looks_so = len(text) >= MIN_BASE64 and text.startswith(BASE64_STARTS)
    return looks_so and not os.path.exists(text)


def _fetch(address: str, timeout: float | None) -> Image.Image:
    try:
        return load_from_address(address, timeout=timeout)
    except Exception as error:  # the HTTP client raises many types
        raise ImageError(
            f"{address[:100]} cannot be read as an image: {error}. "
            "Check the URL and the network, or download the picture and give its path."
        ) from error


def _read(path: str | os.PathLike[str]) -> Image.Image:
    """Open a file, converting every failure to one error."""
    problem = file_problem(path, "image file")
    if problem:
        raise ImageError(problem)
    with picture_errors(path):
        return _open_upright(path)


def _open_upright(path: str | os.PathLike[str]) -> Image.Image:
    with Image.open(path) as image:
        is_words = image.mode == "I" and image.format in WORD_FORMATS
        upright = ImageOps.exif_transpose(image)
        upright.load()  # fails for a truncated file
    return Image.fromarray(np.array(upright).astype(np.uint16)) if is_words else upright


def _pil_pixels(image: Image.Image) -> np.ndarray:
    """Pixels `(h, w)` or `(h, w, c)`: numbers as they are, everything else as RGB or RGBA."""
    if image.mode in NUMERIC_MODES:
        is_words = image.mode == "I" and image.format in WORD_FORMATS
        return np.array(image, np.uint16 if is_words else None)
    has_alpha = image.mode[-1] in "Aa" or image.info.get("transparency") is not None
    try:
        return np.array(image.convert("RGBA" if has_alpha else "RGB"))
    except ValueError as error:
        raise ImageError(
            f"an image of PIL's mode {image.mode} has no RGB form: {error}."
        ) from error


def _channels_first(values: Tensor, channels: str | None, *, tensor_first: bool) -> Tensor:
    """Move the axis of channels to the front, adding it to a gray picture."""
    if values.ndim == MAP_DIMENSIONS:
        return values[None]
    axes = {"channels_first": 0, "channels_last": -1}
    order = [axes[channels]] if channels in axes else [0, -1] if tensor_first else [-1, 0]
    if values.ndim == IMAGE_DIMENSIONS:
        for axis in order:
            if values.shape[axis] in CHANNELS:
                return values.movedim(axis, 0)
    raise ImageError(
        f"an image has the shape {tuple(values.shape)}, where no axis has 1, 3 or 4 channels. Give "
        "(height, width, 3) or (3, height, width), gray as (height, width); several images as a "
        "list."
    )


def _lay_on_white(pixels_3hw: Tensor, opacity_1hw: Tensor) -> Tensor:
    """Blend color over white by its opacity, 0-1."""
    white = float(BYTE) if pixels_3hw.dtype == torch.uint8 else 1.0
    blended = pixels_3hw.to(torch.float32) * opacity_1hw + white * (1 - opacity_1hw)
    return blended.round().to(torch.uint8) if white == BYTE else blended
