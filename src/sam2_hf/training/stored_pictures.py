"""Pictures and label maps as tables hold them: a path, the bytes of a file, or a picture.

Suffixes: hw = rows and columns.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sam2_hf.errors import DataError, ImageError
from sam2_hf.processing.images import load_image
from sam2_hf.video.frame_pixels import to_picture

from .clip_rows import StoredPicture

MAP_DIMENSIONS = 2
LARGEST_LABEL = 2**31 - 128  # the largest that a float32 and an int32 both hold
EXPECTED = "Tables hold paths, pictures, or the bytes of PNG or JPEG files."


def open_picture(stored: StoredPicture) -> Image.Image:
    """Open a picture, whatever its mode.

    Raises:
        ImageError: It is missing, damaged, or no picture.
    """
    if isinstance(stored, Image.Image):
        return stored
    if isinstance(stored, str):
        opened = load_image(stored)
        if isinstance(opened, Image.Image):
            return opened
    try:
        picture = Image.open(io.BytesIO(stored))  # type: ignore[arg-type]  # bytes are left
        picture.load()
    except UnidentifiedImageError as error:
        raise ImageError(f"a stored picture is of no known kind. {EXPECTED}") from error
    except Exception as error:  # the readers of PIL have errors of their own for every damage
        raise ImageError(f"a stored picture cannot be read: {error}. {EXPECTED}") from error
    return picture


def open_rgb(stored: StoredPicture) -> Image.Image:
    """Open a picture as RGB.

    Raises:
        ImageError: As in `open_picture`.
    """
    picture = open_picture(stored)
    if picture.mode == "RGB" and "transparency" not in picture.info:
        return picture
    return Image.fromarray(to_picture(picture))


def open_label_map(stored: StoredPicture) -> NDArray[np.uint8] | NDArray[np.int32]:
    """Open a picture that holds a number for each pixel; a palette gives its indices.

    Returns:
        `(h, w)`, uint8 or int32.

    Raises:
        ImageError: As in `open_picture`.
        DataError: It holds colours.
    """
    picture = open_picture(stored)
    values = np.asarray(picture)
    if values.ndim != MAP_DIMENSIONS:
        name = stored if isinstance(stored, str) else "a mask"
        raise DataError(
            f"{name} holds colours (mode {picture.mode}), but a mask has one number per pixel. "
            "Save it as a grey or palette PNG."
        )
    if values.dtype in (np.bool_, np.uint8):
        return values.astype(np.uint8, copy=False)
    # NaN is not within anything either
    if not (np.abs(values) <= LARGEST_LABEL).all() or not (values == np.rint(values)).all():
        raise DataError(
            "a mask holds floats that are no whole numbers, or too large. Save it as a grey or "
            "palette PNG."
        )
    return values.astype(np.int32, copy=False)
