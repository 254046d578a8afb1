"""Mask generation: segment everything in a photo from a grid of clicks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any, overload

import torch
from torch import Tensor

from sam2_hf import rle as run_lengths
from sam2_hf.boxes import nms, xyxy_to_xywh
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.open_vocabulary.labels import read_labels
from sam2_hf.open_vocabulary.mask_scorer import Scorer
from sam2_hf.processing.images import ImageSource
from sam2_hf.results.pictures import as_picture
from sam2_hf.upsampled_masks import upsampled_masks

from .abstract_pipeline import AbstractPipeline
from .crop_search import CropSearch, FoundMasks
from .encoded_image import PhotoEncoder, Processor
from .everything_options import ALIASES, EverythingOptions
from .generated_masks import GeneratedMask, GeneratedMasks
from .loading import Source
from .named_models import check_named_model, scorer_of
from .photo_inputs import PhotoInputs, PhotoReader, ReadingOptions, ReadPhoto, batches, require_flag
from .point_grid import Crop, crops_of

Progress = Callable[[int, int], None]


class MaskGenerationPipeline(AbstractPipeline[Sam2Model]):
    """Find all masks of a photo, with the options, defaults and results of the original generator.

    A model's config can have other defaults, see `of_model` of [`EverythingOptions`].

    Args:
        model: The model, on its device.
        processor: Image processor, or a processor that has one; by default the one saved with the
            model, or a standard one.
        compile: Whether to compile the image encoder, see [`PhotoEncoder`].
        labels: Names for the masks, such as `["a cup", "a spoon"]`; each mask gets the one that
            fits best. None leaves masks without names.
        scorer: Says how well names fit: a [`ZeroShotScorer`], its Hub id or folder, or any
            [`Scorer`][sam2_hf.open_vocabulary.mask_scorer.Scorer]; by default
            `openai/clip-vit-base-patch32`, loaded when needed.
        **options: See [`EverythingOptions`]; transformers' names `points_per_crop`,
            `crops_n_layers` and `crops_nms_thresh` work as well. Also [`ReadingOptions`].

    Raises:
        OptionError: No option has that name.
        PromptError: An option has an unusable value.
        ImageError: The range is invalid.
        CheckpointError: The model's config has unusable options, or the scorer cannot be loaded.

    Source: sam2/automatic_mask_generator.py:36-454 @ 2b90b9f.
    Differs: the predicted IoU is thresholded before a mask is upsampled, boxes are compared before
        run lengths are made, and `min_mask_region_area` works on any device; the kept masks are
        equal.

    Example:
        >>> generate = MaskGenerationPipeline(image_model, points_per_side=4, pred_iou_thresh=0.2)
        >>> for found in generate(photo):
        ...     box, quality = found.bbox, found.predicted_iou
    """

    task = "mask-generation"

    def __init__(
        self,
        model: Sam2Model,
        processor: Processor = None,
        *,
        compile: bool = False,
        labels: Sequence[str] | None = None,
        scorer: Scorer | Source | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model)
        _, own = ReadingOptions().taken_from(options)
        self.labels = None if labels is None else read_labels(labels, "labels")
        check_named_model(scorer, "scorer", "score")
        self._encoder = PhotoEncoder(model, processor, compile=compile)  # refuses other models
        self.options = EverythingOptions.of_model(model.config).changed(**own)
        self.reading, _ = ReadingOptions(value_range=self._encoder.value_range).taken_from(options)
        self._scorer = scorer_of(scorer, self)

    @classmethod
    def option_names(cls) -> frozenset[str]:
        """List the constructor's options besides model and processor."""
        own = (field.name for field in fields(EverythingOptions))
        return frozenset((*own, *ALIASES, "compile", "labels", "scorer")) | ReadingOptions.names()

    @classmethod
    def check_options(
        cls,
        *,
        compile: bool = False,
        labels: Sequence[str] | None = None,
        scorer: object = None,
        **options: Any,
    ) -> None:
        """Validate the constructor's options before a model is loaded.

        Raises:
            OptionError: No option has that name.
            PromptError: An option has an unusable value.
        """
        require_flag("compile", compile)
        if labels is not None:
            read_labels(labels, "labels")
        check_named_model(scorer, "scorer", "score")
        _, own = ReadingOptions().taken_from(options)
        EverythingOptions().changed(**own).grids()

    @overload
    def __call__(
        self,
        images: ImageSource,
        *,
        on_progress: Progress | None = None,
        labels: Sequence[str] | None = None,
        **options: Any,
    ) -> GeneratedMasks: ...
    @overload
    def __call__(
        self,
        images: list[ImageSource],
        *,
        on_progress: Progress | None = None,
        labels: Sequence[str] | None = None,
        **options: Any,
    ) -> list[GeneratedMasks]: ...
    def __call__(
        self,
        images: Any,
        *,
        on_progress: Progress | None = None,
        labels: Sequence[str] | None = None,
        **options: Any,
    ) -> Any:
        """Find all masks of one photo, or of each of several.

        Args:
            images: A path, URL, base64 text, PIL picture, `(height, width, 3)` array; a list of
                them or an array with one axis more; or a generator, a `torch.utils.data.Dataset` or
                another stream of them.
            on_progress: Called after each batch with the number of clicks done, and of all.
            labels: Names for the masks, for this call only.
            **options: Options for this call only.

        Returns:
            The masks, best first (with crops: smaller crops first); a list of them for a list; for
            a stream a lazy iterator.

        Raises:
            ImageError: A photo cannot be read.
            PromptError: An option has an unusable value.
            OptionError: No option has that name.
            DetectionError: The scorer failed, or its answer cannot be used.

        Example:
            >>> generate = MaskGenerationPipeline(image_model)
            >>> generate(photo, points_per_side=4, pred_iou_thresh=0.2).size
            (400, 600)
        """
        reading, own = self.reading.taken_from(options)
        chosen = self.options.changed(**own)
        chosen.grids()
        names = self.labels if labels is None else read_labels(labels, "labels")
        scorer = None if names is None else self._scorer.get()

        def find_all(images: Iterator[ImageSource]) -> Iterator[GeneratedMasks]:
            read = PhotoReader(reading)
            for batch in batches(images, reading.batch_size or 1):
                photos = read(batch)
                found = self._find(photos, chosen, on_progress)
                if names is None or scorer is None:
                    yield from found
                    continue
                for photo, masks in zip(photos, found, strict=True):
                    yield masks.named_by(scorer, as_picture(photo.pixels_3hw), names)

        return PhotoInputs.of(images).answer(find_all, reading.num_workers)

    def generate(self, image: ImageSource) -> list[dict[str, Any]]:
        """Find all masks of one photo, as the original's records.

        Args:
            image: A path, URL, PIL picture or `(height, width, 3)` array.

        Returns:
            Dictionaries with `segmentation` (per `output_mode`), `area`, `bbox` (x, y, width,
            height), `predicted_iou`, `point_coords`, `stability_score` and `crop_box`.

        Raises:
            ImageError: The photo cannot be read.

        Example:
            >>> generator = MaskGenerationPipeline(image_model, points_per_side=4)
            >>> boxes = [record["bbox"] for record in generator.generate(photo)]
        """
        return self(image).as_records()

    @torch.no_grad()
    def _find(
        self, photos: list[ReadPhoto], options: EverythingOptions, on_progress: Progress | None
    ) -> Iterator[GeneratedMasks]:
        """Find the masks of some photos, which are encoded together."""
        encoded = self._encoder.embeddings_of_each([photo.pixels_3hw for photo in photos])
        for photo, embeddings in zip(photos, encoded, strict=True):
            yield self._find_in(photo, embeddings, options, on_progress)

    def _find_in(
        self,
        photo: ReadPhoto,
        photo_embeddings: list[Tensor],
        options: EverythingOptions,
        on_progress: Progress | None,
    ) -> GeneratedMasks:
        """Search every crop, suppress duplicates between crops, make run lengths of the rest.

        Source: sam2/automatic_mask_generator.py:222-252 @ 2b90b9f.
        """
        size, photo_3hw = photo.original_size, photo.pixels_3hw
        grids = options.grids()
        crops = crops_of(
            size, num_layers=options.crop_n_layers, overlap_ratio=options.crop_overlap_ratio
        )
        counter = _Counter(sum(len(grids[crop.layer]) for crop in crops), on_progress)
        found = []
        for crop in crops:
            x0, y0, x1, y1 = crop.xyxy
            embeddings = photo_embeddings
            if crop.size != size:
                embeddings = self._encoder.embeddings(photo_3hw[:, y0:y1, x0:x1])
            search = CropSearch(
                self.model, self._encoder.model_size, embeddings, crop, size, options
            )
            found.append(search.run(grids[crop.layer], counter.add))
        kept = _kept_across_crops(found, crops, options.crop_nms_thresh)
        masks = [
            _record(found[number], row, crops[number], size, options.mask_threshold)
            for number, row in kept
        ]
        return GeneratedMasks(masks, size, options, photo.origin)


class _Counter:
    """Counter of clicks that reports progress."""

    def __init__(self, total: int, on_progress: Progress | None) -> None:
        self.done = 0
        self.total = total
        self.on_progress = on_progress

    def add(self, clicks: int) -> None:
        self.done += clicks
        if self.on_progress is not None:
            self.on_progress(self.done, self.total)


def _kept_across_crops(
    found: list[FoundMasks], crops: list[Crop], iou_threshold: float
) -> list[tuple[int, int]]:
    """List the kept masks as (crop, row in it); of duplicates the smaller crop's is kept."""
    places = [(number, row) for number, part in enumerate(found) for row in range(len(part))]
    if len(crops) == 1:
        return places
    boxes_m4 = torch.cat([part.boxes_m4 for part in found]).float()
    areas = [float(crops[number].area) for number, _ in places]
    scores_m = 1 / torch.tensor(areas, device=boxes_m4.device)
    return [places[index] for index in nms(boxes_m4, scores_m, iou_threshold).tolist()]


def _record(
    found: FoundMasks, row: int, crop: Crop, size: tuple[int, int], threshold: float
) -> GeneratedMask:
    """Make the record of one mask, in pixels of the photo."""
    (mask_hw,) = upsampled_masks(found.logits_mhw[row : row + 1], crop.size, threshold)
    rle = run_lengths.encode(_uncropped(mask_hw, crop, size))
    box = xyxy_to_xywh(found.boxes_m4[row]).tolist()
    left, top, right, bottom = map(float, crop.xyxy)
    x, y = found.points_m2[row].tolist()
    return GeneratedMask(
        rle=rle,
        area=run_lengths.area(rle),
        bbox=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
        predicted_iou=found.iou_m[row].item(),
        point_coords=((x, y),),
        stability_score=found.stability_m[row].item(),
        crop_box=(left, top, right - left, bottom - top),
    )


def _uncropped(mask_hw: Tensor, crop: Crop, size: tuple[int, int]) -> Tensor:
    """Put a mask of a crop into a frame of the photo's size."""
    if crop.size == size:
        return mask_hw
    whole_hw = mask_hw.new_zeros(size)
    whole_hw[crop.top : crop.bottom, crop.left : crop.right] = mask_hw
    return whole_hw
