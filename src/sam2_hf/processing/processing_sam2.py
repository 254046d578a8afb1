"""Processor: pictures and prompts to model input, and masks back to the pictures."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from transformers.image_processing_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin

from sam2_hf.errors import PromptError

from .bundled_processors import loads_bundled
from .image_processing_sam2 import Sam2ImageProcessor
from .images import ImageSource
from .mask_post_processing import read_sizes
from .prompt_checks import mask_side
from .prompt_tensors import ARGUMENTS, count_objects, pad_prompts, read_prompts


@loads_bundled
class Sam2Processor(ProcessorMixin):
    """Prepare pictures with their prompts, and post-process masks.

    Takes the arguments and files of transformers' class of this name.

    Differs from transformers: `input_masks`, one per object; images may differ in numbers of
    objects, points and boxes; arguments are not modified; prompts are checked.

    Args:
        image_processor: Prepares the pictures.
        target_size: Input size of the model, to which coordinates are scaled; the height of
            `image_processor.size` if None.
        point_pad_value: Both coordinates of a padding point.
    """

    def __init__(
        self,
        image_processor: Sam2ImageProcessor,
        target_size: int | None = None,
        point_pad_value: int = -10,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, **kwargs)
        self.point_pad_value = point_pad_value
        self.target_size = target_size or image_processor.size["height"]

    def __call__(  # noqa: PLR0913 - the signature is transformers'
        self,
        images: ImageSource | Sequence[ImageSource] | None = None,
        segmentation_maps: ImageSource | Sequence[ImageSource] | None = None,
        input_points: object = None,
        input_labels: object = None,
        input_boxes: object = None,
        original_sizes: object = None,
        return_tensors: str | None = None,
        *,
        input_masks: object = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare pictures and prompts.

        Args:
            images: One picture or several, as [`Sam2ImageProcessor.preprocess`] takes them; None if
                they were encoded before.
            segmentation_maps: One map per picture, for training.
            input_points: `[image][object][point][x, y]`, pixels of the original picture.
            input_labels: `[image][object][point]`: 1 on the object, 0 outside it, 2 and 3 corners
                of a box, -10 padding; all 1 if None.
            input_boxes: `[image][object][x0, y0, x1, y1]`, pixels of the original picture; for one
                image also an `(n, 4)` array. An image without detections has the empty list `[]`.
            original_sizes: `(height, width)` of each picture, if there are no `images`.
            return_tensors: "pt" for tensors, "np" for arrays.
            input_masks: Low-resolution logits of earlier predictions, `[image][object]` of
                `(size / 4, size / 4)`, or one for all objects of an image. Floats are used as
                given; booleans and bytes are refused.
            **kwargs: Options of the image processor for this call.

        Returns:
            The model's input, and `original_sizes`. Shorter prompts are padded with label -10 and
            boxes of -10; `count_objects` counts the objects of each image.

        Raises:
            ImageError: A picture cannot be used.
            PromptError: A prompt cannot be used; the message names it.

        Example:
            >>> processor = Sam2Processor(Sam2ImageProcessor())
            >>> inputs = processor(photo, input_boxes=[[[170, 20, 420, 350]]], return_tensors="pt")
            >>> inputs["pixel_values"].shape, inputs["input_boxes"].shape
            (torch.Size([1, 3, 1024, 1024]), torch.Size([1, 1, 4]))
        """
        values = (input_points, input_labels, input_boxes, input_masks)
        given = {
            name: value for name, value in zip(ARGUMENTS, values, strict=True) if value is not None
        }
        encoding = self._encode(images, segmentation_maps, original_sizes, return_tensors, **kwargs)
        if given:
            resized = images is not None and "size" in kwargs
            side = encoding["pixel_values"][0].shape[-2] if resized else self.target_size
            sizes = read_sizes(encoding["original_sizes"])
            encoding.update(self._prompt_tensors(given, sizes, side))
        return encoding

    def _encode(
        self,
        images: ImageSource | Sequence[ImageSource] | None,
        segmentation_maps: ImageSource | Sequence[ImageSource] | None,
        original_sizes: object,
        return_tensors: str | None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare the pictures, or only record their sizes if they were encoded before."""
        if images is not None:
            encoding = self.image_processor(
                images, segmentation_maps, return_tensors=return_tensors, **kwargs
            )
            _check_sizes(original_sizes, encoding["original_sizes"])
            return encoding
        if original_sizes is None:
            raise PromptError("there are neither images nor original_sizes. Give one of them.")
        return BatchFeature(
            {"original_sizes": read_sizes(original_sizes)}, tensor_type=return_tensors
        )

    def _prompt_tensors(
        self, given: Mapping[str, object], sizes: list[tuple[int, int]], target_size: int
    ) -> dict[str, Tensor]:
        prompts = read_prompts(given, len(sizes), self.point_pad_value)
        scaled = []
        for index, (of_image, size) in enumerate(zip(prompts, sizes, strict=True)):
            of_image.check(size, target_size, f"image {index}")
            scaled.append(of_image.scaled(size, target_size))
        return pad_prompts(scaled, self.point_pad_value, mask_side(target_size))

    def count_objects(self, inputs: Mapping[str, Tensor]) -> list[int]:
        """Count the objects of each image without padding, for `post_process_masks`.

        Example:
            >>> boxes = [[[170, 20, 420, 350], [325, 230, 410, 335]], [[170, 20, 420, 350]]]
            >>> processor = Sam2Processor(Sam2ImageProcessor())
            >>> inputs = processor([photo, photo], input_boxes=boxes, return_tensors="pt")
            >>> processor.count_objects(inputs)
            [2, 1]
        """
        return count_objects(inputs)

    def post_process_masks(
        self,
        masks: object,
        original_sizes: object,
        mask_threshold: float = 0.0,
        binarize: bool = True,  # noqa: FBT001, FBT002
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        apply_non_overlapping_constraints: bool = False,  # noqa: FBT001, FBT002
        **kwargs: Any,
    ) -> list[Tensor]:
        """Resize masks to their pictures; see [`Sam2ImageProcessor.post_process_masks`].

        `num_objects=processor.count_objects(inputs)` removes padding.

        Example:
            >>> processor = Sam2Processor(Sam2ImageProcessor())
            >>> processor.post_process_masks([torch.zeros(1, 3, 96, 96)], [(400, 600)])[0].shape
            torch.Size([1, 3, 400, 600])
        """
        return self.image_processor.post_process_masks(
            masks,
            original_sizes,
            mask_threshold,
            binarize,
            max_hole_area,
            max_sprinkle_area,
            apply_non_overlapping_constraints,
            **kwargs,
        )

    @property
    def model_input_names(self) -> list[str]:
        """Keys of the result of a call with pictures only."""
        return [*self.image_processor.model_input_names, "original_sizes"]

    @classmethod
    def _get_arguments_from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        processor_dict: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[Sam2ImageProcessor]:
        """Load our image processor; transformers would look up its own by name."""
        return [Sam2ImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs)]


def _check_sizes(given: object, found: object) -> None:
    if given is None or read_sizes(given) == read_sizes(found):
        return
    raise PromptError(
        f"original_sizes says {read_sizes(given)}, the images are {read_sizes(found)} (height, "
        "width). Leave original_sizes out where there are images."
    )
