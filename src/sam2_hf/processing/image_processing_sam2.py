"""Image processor: pictures to model input, and the steps that pipelines call.

Suffixes: c = channels, h, w = rows and columns.
"""

from collections.abc import Sequence
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers.image_processing_backends import PilBackend
from transformers.image_processing_utils import BatchFeature, get_size_dict
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    PILImageResampling,
    SizeDict,
)
from transformers.processing_utils import ImagesKwargs

from sam2_hf.errors import ImageError, ProcessorError
from sam2_hf.rle import Rle

from .bundled_processors import loads_bundled
from .everything_processing import CropPlan, FilterRules, cut_crops, filter_masks, suppress_repeats
from .images import ImageSource, list_images, load_image, read_values, rgb_of, scale_of, to_rgb
from .label_maps import label_maps
from .mask_post_processing import MaskOptions, finish_masks
from .pixel_rules import pixel_rules, size_pair
from .pixel_values import to_pixel_values
from .processor_settings import require_usable_options
from .value_range import ValueRange, ValueScale

COMPAT = ("official", "transformers")


class Sam2ImageProcessorKwargs(ImagesKwargs, total=False):  # type: ignore[call-arg]
    """Options of the image processor, for all calls or for one.

    Args:
        mask_size (`dict[str, int]`): Size `{"height": int, "width": int}` of segmentation maps.
        compat (`str`): "official" resizes floats as the original does; "transformers" resizes
            bytes, with the pixels of transformers' class of this name.
        value_range (`tuple[float, float]` or `str`): Which numbers are black and white, for all
            pictures of a call; see [`value_range`].
    """

    mask_size: int | list[int] | tuple[int, ...] | dict[str, int] | None
    compat: str | None
    value_range: Any


@loads_bundled
class Sam2ImageProcessor(PilBackend):
    """Prepare pictures for SAM 2, and resize masks to them.

    Needs neither torchvision nor OpenCV; takes the arguments and files of transformers' class of
    this name.

    Differs from transformers: `compat`; float pictures in 0-1 are not rescaled again; holes and
    speckles are actually removed; grids of points fit non-square pictures.
    """

    valid_kwargs = Sam2ImageProcessorKwargs
    model_input_names = ["pixel_values"]  # noqa: RUF012 - transformers reads a list
    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"height": 1024, "width": 1024}  # noqa: RUF012
    mask_size = {"height": 256, "width": 256}  # noqa: RUF012
    do_resize = True
    do_rescale = True
    do_normalize = True
    do_convert_rgb = True
    do_pad = None
    pad_size = None
    mask_pad_size = None
    compat = "official"
    value_range: ValueRange = None

    def preprocess(
        self,
        images: ImageSource | Sequence[ImageSource],
        segmentation_maps: ImageSource | Sequence[ImageSource] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Prepare pictures, and segmentation maps if there are any.

        Args:
            images: One picture or several: paths, PIL images, arrays or tensors, each of its own
                size. Gray, transparent and 16-bit ones become RGB. With `do_rescale=False` floats
                are used as given.
            segmentation_maps: One map `(height, width)` of whole numbers per picture.
            **kwargs: See [`Sam2ImageProcessorKwargs`].

        Returns:
            `pixel_values` `(b, 3, height, width)`, float32; `original_sizes` `(height, width)` of
            each picture; and `labels` `(b, height, width)`, int64, at `mask_size`.

        Raises:
            ImageError: A picture or map is unreadable, or an option is invalid.
            ProcessorError: An option has the wrong type.

        Example:
            >>> Sam2ImageProcessor().preprocess(photo, return_tensors="pt")["pixel_values"].shape
            torch.Size([1, 3, 1024, 1024])
        """
        try:
            return super().preprocess(images, segmentation_maps, **kwargs)
        except StrictDataclassError as error:
            raise ProcessorError(
                f"an option of this call cannot be used: {' '.join(str(error).split())[:200]}."
            ) from error

    def fetch_images(self, image_url_or_urls: object) -> object:
        """Read pictures from paths or addresses; see [`images.load_image`].

        Example:
            >>> Sam2ImageProcessor().fetch_images("coffee.jpg").size
            (600, 400)
        """
        if isinstance(image_url_or_urls, (list, tuple)):
            return [self.fetch_images(image) for image in image_url_or_urls]
        return load_image(image_url_or_urls)  # type: ignore[arg-type]  # it refuses other types

    def _standardize_kwargs(self, mask_size: object = None, **kwargs: Any) -> dict[str, Any]:
        """Normalize sizes and refuse unsupported options."""
        if mask_size is not None and not isinstance(mask_size, SizeDict):
            mask_size = SizeDict(**get_size_dict(mask_size, param_name="mask_size"))
        if kwargs.get("compat") is None:
            kwargs["compat"] = type(self).compat
        if kwargs["compat"] not in COMPAT:
            raise ImageError(f"compat={kwargs['compat']!r} is unknown. Choose one of {COMPAT}.")
        try:
            standard: dict[str, Any] = super()._standardize_kwargs(**kwargs)
        except (TypeError, ValueError) as error:
            raise ProcessorError(f"an option of this call cannot be used: {error}.") from error
        require_usable_options(standard)
        return {**standard, "mask_size": mask_size}

    def _preprocess_image_like_inputs(
        self, images: object, segmentation_maps: object = None, **kwargs: Any
    ) -> BatchFeature:
        rules = pixel_rules(kwargs)
        values = [
            read_values(image, kwargs.get("input_data_format")) for image in list_images(images)
        ]
        value_range = kwargs.get("value_range")
        is_rescaled = value_range is None and not kwargs["do_rescale"]
        scale = ValueScale(floats=None) if is_rescaled else scale_of(values, value_range)
        pixel_values, original_sizes = [], []
        for values_chw in values:
            rgb = kwargs["do_convert_rgb"]
            pixels_chw = rgb_of(values_chw, scale) if rgb else scale.apply(values_chw)
            pixels_chw = pixels_chw.to(kwargs.get("device"))
            original_sizes.append(tuple(pixels_chw.shape[-2:]))
            pixel_values.append(to_pixel_values(pixels_chw, rules))
        data: dict[str, Any] = {"pixel_values": pixel_values, "original_sizes": original_sizes}
        if segmentation_maps is not None:
            size = size_pair(kwargs["mask_size"], "mask_size") if kwargs["do_resize"] else None
            data["labels"] = label_maps(segmentation_maps, len(pixel_values), size)
        return BatchFeature(data=data, tensor_type=kwargs.get("return_tensors"))

    def generate_crop_boxes(
        self,
        image: ImageSource,
        target_size: int,
        crop_n_layers: int = 0,
        overlap_ratio: float = 512 / 1500,
        points_per_crop: int = 32,
        crop_n_points_downscale_factor: int = 1,
        device: torch.device | str | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
        """Cut a picture into crops with grids of points.

        Args:
            image: The picture.
            target_size: Input size of the model, such as 1024.
            crop_n_layers: Layers of crops beside the whole picture.
            overlap_ratio: Overlap in the first layer, as a fraction of the shorter side.
            points_per_crop: Points along a side of the whole picture.
            crop_n_points_downscale_factor: Factor by which each further layer is sparser.
            device: Device of boxes, points and labels; the CPU if None.

        Returns:
            Boxes `(crops, 4)`, points `(1, points, crops, 2)` in model pixels, crops as
            `(3, height, width)` each, labels `(1, points, crops)`.

        Example:
            >>> processor = Sam2ImageProcessor()
            >>> boxes, *_ = processor.generate_crop_boxes(photo, target_size=1024, crop_n_layers=1)
            >>> len(boxes)
            5
        """
        plan = CropPlan(
            num_layers=crop_n_layers,
            overlap_ratio=overlap_ratio,
            points_per_side=points_per_crop,
            downscale=crop_n_points_downscale_factor,
        )
        if self.value_range is None:
            photo_3hw = to_rgb(image)
        else:  # the crops go through `preprocess`, which applies it
            photo_3hw = read_values(image)[:3].expand(3, -1, -1)
        crops = cut_crops(photo_3hw, target_size, plan)
        boxes, points, labels = (
            tensor.to(device) for tensor in (crops.boxes_g4, crops.points_1ng2, crops.labels_1ng)
        )
        return boxes, points, crops.images, labels

    def filter_masks(  # noqa: PLR0913 - the signature is transformers'
        self,
        masks: Tensor,
        iou_scores: Tensor,
        original_size: Sequence[int],
        cropped_box_image: Sequence[float] | Tensor,
        pred_iou_thresh: float = 0.88,
        stability_score_thresh: float = 0.95,
        mask_threshold: float = 0,
        stability_score_offset: float = 1,
    ) -> tuple[list[Rle], Tensor, Tensor]:
        """Drop poor masks of a crop and those cut off by it.

        Args:
            masks: `(prompts, masks, height, width)`, logits at the size of the crop.
            iou_scores: `(prompts, masks)`.
            original_size: `(height, width)` of the whole picture.
            cropped_box_image: The crop, `(x0, y0, x1, y1)`.
            pred_iou_thresh: The predicted IoU must be above it.
            stability_score_thresh: The stability score must be at least this.
            mask_threshold: Threshold of a mask.
            stability_score_offset: Shift of it for the stability score.

        Returns:
            Run lengths, predicted IoU and boxes, all in the frame of the whole picture.

        Example:
            >>> logits = torch.full((1, 1, 400, 600), -9.0)
            >>> logits[..., 100:200, 100:200] = 9
            >>> rles, iou, boxes = Sam2ImageProcessor().filter_masks(
            ...     logits, torch.tensor([[0.9]]), (400, 600), (0, 0, 600, 400)
            ... )
            >>> boxes.tolist()
            [[100, 100, 199, 199]]
        """
        rules = FilterRules(
            pred_iou_thresh=pred_iou_thresh,
            stability_score_thresh=stability_score_thresh,
            mask_threshold=mask_threshold,
            stability_score_offset=stability_score_offset,
        )
        height, width = (int(side) for side in original_size)
        crop_box = [float(edge) for edge in cropped_box_image]
        iou_m = iou_scores.flatten(0, 1).to(masks.device)
        return filter_masks(masks.flatten(0, 1), iou_m, (height, width), crop_box, rules)

    def post_process_for_mask_generation(
        self,
        all_masks: Sequence[Rle],
        all_scores: Tensor,
        all_boxes: Tensor,
        crops_nms_thresh: float,
    ) -> tuple[list[Tensor], Tensor, list[Rle], Tensor]:
        """Keep the best of masks whose boxes overlap by more than `crops_nms_thresh`.

        Returns:
            Boolean masks `(height, width)`, predicted IoU, run lengths, boxes; best first.

        Example:
            >>> rles = [{"size": [2, 2], "counts": [0, 4]}]
            >>> masks, *_ = Sam2ImageProcessor().post_process_for_mask_generation(
            ...     rles, torch.tensor([0.9]), torch.tensor([[0.0, 0, 1, 1]]), 0.7
            ... )
            >>> len(masks)
            1
        """
        return suppress_repeats(all_masks, all_scores, all_boxes, crops_nms_thresh)

    def post_process_masks(  # noqa: PLR0913 - the signature is transformers'
        self,
        masks: object,
        original_sizes: object,
        mask_threshold: float = 0.0,
        binarize: bool = True,  # noqa: FBT001, FBT002
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        apply_non_overlapping_constraints: bool = False,  # noqa: FBT001, FBT002
        *,
        num_objects: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> list[Tensor]:
        """Resize low-resolution masks to their pictures.

        Args:
            masks: `(objects, masks, height, width)` per picture, logits: a list, or one tensor or
                array. Not modified.
            original_sizes: `(height, width)` of each picture.
            mask_threshold: Threshold of a mask.
            binarize: Whether to return booleans instead of logits.
            max_hole_area: Largest hole to fill, pixels of the low-resolution mask.
            max_sprinkle_area: Largest speckle to remove, in the same pixels.
            apply_non_overlapping_constraints: Whether each pixel belongs to one object at most.
            num_objects: Objects of each picture; padding beyond them is removed.
            **kwargs: Ignored; older callers pass `reshaped_input_sizes`.

        Returns:
            `(objects, masks, height, width)` per picture.

        Raises:
            TypeError: `masks` holds neither tensors nor arrays.
            PromptError: The numbers of images differ.

        Example:
            >>> logits = [torch.zeros(1, 3, 96, 96)]
            >>> Sam2ImageProcessor().post_process_masks(logits, [(400, 600)])[0].shape
            torch.Size([1, 3, 400, 600])
        """
        options = MaskOptions(
            mask_threshold=mask_threshold,
            binarize=binarize,
            max_hole_area=max_hole_area,
            max_sprinkle_area=max_sprinkle_area,
            apply_non_overlapping_constraints=apply_non_overlapping_constraints,
        )
        return finish_masks(masks, original_sizes, num_objects, options)
