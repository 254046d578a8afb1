"""Encoded photos: features computed once, prompted many times, optionally saved.

Suffixes: b = photos, c = channels, h, w = rows and columns of the coarsest map (1/16 of the model's
input); 3hw = red, green and blue, rows, columns of a photo; 3ss = of the model's input.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sam2_hf.atomic_write import write_atomically
from sam2_hf.compiling import Compiled
from sam2_hf.errors import ImageError, PromptError
from sam2_hf.model.checkpoints.weight_fingerprint import (
    WeightWatch,
    is_same_model,
    weight_fingerprint,
)
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.promptable_model import feature_weights
from sam2_hf.picture_files import file_problem
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.value_range import ValueRange
from sam2_hf.results.found_object import Origin
from sam2_hf.video.tracking_model import FrozenModel

from .loading import image_processor_of

FORMAT = "sam2_hf.encoded_image.1"
LEVELS = ("stride_4", "stride_8", "stride_16")  # names of the maps in the file
SIDE = re.compile(r"[1-9][0-9]{0,8}")  # of a photo, pixels
MARK = re.compile(r"(?:[0-9a-f]{64}){1,2}")  # earlier versions wrote the first half only
DTYPES = ("F64", "F32", "F16", "BF16")
RANK = 4


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """Image features of a photo for the mask decoder.

    Attributes:
        embeddings: `(1, 32, 4h, 4w)`, `(1, 64, 2h, 2w)` and `(1, 256, h, w)`, in the model's dtype.
        original_size: `(height, width)` of the photo, pixels.
        fingerprint: Identifies the model, see [`fingerprint`].
        origin: Where the photo came from; None after `load`.
    """

    embeddings: tuple[Tensor, ...]
    original_size: tuple[int, int]
    fingerprint: str
    origin: Origin | None = None

    def to(self, device: torch.device | str) -> "EncodedImage":
        """Return a copy with all tensors on `device`.

        Example:
            >>> encoded = ImageSegmentationPipeline(image_model).encode(photo)
            >>> encoded.to("cpu").original_size
            (400, 600)
        """
        return replace(self, embeddings=tuple(level.to(device) for level in self.embeddings))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a safetensors file.

        Args:
            path: The file; missing folders are created, an existing file is replaced
                atomically.

        Raises:
            OutputError: It cannot be written; no partial file is left.

        Example:
            >>> encoded = ImageSegmentationPipeline(image_model).encode(photo)
            >>> encoded.save("coffee.safetensors").name
            'coffee.safetensors'
        """
        levels = (level.detach().cpu().contiguous() for level in self.embeddings)
        height, width = self.original_size
        about = {"format": FORMAT, "fingerprint": self.fingerprint}
        about |= {"height": str(height), "width": str(width)}
        return write_atomically(path, save(dict(zip(LEVELS, levels, strict=True)), metadata=about))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, device: torch.device | str = "cpu"
    ) -> "EncodedImage":
        """Read a file written by `save`.

        Args:
            path: The file.
            device: Device of the tensors.

        Raises:
            ImageError: The file is missing, damaged, or not an encoded image.

        Example:
            >>> segment = ImageSegmentationPipeline(image_model)
            >>> path = segment.encode(photo).save("coffee.safetensors")
            >>> mask = segment(EncodedImage.load(path), points=(290, 225)).best
        """
        try:
            problem = file_problem(path) or _problem_of_head(path)
            if not problem:
                with safe_open(path, framework="pt", device=str(device)) as file:
                    about = file.metadata()
                    embeddings = tuple(file.get_tensor(name) for name in LEVELS)
                is_finite = all(bool(level.isfinite().all()) for level in embeddings)
                problem = None if is_finite else "its maps hold NaN or infinity"
        except (SafetensorError, OSError) as error:
            problem = str(error)
        if problem:
            raise ImageError(
                f"cannot read the encoded image {path}: {problem.rstrip('.')}. Encode the photo "
                "again and save it."
            )
        size = int(about["height"]), int(about["width"])
        return cls(embeddings, size, about["fingerprint"])


def fingerprint(model: Sam2Model) -> str:
    """Fingerprint of what an encoding depends on: image encoder, input size and dtype.

    The prompt encoder and the mask decoder's transformer do not count: encodings stay valid when
    they are fine-tuned.

    Returns:
        See [`weight_fingerprint`].
    """
    if isinstance(model, FrozenModel):
        return model.fingerprint
    size = model.config.prompt_encoder_config.image_size
    return weight_fingerprint(model.config.vision_config, _encoder_weights(model), str(size))


class Fingerprint:
    """Cached fingerprint of one model, updated when its weights change.

    Args:
        model: The model.
    """

    def __init__(self, model: Sam2Model) -> None:
        self.model = model
        self._watch = WeightWatch()
        self._value = ""

    def current(self) -> str:
        """Return the current [`fingerprint`] of the model."""
        if isinstance(self.model, FrozenModel):
            return fingerprint(self.model)
        if self._watch.have_changed(_encoder_weights(self.model)):
            self._value = fingerprint(self.model)
        return self._value


def check_encoded(encoded: EncodedImage, model: Sam2Model, model_fingerprint: str) -> None:
    """Refuse an encoding by another model.

    Raises:
        ImageError: The fingerprints differ, or the maps do not fit the model.
    """
    if not is_same_model(encoded.fingerprint, model_fingerprint):
        theirs, ours = encoded.fingerprint[-8:], model_fingerprint[: len(encoded.fingerprint)][-8:]
        raise ImageError(
            f"this image was encoded by another model ({theirs}, here {ours}): other weights, "
            "another size or another dtype. "
            "Encode it with this model, or load the model that was used."
        )
    check_maps(encoded.embeddings, model)


def check_maps(embeddings: Sequence[Tensor], model: Sam2Model) -> None:
    """Check the feature maps of one photo against a model.

    Raises:
        ImageError: Shapes or types differ.
    """
    width, (rows, columns) = model.hidden_dim, model.grid
    wanted = [
        (1, width // 8, 4 * rows, 4 * columns),
        (1, width // 4, 2 * rows, 2 * columns),
        (1, width, rows, columns),
    ]
    shapes = [tuple(level.shape) for level in embeddings]
    dtypes = {level.dtype for level in embeddings}
    if shapes != wanted or dtypes != {model.dtype}:
        raise ImageError(
            f"this encoded image has maps of the shapes {shapes} ({', '.join(map(str, dtypes))}), "
            f"this model makes {wanted} ({model.dtype}). Encode the photo again."
        )


def _problem_of_head(path: str | os.PathLike[str]) -> str | None:
    """Check everything in a file except its values; return the problem, if any.

    Raises:
        ImageError: It is not an encoded image.
    """
    with safe_open(path, framework="pt") as file:
        about, names = file.metadata() or {}, set(file.keys())
        _check_format(path, about)
        if names != set(LEVELS):
            return f"it holds {sorted(names)!r:.100}, not {', '.join(LEVELS)}"
        levels = [file.get_slice(name) for name in LEVELS]
        shapes, dtypes = (
            [level.get_shape() for level in levels],
            {level.get_dtype() for level in levels},
        )
    if len(dtypes) > 1 or not dtypes <= set(DTYPES):
        return f"its maps hold {', '.join(sorted(dtypes))}, not floats of one kind"
    if any(len(shape) != RANK or shape[0] != 1 or not min(shape) for shape in shapes):
        return f"its maps have the shapes {shapes}, not (1, channels, rows, columns)"
    return _problem_of_metadata(about)


def _problem_of_metadata(about: dict[str, str]) -> str | None:
    """Return the problem with a file's size and fingerprint, if any."""
    sides = [about.get("height", "not given"), about.get("width", "not given")]
    if not all(map(SIDE.fullmatch, sides)):
        return f"it says that the photo is {sides[0]!r:.40} high and {sides[1]!r:.40} wide"
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and int(sides[0]) * int(sides[1]) > 2 * limit:  # as Pillow does
        return f"it says that the photo has {sides[0]} x {sides[1]} pixels, too many to be true"
    mark = about.get("fingerprint", "not given")
    return None if MARK.fullmatch(mark) else f"{mark!r:.40} is not the mark of a model"


def _check_format(path: str | os.PathLike[str], about: dict[str, str]) -> None:
    if about.get("format") != FORMAT:
        raise ImageError(
            f"{path} is a safetensors file without an encoded image in it "
            f"(format {about.get('format', 'not given')!r:.80}, expected {FORMAT!r}). "
            "Pass a file that EncodedImage.save wrote."
        )


def _encoder_weights(model: Sam2Model) -> Iterator[Tensor]:
    yield from feature_weights(model)
    yield model.no_memory_embedding


Processor = Any  # an image processor, a processor with one inside, or None


class PhotoEncoder:
    """Prepare photos for one model and encode them.

    Args:
        model: The model, on its device.
        processor: Image processor, or a processor with an `image_processor`; by default the one
            saved with the model, or a standard one. Its size is replaced by the model's.
        compile: Whether to `torch.compile` the image encoder, for GPUs. On a CPU the default is
            faster.

    Raises:
        PromptError: The model is not an image model, or cannot be compiled.
    """

    def __init__(
        self,
        model: Sam2Model,
        processor: Processor = None,
        *,
        compile: bool = False,
    ) -> None:
        if not callable(getattr(model, "decode_gated", None)):  # wrappers have it too
            raise PromptError(
                f"the model is a {type(model).__name__}; a Sam2Model is needed. Load one with "
                "Sam2Model.from_pretrained, which reads the checkpoints of videos too."
            )
        if compile and isinstance(model, FrozenModel):
            raise PromptError("compile=True is for PyTorch models; graphs are compiled already.")
        self.model = model
        self._encode = Compiled(encode_photos) if compile else encode_photos
        self.model_size = model.image_size
        self._size = {"height": self.model_size, "width": self.model_size}
        inner = getattr(processor, "image_processor", processor) or image_processor_of(model)
        self.processor = Sam2ImageProcessor(size=self._size) if inner is None else inner
        self.value_range: ValueRange = getattr(inner, "value_range", None)
        # Photos have been scaled before.
        self._options: dict[str, Any] = {"return_tensors": "pt", "size": self._size}
        if self.value_range is not None:
            self._options["value_range"] = None

    def embeddings(self, *photos_3hw: Tensor) -> list[Tensor]:
        """Encode photos in one batch.

        Args:
            *photos_3hw: `(3, height, width)`, uint8 or float32 0-1; sizes may differ.

        Returns:
            Maps at strides 4, 8 and 16 of the model's input, each `(photos, c, h, w)`.
        """
        prepared = self.processor(images=list(photos_3hw), **self._options)
        pixels = prepared["pixel_values"].to(self.model.device, self.model.dtype)
        return list(self._encode(self.model, pixels))

    def embeddings_of_each(self, photos_3hw: Sequence[Tensor]) -> list[list[Tensor]]:
        """Encode photos so that each can be kept independently.

        On the CPU they are encoded one by one, which is as fast as a batch and makes results
        independent of the other photos.

        Args:
            photos_3hw: As in `embeddings`.

        Returns:
            For each photo its maps, each `(1, c, h, w)`.
        """
        if self.model.device.type == "cpu" or len(photos_3hw) == 1:
            return [self.embeddings(photo_3hw) for photo_3hw in photos_3hw]
        levels = self.embeddings(*photos_3hw)
        # clones, so that one photo does not keep the whole batch alive
        return [
            [level[place : place + 1].clone() for level in levels]
            for place in range(len(photos_3hw))
        ]


def encode_photos(model: Sam2Model, pixels_b3ss: Tensor) -> tuple[Tensor, ...]:
    """Encode prepared photos; see `Sam2Model.get_image_embeddings`."""
    return tuple(model.get_image_embeddings(pixels_b3ss))
