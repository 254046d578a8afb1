"""The original's `sam2.sam2_image_predictor`: set a photo, then ask about it as often as wanted.

Suffixes: b = photos, p = objects, n = points of an object, k = masks of an object, c = channels,
h, w = rows and columns of a feature map or of the low-resolution mask, 2 = x and y.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sam2_hf.errors import ImageError, PromptError, SessionError
from sam2_hf.masks import clean_masks, resize_masks
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import DecodedMasks
from sam2_hf.number_reading import shown
from sam2_hf.pipelines.encoded_image import PhotoEncoder, check_maps
from sam2_hf.pipelines.image_segmentation import (
    OBJECTS_PER_BATCH,
    PHOTOS_PER_BATCH,
    ImageSegmentationPipeline,
)
from sam2_hf.pipelines.loading import Source
from sam2_hf.pipelines.photo_inputs import PhotoReader, ReadingOptions, batches
from sam2_hf.processing.images import ImageSource
from sam2_hf.processing.mask_values import MOST_LOGIT
from sam2_hf.upsampled_masks import masks_at_size

from .model_building import pretrained_config, refuse_unknown, split_options
from .prompt_arrays import Given, GivenBatch, GivenPrompts, PromptTensors, given_per_photo

OPTIONS = ("mask_threshold", "max_hole_area", "max_sprinkle_area")
Answer = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
Features = dict[str, Any]


class SAM2ImagePredictor:
    """Answer clicks, boxes and masks on the photo that was set last.

    Args:
        sam_model: What `build_sam2` returns, a [`Sam2Model`], or a predictor or model of videos.
        mask_threshold: A pixel with a larger logit belongs to the mask. It can be set later, too.
        max_hole_area: Holes up to this area are filled; pixels of the low-resolution mask.
        max_sprinkle_area: Speckles up to this area are removed, in the same pixels.
        **kwargs: Nothing; a misspelled option is an error.

    Attributes:
        model: What was given as `sam_model`.
        image_model: The model of photos that it is, or shares its weights with.
        mask_threshold: As given, or as set.
        _features: Of the photo or photos, `image_embed` `(b, c, h, w)` and `high_res_feats`, a
            list of `(b, 32, 4h, 4w)` and `(b, 64, 2h, 2w)`; can be kept and set again.
        _orig_hw: `[(height, width)]` of each; belongs to `_features`.
        _is_image_set: Whether there is a photo; belongs to `_features`.
        _is_batch: Whether `set_image_batch` set them.

    Raises:
        OptionError: There is no such option.
        PromptError: It is not a model, or an option has a value that cannot be used.

    Source: sam2/sam2_image_predictor.py:20-466 @ 2b90b9f.
    Differs: a photo may also be a path, an address or gray; holes are filled on any device; other
        input sizes than 1024 work; features may be on another device or of another float type than
        the model; `predict` refuses to choose among several photos.

    Example:
        >>> predictor = SAM2ImagePredictor(image_model)
        >>> predictor.set_image("coffee.jpg")
        >>> masks, scores, logits = predictor.predict([[290, 225]], [1])
    """

    def __init__(
        self,
        sam_model: nn.Module,
        mask_threshold: float = 0.0,
        max_hole_area: float = 0.0,
        max_sprinkle_area: float = 0.0,
        **kwargs: Any,
    ) -> None:
        refuse_unknown("SAM2ImagePredictor", kwargs, OPTIONS)
        ImageSegmentationPipeline.check_options(
            mask_threshold=mask_threshold,
            max_hole_area=max_hole_area,
            max_sprinkle_area=max_sprinkle_area,
        )
        self.model = sam_model
        self.image_model = image_model_of(sam_model)
        self.mask_threshold = mask_threshold
        self._cleaning = (max_hole_area, max_sprinkle_area, mask_threshold)
        self.reset_predictor()

    @classmethod
    def from_pretrained(cls, model_id: Source, **kwargs: Any) -> Self:
        """Load a model and make a predictor of it.

        Args:
            model_id: Hub id such as `facebook/sam2.1-hiera-tiny`, a folder or a bundled model.
            **kwargs: Options of `build_sam2` and of the predictor.

        Raises:
            CheckpointError: There is no such model.
            OptionError: There is no such option.
            PromptError: An option has a value that cannot be used.

        Example:
            >>> predictor = SAM2ImagePredictor.from_pretrained("sam2-hiera-micro", device="cpu")
        """
        what = f"{cls.__name__}.from_pretrained"
        build, own = split_options(what, kwargs, OPTIONS, of_video=False)
        return cls(build.image_model(pretrained_config(model_id), model_id), **own)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.image_model.device

    def reset_predictor(self) -> None:
        """Forget the photo.

        Example:
            >>> predictor = SAM2ImagePredictor(image_model)
            >>> predictor.set_image(photo)
            >>> predictor.reset_predictor()
        """
        self._features: Features | None = None
        self._orig_hw: list[tuple[int, int]] | None = None
        self._is_image_set = False
        self._is_batch = False

    @torch.no_grad()
    def set_image(self, image: ImageSource) -> None:
        """Encode a photo, for `predict`.

        Args:
            image: An RGB array `(height, width, 3)`, bytes 0-255 or floats 0-1; a PIL picture; or
                anything else that [`ImageSegmentationPipeline`] reads.

        Raises:
            ImageError: It cannot be read.

        Example:
            >>> SAM2ImagePredictor(image_model).set_image(np.asarray(photo))
        """
        self._set([image])

    @torch.no_grad()
    def set_image_batch(self, image_list: Sequence[ImageSource]) -> None:
        """Encode several photos, for `predict_batch`.

        Args:
            image_list: As in `set_image`; sizes may differ.

        Raises:
            ImageError: One cannot be read, or there is none.

        Example:
            >>> predictor = SAM2ImagePredictor(image_model)
            >>> predictor.set_image_batch([photo, "coffee.jpg"])
        """
        if not isinstance(image_list, list | tuple) or not image_list:
            raise ImageError(
                f"image_list is {shown(image_list)}. Give a list with at least one photo; a single "
                "photo goes to set_image."
            )
        self._set(image_list)
        self._is_batch = True

    def predict(
        self,
        point_coords: Given = None,
        point_labels: Given = None,
        box: Given = None,
        mask_input: Given = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - the original's signature
        return_logits: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        normalize_coords: bool = True,  # noqa: FBT001, FBT002 - the original's signature
    ) -> Answer:
        """Segment one object of the photo, or several.

        Args:
            point_coords: `(n, 2)` as (x, y), or `(p, n, 2)` for p objects; pixels of the photo.
            point_labels: `(n,)` or `(p, n)`: 1 on the object, 0 outside it, -1 no point at all.
            box: `(4,)` as (x0, y0, x1, y1), or `(p, 4)`; p may be 0.
            mask_input: Low-resolution logits of an earlier answer, `(1, h, w)` or `(p, 1, h, w)`.
            multimask_output: Three masks for each object, best for a single click; or one.
            return_logits: Whether masks are logits, not 0 and 1.
            normalize_coords: Whether places are pixels; otherwise shares of width and height.

        Returns:
            Masks `(k, height, width)`, float32, 0 and 1; predicted IoU `(k,)`; and logits within
            +-32 at a quarter of the input size, `(k, h, w)`. With several objects, or none, each
            has a first axis p.

        Raises:
            SessionError: No photo was set, or several were.
            PromptError: A prompt cannot be used.

        Example:
            >>> predictor = SAM2ImagePredictor(image_model)
            >>> predictor.set_image(photo)
            >>> masks, scores, logits = predictor.predict([[290, 225]], [1], multimask_output=False)
            >>> masks.shape
            (1, 400, 600)
        """
        maps, sizes = self._required()
        if len(sizes) > 1:
            raise SessionError(
                f"{len(sizes)} photos are set, and predict answers for one. Call predict_batch, or "
                "set_image with the one that is meant."
            )
        given = GivenPrompts(point_coords, point_labels, box, mask_input)
        prompts = given.read(sizes[0], self.image_model.image_size, normalize=normalize_coords)
        return self._answer(
            maps, sizes[0], prompts, multimask=multimask_output, as_logits=return_logits
        )

    def predict_batch(
        self,
        point_coords_batch: GivenBatch = None,
        point_labels_batch: GivenBatch = None,
        box_batch: GivenBatch = None,
        mask_input_batch: GivenBatch = None,
        multimask_output: bool = True,  # noqa: FBT001, FBT002 - the original's signature
        return_logits: bool = False,  # noqa: FBT001, FBT002 - the original's signature
        normalize_coords: bool = True,  # noqa: FBT001, FBT002 - the original's signature
    ) -> tuple[list[NDArray[np.float32]], ...]:
        """Segment objects of each photo.

        Args:
            point_coords_batch: For each photo what `predict` takes as `point_coords`, or None.
            point_labels_batch: Likewise `point_labels`.
            box_batch: Likewise `box`.
            mask_input_batch: Likewise `mask_input`.
            multimask_output: As in `predict`.
            return_logits: As in `predict`.
            normalize_coords: As in `predict`.

        Returns:
            Three lists with an entry for each photo: masks, predicted IoU and low-resolution
            logits as `predict` returns them.

        Raises:
            SessionError: No photo was set.
            PromptError: A prompt cannot be used, or there is not one entry for each photo.

        Example:
            >>> predictor = SAM2ImagePredictor(image_model)
            >>> predictor.set_image_batch([photo, photo])
            >>> boxes = [[170, 20, 420, 350], [325, 230, 410, 335]]
            >>> masks, scores, logits = predictor.predict_batch(box_batch=boxes)
        """
        maps, sizes = self._required()
        parts = (point_coords_batch, point_labels_batch, box_batch, mask_input_batch)
        each = given_per_photo(parts, len(sizes))
        side = self.image_model.image_size
        read = []
        for place, (given, size) in enumerate(zip(each, sizes, strict=True)):
            try:
                read.append(given.read(size, side, normalize=normalize_coords))
            except PromptError as error:
                raise PromptError(f"photo {place} of the batch: {error}") from error
        answers = [
            self._answer(
                [level[place : place + 1] for level in maps],
                size,
                prompts,
                multimask=multimask_output,
                as_logits=return_logits,
            )
            for place, (size, prompts) in enumerate(zip(sizes, read, strict=True))
        ]
        masks, scores, logits = map(list, zip(*answers, strict=True))
        return masks, scores, logits

    def get_image_embedding(self) -> Tensor:
        """Return the coarsest map of the photo, `(1, c, h, w)`; c is 256 in released models.

        Raises:
            SessionError: No photo was set.

        Example:
            >>> predictor = SAM2ImagePredictor(image_model)
            >>> predictor.set_image(photo)
            >>> predictor.get_image_embedding().shape[-2:] == image_model.grid
            True
        """
        maps, _ = self._required()
        return maps[-1]

    @cached_property
    def _encoder(self) -> PhotoEncoder:
        # made when a photo comes: it looks for a processor on disk, and features may be set instead
        return PhotoEncoder(self.image_model)

    def _set(self, images: Sequence[ImageSource]) -> None:
        """Encode photos and keep what belongs to them."""
        self.reset_predictor()
        photos = PhotoReader(ReadingOptions(value_range=self._encoder.value_range))(images)
        encoded = [
            maps
            for batch in batches(photos, PHOTOS_PER_BATCH)
            for maps in self._encoder.embeddings_of_each([photo.pixels_3hw for photo in batch])
        ]
        fine, coarse, embedding = map(torch.cat, zip(*encoded, strict=True))
        self._features = {"image_embed": embedding, "high_res_feats": [fine, coarse]}
        self._orig_hw = [photo.original_size for photo in photos]
        self._is_image_set = True

    def _required(self) -> tuple[list[Tensor], list[tuple[int, int]]]:
        """Return the maps, finest first, and the sizes of the photos that are set.

        Raises:
            SessionError: There is none, or what was set by hand is incomplete.
        """
        features, sizes = self._features, self._orig_hw
        if not self._is_image_set or features is None or sizes is None:
            raise SessionError(
                "no photo is set. Call set_image or set_image_batch first; to bring one back, set "
                "_features, _orig_hw and _is_image_set."
            )
        try:
            levels = [*features["high_res_feats"], features["image_embed"]]
            maps = [torch.as_tensor(level) for level in levels]  # kept as arrays, perhaps
            count = {len(level) for level in maps} | {len(sizes)}
            sizes = [(int(height), int(width)) for height, width in sizes]
        except (TypeError, KeyError, ValueError) as error:
            raise SessionError(
                '_features must be {"image_embed": map, "high_res_feats": [map, map]} and _orig_hw '
                "[(height, width)], as set_image leaves them."
            ) from error
        if len(count) > 1:
            raise SessionError(
                f"_features and _orig_hw are of {sorted(count)} photos. Set both together, as "
                "set_image leaves them."
            )
        return maps, sizes

    @torch.no_grad()
    def _answer(
        self,
        maps: Sequence[Tensor],
        size: tuple[int, int],
        prompts: PromptTensors,
        *,
        multimask: bool,
        as_logits: bool,
    ) -> Answer:
        """Decode every object of one photo, clean its masks and bring them to the photo's size."""
        model = self.image_model
        levels = [level.to(model.device, model.dtype) for level in maps]
        check_maps(levels, model)
        parts = [
            _decode(model, levels, part, multimask=multimask)
            for part in prompts.split(OBJECTS_PER_BATCH)
        ]
        logits_pkhw = torch.cat([part.logits_bpmhw[0] for part in parts]).float()
        iou_pk = torch.cat([part.iou_bpm[0] for part in parts])
        clean_pkhw = clean_masks(logits_pkhw, *self._cleaning)
        if as_logits:
            full_pkhw = resize_masks(clean_pkhw, size)
        else:
            full_mhw = masks_at_size(clean_pkhw.flatten(0, 1), size, self.mask_threshold)
            full_pkhw = full_mhw.unflatten(0, clean_pkhw.shape[:2])
        low_pkhw = logits_pkhw.clamp(-MOST_LOGIT, MOST_LOGIT)
        results = (full_pkhw, iou_pk, low_pkhw)
        masks, scores, logits = (result.float().numpy(force=True) for result in results)
        # a single object has no axis of its own
        return (masks[0], scores[0], logits[0]) if len(masks) == 1 else (masks, scores, logits)


def image_model_of(model: nn.Module) -> Sam2Model:
    """Return the model of photos that a model or predictor is, or shares its weights with.

    Raises:
        PromptError: It has none.
    """
    if callable(getattr(model, "decode_prompts", None)):  # wrappers of a model have it, too
        return model  # type: ignore[return-value]
    inner = getattr(model, "model", model)  # of a predictor of videos
    if isinstance(inner, Sam2VideoModel):
        return Sam2Model.from_video_model(inner)
    raise PromptError(
        f"the model is a {type(model).__name__}. Give what build_sam2 or "
        "build_sam2_video_predictor returns, or a Sam2Model."
    )


def _decode(
    model: Sam2Model, levels: list[Tensor], prompts: PromptTensors, *, multimask: bool
) -> DecodedMasks:
    """Decode the prompts of one photo.

    Differs from a call of the model where an object has a mask alone: the original's predictor then
    has no token for a point, and transformers' model two that say there is none.
    """
    if not len(prompts.labels_pn):
        return model.mask_decoder.no_masks(levels, multimask_output=multimask)
    tensors = [
        None if tensor is None else tensor[None].to(model.device)
        for tensor in (prompts.points_pn2, prompts.labels_pn, prompts.masks_phw)
    ]
    points_1pn2, labels_1pn, masks_1phw = tensors
    tokens_1ptc, dense = model.get_prompt_embeddings(
        points_1pn2, labels_1pn, input_masks=masks_1phw
    )
    if not prompts.labels_pn.shape[1]:
        tokens_1ptc = tokens_1ptc[:, :, :0]
    return model.decode_prompts(levels, (tokens_1ptc, dense), multimask_output=multimask)
