"""From photos to the maps that the mask decoder looks at.

Suffixes: b = photos, 3hw = red, green and blue, rows, columns of a photo; 3ss = of model input.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from sam2_hf.compiling import Compiled
from sam2_hf.errors import PromptError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.value_range import ValueRange

from .loading import image_processor_of

Processor = Any  # an image processor, a processor with one inside, or None


class PhotoEncoder:
    """Prepare photos for one model and encode them.

    Args:
        model: The model, on its device.
        processor: Image processor, or a processor with an `image_processor`; if None the one saved
            where the model was loaded from, or a standard one. Whatever size it says, photos are
            made as large as the model wants them.
        compile: Whether `torch.compile` makes a graph of the image encoder, for GPUs. On a CPU the
            default is faster.

    Raises:
        PromptError: The model is one for videos, or none.
    """

    def __init__(
        self,
        model: Sam2Model,
        processor: Processor = None,
        *,
        compile: bool = False,
    ) -> None:
        if not callable(getattr(model, "decode_gated", None)):  # wrappers of a model have it
            raise PromptError(
                f"the model is a {type(model).__name__}, a Sam2Model is needed. Load one with "
                "Sam2Model.from_pretrained, which reads the checkpoints of videos too."
            )
        self.model = model
        self._encode = Compiled(encode_photos) if compile else encode_photos
        side: Any = model.config.prompt_encoder_config.image_size
        self.model_size = int(side)
        self._size = {"height": self.model_size, "width": self.model_size}
        inner = getattr(processor, "image_processor", processor) or image_processor_of(model)
        self.processor = Sam2ImageProcessor(size=self._size) if inner is None else inner
        self.value_range: ValueRange = getattr(inner, "value_range", None)
        # Photos that come here are on their scale already.
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
        """Encode photos so that each can be kept without the others.

        On the CPU they are encoded one by one, which is as fast as a batch and gives the same bits
        whichever other photos there are.

        Args:
            photos_3hw: As in `embeddings`.

        Returns:
            For each photo its maps, each `(1, c, h, w)`.
        """
        if self.model.device.type == "cpu" or len(photos_3hw) == 1:
            return [self.embeddings(photo_3hw) for photo_3hw in photos_3hw]
        levels = self.embeddings(*photos_3hw)
        # copies, so that keeping one photo does not keep the whole batch
        return [
            [level[place : place + 1].clone() for level in levels]
            for place in range(len(photos_3hw))
        ]


def encode_photos(model: Sam2Model, pixels_b3ss: Tensor) -> tuple[Tensor, ...]:
    """Encode prepared photos; see `Sam2Model.get_image_embeddings`."""
    return tuple(model.get_image_embeddings(pixels_b3ss))
