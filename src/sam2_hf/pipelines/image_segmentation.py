"""Promptable segmentation of photos; a photo is encoded once and prompted any number of times.

Suffixes: p = objects, k = masks of an object, h, w = rows and columns of the low-resolution map.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import ImageError, OptionError, PromptError
from sam2_hf.masks import clean_masks
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.number_reading import is_finite_number, shown
from sam2_hf.open_vocabulary.detection import Detector, detect_objects
from sam2_hf.open_vocabulary.labels import read_labels
from sam2_hf.processing.images import ImageSource
from sam2_hf.processing.mask_values import MOST_LOGIT
from sam2_hf.processing.prompts import ObjectPrompt, PromptBatch, group_by_kind
from sam2_hf.results.pictures import as_picture
from sam2_hf.upsampled_masks import masks_at_size

from .abstract_pipeline import AbstractPipeline
from .encoded_image import EncodedImage, Fingerprint, PhotoEncoder, Processor, check_encoded
from .image_prompts import AskedObjects, Objects, SegmentationResult
from .loading import Source
from .named_models import check_named_model, detector_of
from .photo_inputs import (
    PhotoInputs,
    PhotoReader,
    ReadingOptions,
    ReadPhoto,
    batches,
    require_flag,
)
from .segmentation_result import SegmentationDict, SegmentationList

OBJECTS_PER_BATCH = 64  # decoded at once
PHOTOS_PER_BATCH = 4  # encoded at once on a GPU
NUMBERS = ("mask_threshold", "max_hole_area", "max_sprinkle_area")
PROMPT_ARGUMENTS = ("points", "labels", "box", "mask", "boxes", "text")
Answer = Any  # a SegmentationResult, a list or a dictionary of them, or a list of these


class ImageSegmentationPipeline(AbstractPipeline[Sam2Model]):
    """Segment the objects of clicks, boxes and masks on photos.

    Args:
        model: The model, on its device.
        processor: Image processor, or a processor that has one; by default the one saved with the
            model, or a standard one.
        mask_threshold: A pixel with a larger logit belongs to the mask.
        max_hole_area: Holes up to this area are filled; pixels of the low-resolution mask.
        max_sprinkle_area: Speckles up to this area are removed, in the same pixels.
        compile: Whether to compile the image encoder, see [`PhotoEncoder`].
        detector: For `text`: a [`ZeroShotDetector`], its Hub id or folder, or any
            [`Detector`][sam2_hf.open_vocabulary.detection.Detector]; by default
            `IDEA-Research/grounding-dino-tiny`, loaded when needed.
        **reading: See [`ReadingOptions`].

    Raises:
        OptionError: No option has that name.
        PromptError: An option has an unusable value.
        ImageError: The `value_range` is invalid.
        CheckpointError: The detector cannot be loaded.

    Source: sam2/sam2_image_predictor.py:20-445 @ 2b90b9f.
    Differs: keeps no state; hole filling works on any device.

    Example:
        >>> segment = ImageSegmentationPipeline(image_model)
        >>> segment("coffee.jpg", box=(170, 20, 420, 350), multimask=False).masks.shape
        (1, 400, 600)
    """

    task = "image-segmentation"

    def __init__(
        self,
        model: Sam2Model,
        processor: Processor = None,
        *,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        compile: bool = False,
        detector: Detector | Source | None = None,
        **reading: Any,
    ) -> None:
        self.check_options(
            mask_threshold=mask_threshold,
            max_hole_area=max_hole_area,
            max_sprinkle_area=max_sprinkle_area,
            compile=compile,
            detector=detector,
            **reading,
        )
        super().__init__(model)
        self.mask_threshold = mask_threshold
        self.max_hole_area = max_hole_area
        self.max_sprinkle_area = max_sprinkle_area
        self._encoder = PhotoEncoder(model, processor, compile=compile)
        self._fingerprint = Fingerprint(model)
        whole = ReadingOptions(value_range=self._encoder.value_range)
        self.reading, _ = whole.taken_from(reading)
        self._detector = detector_of(detector, self)

    @classmethod
    def option_names(cls) -> frozenset[str]:
        """List the constructor's options besides model and processor."""
        return frozenset((*NUMBERS, "compile", "detector")) | ReadingOptions.names()

    @classmethod
    def check_options(cls, **options: Any) -> None:
        """Validate the constructor's options before a model is loaded.

        Raises:
            OptionError: No option has that name.
            PromptError: An option has an unusable value.
        """
        _, own = ReadingOptions().taken_from(options)
        for name, value in own.items():
            if name not in cls.option_names():
                raise OptionError("image segmentation", name, cls.option_names())
            if name in NUMBERS and not is_finite_number(value):
                raise PromptError(f"{name} is {shown(value)}; it must be a finite number.")
        require_flag("compile", own.get("compile", False))
        check_named_model(own.get("detector"), "detector", "detect")

    @overload
    def encode(self, images: ImageSource) -> EncodedImage: ...
    @overload
    def encode(self, images: list[ImageSource]) -> list[EncodedImage]: ...
    def encode(self, images: Any) -> Any:
        """Encode a photo, or each of several photos: the expensive part, done once.

        Args:
            images: One photo, a list or a stream of them, as in a call.

        Raises:
            ImageError: A photo cannot be read, or does not fit the value scale of the first ones.

        Example:
            >>> segment = ImageSegmentationPipeline(image_model)
            >>> encoded = segment.encode(photo)
            >>> cup, spoon = (segment(encoded, points=xy).best for xy in [(290, 225), (365, 280)])
        """

        def encode_all(photos: Iterator[ImageSource]) -> Iterator[EncodedImage]:
            read = PhotoReader(self.reading)
            for batch in batches(photos, self.reading.batch_size or PHOTOS_PER_BATCH):
                yield from self._encode(read(batch))

        return PhotoInputs.of(images).answer(encode_all, self.reading.num_workers)

    def __call__(
        self,
        images: object,
        objects: Objects | Sequence[Any] | None = None,
        *,
        multimask: bool = True,
        **arguments: Any,
    ) -> Answer:
        """Segment one or several objects in one or several photos.

        Args:
            images: A photo (path, URL, base64 text, PIL picture, `(height, width, 3)` array), or
                its result of `encode`; a list of either or an array with one axis more; or a
                generator, a `torch.utils.data.Dataset` or another stream of them.
            objects: One [`ObjectPrompt`] (or a dictionary of its parts, see `arguments`), a list of
                them, or a dictionary from names to them; `[]` for no detections. For
                several photos: one of these for each.
            multimask: Whether to return three masks per object, best for a single click, or one.
            **arguments: Instead of `objects`, one object: `points` (one or several `(x, y)`),
                `labels` (1 on the object, 0 outside it), `box` `(x0, y0, x1, y1)`, `mask` (at the
                photo's size, or an earlier answer; see [`ObjectPrompt`]); or `boxes`, `(n, 4)`, one
                object per row; for several photos a list of such arrays. Or `text`: names to look
                for in every photo, such as "a dog" or a list. Also [`ReadingOptions`].

        Returns:
            A [`SegmentationResult`] for one object, a list for a list, `boxes` or `text` (best
            detections first, named), a dictionary for named objects; for several photos a list of
            these, for a stream an iterator of them. Objects do not influence each other's masks.

        Raises:
            ImageError: A photo cannot be read, or was encoded by another model.
            PromptError: A prompt cannot be used, or the numbers of photos and prompts differ.
            OptionError: There is no such argument.
            DetectionError: The detector failed, or its answer cannot be used.

        Example:
            >>> segment = ImageSegmentationPipeline(image_model)
            >>> cup = ObjectPrompt(clicks=[Click((290, 225)), Click((120, 260), positive=False)])
            >>> found = segment(photo, {"cup": cup, "spoon": {"box": (325, 230, 410, 335)}})
            >>> found["cup"].best.dtype
            dtype('bool')
        """
        reading, prompt = self.reading.taken_from(arguments)
        for name in prompt:
            if name not in PROMPT_ARGUMENTS:
                known = {*PROMPT_ARGUMENTS, *ReadingOptions.names(), "objects", "multimask"}
                raise OptionError("a call of image segmentation", name, known)
        inputs = PhotoInputs.of(images)
        if prompt.get("text") is not None:
            labels = _names_alone(objects, prompt)
            return self._segment_by_name(inputs, labels, reading, multimask=multimask)
        asked = _asked_per_photo(inputs, objects, prompt)

        read = PhotoReader(reading)
        is_stream = inputs.form == "stream"
        if not is_stream:
            # everything is read and checked before the expensive part
            inputs = PhotoInputs(self._read(inputs.items, asked(), read), inputs.form)

        def find_all(photos: Iterator[Any]) -> Iterator[Answer]:
            step = reading.batch_size or (1 if is_stream else PHOTOS_PER_BATCH)
            for pairs in batches(_paired(photos, asked()), step):
                batch, asked_of_batch = (
                    [photo for photo, _ in pairs],
                    [objects for _, objects in pairs],
                )
                if is_stream:
                    batch = self._read(batch, asked_of_batch, read)
                yield from self._find(batch, asked_of_batch, multimask=multimask)

        return inputs.answer(find_all, reading.num_workers)

    def _read(
        self, images: Sequence[Any], asked: Iterable[AskedObjects], read: PhotoReader
    ) -> list[Any]:
        """Read photos that are not encoded yet, and check prompts against their sizes."""
        photos = _read_new(images, read)
        for photo, objects in zip(photos, asked, strict=True):
            objects.check(photo.original_size, self._encoder.model_size)
        return photos

    def _segment_by_name(
        self,
        inputs: PhotoInputs,
        labels: tuple[str, ...],
        reading: ReadingOptions,
        *,
        multimask: bool,
    ) -> Answer:
        """Segment what a detector finds in each photo."""
        detector, read = self._detector.get(), PhotoReader(reading)
        step = reading.batch_size or (1 if inputs.form == "stream" else PHOTOS_PER_BATCH)

        def find_all(images: Iterator[Any]) -> Iterator[Answer]:
            for batch in batches(images, step):
                photos = _read_new(batch, read)
                asked = [
                    AskedObjects.of_detections(detect_objects(detector, _pixels(photo), labels))
                    for photo in photos
                ]
                yield from self._find(photos, asked, multimask=multimask)

        return inputs.answer(find_all, reading.num_workers)

    def _find(
        self, photos: Sequence[Any], asked: Sequence[AskedObjects], *, multimask: bool
    ) -> Iterator[Answer]:
        """Segment the objects of some photos, which are encoded together."""
        # a photo without objects is not encoded, which saves most of the time
        wanted = [place for place, objects in enumerate(asked) if objects.prompts]
        encoded = dict(zip(wanted, self._encoded([photos[i] for i in wanted]), strict=True))
        for place, objects in enumerate(asked):
            answer = self._answer(encoded.get(place), objects, multimask=multimask)
            if isinstance(answer, SegmentationList | SegmentationDict):
                answer.of_photo(photos[place].original_size, photos[place].origin)
            yield answer

    @torch.no_grad()
    def _encode(self, photos: Sequence[ReadPhoto]) -> list[EncodedImage]:
        mark = self._fingerprint.current()
        levels_of_each = self._encoder.embeddings_of_each([photo.pixels_3hw for photo in photos])
        return [
            EncodedImage(tuple(levels), photo.original_size, mark, photo.origin)
            for photo, levels in zip(photos, levels_of_each, strict=True)
        ]

    def _encoded(self, photos: Sequence[Any]) -> list[EncodedImage]:
        """Encode new photos; check and move encoded ones."""
        new = [place for place, photo in enumerate(photos) if not isinstance(photo, EncodedImage)]
        encoded = dict(zip(new, self._encode([photos[place] for place in new]), strict=True))
        if len(new) < len(photos):
            mark = self._fingerprint.current()
            for place in set(range(len(photos))) - set(new):
                check_encoded(photos[place], self.model, mark)
                encoded[place] = photos[place].to(self.model.device)
        return [encoded[place] for place in range(len(photos))]

    @torch.no_grad()
    def _answer(
        self, encoded: EncodedImage | None, asked: AskedObjects, *, multimask: bool
    ) -> Answer:
        """Decode every object of one photo."""
        results: dict[int, SegmentationResult] = {}
        if encoded is None:
            return asked.shaped([])
        for group in group_by_kind(asked.prompts):
            for start in range(0, len(group), OBJECTS_PER_BATCH):
                numbers = group[start : start + OBJECTS_PER_BATCH]
                prompts = [asked.prompts[number] for number in numbers]
                answers = self._decode(encoded, prompts, multimask=multimask)
                for number, answer in zip(numbers, answers, strict=True):
                    results[number] = replace(
                        answer,
                        object_id=number + 1,
                        name=asked.name_of(number),
                        detection_score=asked.detection_score(number),
                    )
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
        # one object at a time: full-size masks are large
        return [
            replace(
                self._result(logits_khw, iou_k, score_1, encoded.original_size),
                prompt=prompt,
                origin=encoded.origin,
            )
            for prompt, logits_khw, iou_k, score_1 in zip(
                prompts,
                output.pred_masks[0],
                output.iou_scores[0],
                output.object_score_logits[0],
                strict=True,
            )
        ]

    def _result(
        self, logits_khw: Tensor, iou_k: Tensor, score_1: Tensor, size: tuple[int, int]
    ) -> SegmentationResult:
        """Resize the masks of one object to the photo."""
        logits_khw = logits_khw.float()
        clean_khw = clean_masks(
            logits_khw, self.max_hole_area, self.max_sprinkle_area, self.mask_threshold
        )
        masks_khw = masks_at_size(clean_khw, size, self.mask_threshold)
        return SegmentationResult(
            masks=masks_khw.numpy(force=True),
            scores=iou_k.float().numpy(force=True),
            low_res_logits=logits_khw.clamp(-MOST_LOGIT, MOST_LOGIT).numpy(force=True),
            object_score=score_1.float().item(),
        )


def _read_new(images: Sequence[Any], read: PhotoReader) -> list[Any]:
    """Read photos that are not encoded yet."""
    new = iter(read([image for image in images if not isinstance(image, EncodedImage)]))
    return [image if isinstance(image, EncodedImage) else next(new) for image in images]


def _pixels(photo: ReadPhoto | EncodedImage) -> NDArray[np.uint8]:
    """Return the pixels of a photo for a detector, `(height, width, 3)`."""
    if isinstance(photo, ReadPhoto):
        return as_picture(photo.pixels_3hw)
    if photo.origin is None:
        raise ImageError(
            "an encoded photo that was loaded from a file has no pixels to look for names in. Give "
            "the photo itself."
        )
    return photo.origin.read()


def _names_alone(objects: object, prompt: Mapping[str, Any]) -> tuple[str, ...]:
    """Read `text`, which is given without other prompts."""
    given = [name for name, part in prompt.items() if part is not None and name != "text"]
    if given or objects is not None:
        raise PromptError(
            f"there are both text and {given[0] if given else 'objects'}. Give one of them."
        )
    return read_labels(prompt["text"])


def _asked_per_photo(
    inputs: PhotoInputs,
    objects: Any,  # noqa: ANN401 - any argument
    prompt: Mapping[str, Any],
) -> Callable[[], Iterable[AskedObjects]]:
    """Parse the prompts of each photo; lazily for a stream."""
    given = {name: part for name, part in prompt.items() if part is not None}
    if inputs.form == "single":
        single = [AskedObjects.read(objects, given)]
        return lambda: single
    boxes = given.pop("boxes", None)
    each = objects if boxes is None else boxes
    is_one = isinstance(each, Mapping) or not isinstance(each, Iterable)
    if given or is_one or (boxes is not None and objects is not None):
        many = "several" if inputs.form == "stream" else len(inputs.items)
        raise PromptError(
            f"there are {many} photos and no list of prompts for each. Give objects=[...] with one "
            "entry for each photo: an ObjectPrompt, a list of them, or a dictionary of them; or "
            "boxes=[...] with one (n, 4) array for each."
        )

    read_one = _read_boxes if boxes is not None else _read_objects
    if inputs.form == "stream":
        return lambda: map(read_one, each)
    asked = list(map(read_one, each))
    if len(asked) != len(inputs.items):
        raise PromptError(
            f"there are {len(inputs.items)} photos and {len(asked)} lists of objects. Give one "
            "entry for each photo: an ObjectPrompt, a list of them, or a dictionary of them."
        )
    return lambda: asked


def _read_objects(objects: Any) -> AskedObjects:  # noqa: ANN401 - any argument
    return AskedObjects.read(objects, {})


def _read_boxes(boxes: Any) -> AskedObjects:  # noqa: ANN401 - any argument
    return AskedObjects.read(None, {"boxes": boxes})


def _paired(
    photos: Iterable[Any], asked: Iterable[AskedObjects]
) -> Iterator[tuple[Any, AskedObjects]]:
    """Pair each photo with its prompts."""
    rest, count = iter(asked), 0
    for photo in photos:
        objects = next(rest, None)
        if objects is None:
            raise PromptError(
                f"there are more than {count} photos and {count} entries of prompts. Give one for "
                "each photo."
            )
        count += 1
        yield photo, objects
    if next(rest, None) is not None:
        raise PromptError(
            f"there are {count} photos and more entries of prompts. Give one for each photo."
        )
