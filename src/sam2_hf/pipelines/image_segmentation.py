"""Prompts and a photo in, masks out; a photo is encoded once and prompted as often as wanted.

Suffixes: p = objects, k = masks of an object, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Sequence
from typing import Any, Unpack, overload

import torch
from torch import Tensor

from sam2_hf.errors import PromptError
from sam2_hf.masks import clean_masks, resize_masks
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.processing.images import ImageSource, read_values, rgb_of, scale_of, to_rgb_batch
from sam2_hf.processing.prompts import ObjectPrompt, PromptBatch, group_by_kind
from sam2_hf.processing.value_range import ValueRange, read_value_range

from .encoded_image import EncodedImage, Fingerprint, check_fingerprint
from .object_prompts import AskedObjects, Objects, PromptParts
from .photo_encoder import PhotoEncoder, Processor
from .segmentation_result import SegmentationResult

MAX_PROMPT_LOGIT = 32.0  # low-resolution logits are handed out within this, as the original does
OBJECTS_PER_BATCH = 64  # decoded at once
PHOTOS_PER_BATCH = 4  # encoded at once
Answer = Any  # a SegmentationResult, a list or a dictionary of them, or a list of these


class ImageSegmentationPipeline:
    """Answer clicks, boxes and masks on photos.

    Args:
        model: The model, on its device.
        processor: Image processor (or a processor that has one); a standard one if left out.
        mask_threshold: A pixel with a larger logit belongs to the mask.
        max_hole_area: Holes up to this area are filled; pixels of the low-resolution mask.
        max_sprinkle_area: Speckles up to this area are removed, likewise.
        compile: Whether to compile the image encoder, see [`PhotoEncoder`].
        value_range: Which numbers are black and white, for the photos of a call together; see
            `processing/value_range.py`. The processor's if None.

    Raises:
        ImageError: The range makes no sense.

    Source: sam2/sam2_image_predictor.py:20-445 @ 2b90b9f.
    Differs: keeps no state; hole filling works on any device.
    """

    def __init__(
        self,
        model: Sam2Model,
        processor: Processor = None,
        *,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        compile: bool = False,
        value_range: ValueRange = None,
    ) -> None:
        self.model = model
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self._encoder = PhotoEncoder(model, processor, compile=compile)
        self._fingerprint = Fingerprint(model)
        self.value_range = read_value_range(value_range) or self._encoder.value_range

    @overload
    def encode(self, images: ImageSource) -> EncodedImage: ...
    @overload
    def encode(self, images: list[ImageSource]) -> list[EncodedImage]: ...
    def encode(self, images: Any) -> EncodedImage | list[EncodedImage]:
        """Encode a photo, or each photo of a list; the costly part, done once.

        Args:
            images: A path, URL, PIL picture, `(height, width, 3)` array, or a list of them.

        Raises:
            ImageError: A photo cannot be read, or does not fit the scale of the first ones.
        """
        several = isinstance(images, list | tuple)
        given: list[ImageSource] = list(images) if isinstance(images, list | tuple) else [images]
        found: list[EncodedImage] = []
        scale = None
        for start in range(0, len(given), PHOTOS_PER_BATCH):
            values = [read_values(image) for image in given[start : start + PHOTOS_PER_BATCH]]
            scale = scale or scale_of(values, self.value_range)  # the first photos decide for all
            found += self._encode([rgb_of(values_chw, scale) for values_chw in values])
        return found if several else found[0]

    def __call__(
        self,
        images: ImageSource | EncodedImage | list[Any],
        objects: Objects | list[Any] | None = None,
        *,
        multimask: bool = True,
        **prompt: Unpack[PromptParts],
    ) -> Answer:
        """Segment one or several objects in one or several photos.

        Args:
            images: A photo, or what `encode` made of it; or a list of either.
            objects: One [`ObjectPrompt`] (or a dictionary of its parts, see `prompt`), a list of
                them, or a dictionary from names to them. For a list of photos: one such for each.
            multimask: Three masks for each object, which is best for a single click; or one.
            **prompt: One object without `objects`: `points` (one or several `(x, y)`), `labels` (1
                on the object, 0 beside it), `box` `(x0, y0, x1, y1)`, `mask` (low-resolution
                logits).

        Returns:
            A [`SegmentationResult`] for one object, a list for a list, a dictionary for named
            objects; for a list of photos, a list of these. No object influences another's masks.

        Raises:
            ImageError: A photo cannot be read, or was encoded by another model.
            PromptError: A prompt cannot be used, or the numbers of photos and prompts differ.
        """
        several = isinstance(images, list | tuple)
        given: list[Any] = list(images) if isinstance(images, list | tuple) else [images]
        asked = (
            _asked_per_photo(given, objects, prompt)
            if several
            else [AskedObjects.read(objects, prompt)]
        )
        new = [place for place, one in enumerate(given) if not isinstance(one, EncodedImage)]
        pictures = to_rgb_batch([given[place] for place in new], None, self.value_range)
        read = dict(zip(new, pictures, strict=True))
        photos = [read.get(place, one) for place, one in enumerate(given)]
        for photo, one in zip(photos, asked, strict=True):  # before the costly part
            one.check(_size(photo), self._encoder.model_size)
        encoded = self._encoded(photos)
        answers = [
            self._answer(photo, one, multimask=multimask)
            for photo, one in zip(encoded, asked, strict=True)
        ]
        return answers if several else answers[0]

    @torch.no_grad()
    def _encode(self, photos: Sequence[Tensor]) -> list[EncodedImage]:
        """Encode photos that are on their scale."""
        levels = self._encoder.embeddings(*photos)
        mark = self._fingerprint.current()
        return [
            # a copy, so that keeping one photo does not keep the whole batch
            EncodedImage(
                tuple(level[place : place + 1].clone() for level in levels),
                _size(photo),
                mark,
            )
            for place, photo in enumerate(photos)
        ]

    def _encoded(self, photos: Sequence[Any]) -> list[EncodedImage]:
        """Encode what is not encoded yet; check and move what is."""
        new = [place for place, photo in enumerate(photos) if not isinstance(photo, EncodedImage)]
        encoded: dict[int, EncodedImage] = {}
        for start in range(0, len(new), PHOTOS_PER_BATCH):
            group = new[start : start + PHOTOS_PER_BATCH]
            answers = self._encode([photos[place] for place in group])
            encoded |= dict(zip(group, answers, strict=True))
        if len(new) < len(photos):
            mark = self._fingerprint.current()
            for place in set(range(len(photos))) - set(new):
                check_fingerprint(photos[place], mark)
                encoded[place] = photos[place].to(self.model.device)
        return [encoded[place] for place in range(len(photos))]

    @torch.no_grad()
    def _answer(self, encoded: EncodedImage, asked: AskedObjects, *, multimask: bool) -> Answer:
        """Decode every object of one photo."""
        results: dict[int, SegmentationResult] = {}
        for group in group_by_kind(asked.prompts):
            for start in range(0, len(group), OBJECTS_PER_BATCH):
                numbers = group[start : start + OBJECTS_PER_BATCH]
                prompts = [asked.prompts[number] for number in numbers]
                answers = self._decode(encoded, prompts, multimask=multimask)
                results |= dict(zip(numbers, answers, strict=True))
        return asked.shaped([results[number] for number in range(len(asked.prompts))])

    def _decode(
        self, encoded: EncodedImage, prompts: Sequence[ObjectPrompt], *, multimask: bool
    ) -> list[SegmentationResult]:
        batch = PromptBatch.from_prompts(
            [prompts], [encoded.original_size], self._encoder.model_size
        )
        output = self.model(
            image_embeddings=list(encoded.embeddings),
            multimask_output=multimask,
            **batch.to(self.model.device).model_inputs(),
        )
        # one object at a time: masks at the photo's size are large
        return [
            self._result(logits_khw, iou_k, score_1, encoded.original_size)
            for logits_khw, iou_k, score_1 in zip(
                output.pred_masks[0],
                output.iou_scores[0],
                output.object_score_logits[0],
                strict=True,
            )
        ]

    def _result(
        self, logits_khw: Tensor, iou_k: Tensor, score_1: Tensor, size: tuple[int, int]
    ) -> SegmentationResult:
        """Bring the masks of one object to the photo's size."""
        logits_khw = logits_khw.float()
        clean_khw = clean_masks(
            logits_khw, self.max_hole_area, self.max_sprinkle_area, self.mask_threshold
        )
        masks_khw = resize_masks(clean_khw[None], size)[0] > self.mask_threshold
        return SegmentationResult(
            masks=masks_khw.numpy(force=True),
            scores=iou_k.float().numpy(force=True),
            low_res_logits=logits_khw.clamp(-MAX_PROMPT_LOGIT, MAX_PROMPT_LOGIT).numpy(force=True),
            object_score=score_1.float().item(),
        )


def _asked_per_photo(
    images: Sequence[object], objects: object, prompt: PromptParts
) -> list[AskedObjects]:
    """Understand the prompts of several photos."""
    if prompt or not isinstance(objects, list | tuple) or len(objects) != len(images):
        count = len(objects) if isinstance(objects, list | tuple) else "no"
        raise PromptError(
            f"there are {len(images)} photos and {count} lists of objects. Give objects=[...] with "
            "one entry for each photo: an ObjectPrompt, a list of them, or a dictionary of them."
        )
    return [AskedObjects.read(one, {}) for one in objects]


def _size(photo: Tensor | EncodedImage) -> tuple[int, int]:
    """Height and width of a photo, encoded or not."""
    if isinstance(photo, EncodedImage):
        return photo.original_size
    return photo.shape[1], photo.shape[2]
