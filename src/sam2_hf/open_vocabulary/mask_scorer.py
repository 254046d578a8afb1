"""Names for masks: scores of labels for what a mask shows, by CLIP and its kind.

Suffixes: n = masks, l = labels, h, w = rows and columns; hw3 = rows, columns, red green blue.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForZeroShotImageClassification

from sam2_hf.errors import DetectionError, PromptError
from sam2_hf.number_reading import shown
from sam2_hf.results.found_object import mask_box

from .zero_shot_model import ZeroShotModel, check_share

GRAY = 128  # color of what does not belong to the mask
CROPS_PER_BATCH = 32
PLACE = "{}"  # of the label in a template
TEMPLATE = "This is a photo of {}."  # transformers' own for zero-shot classification
Picture = NDArray[np.uint8]


class Scorer(Protocol):
    """Interface of a scorer that says how well labels fit, such as [`ZeroShotScorer`]."""

    def score(self, crops: Sequence[Picture], labels: Sequence[str]) -> NDArray[np.floating[Any]]:
        """Score labels for pictures of single objects.

        Args:
            crops: Each `(h, w, 3)`, RGB; gray around the object.
            labels: Distinct names, such as "a dog"; at least one.

        Returns:
            `(n, l)`: how well each label fits each picture, 0-1.
        """


class ZeroShotScorer(ZeroShotModel):
    """A model of transformers that compares pictures with texts: CLIP, SigLIP and their kind.

    Args:
        model: From `AutoModelForZeroShotImageClassification`, on its device.
        processor: Its processor.
        threshold: Minimum score of a name, 0-1. Scores of CLIP add up to 1 over the labels; those
            of SigLIP are independent, and often small.
        template: Text for a label, in place of `{}`.

    Raises:
        PromptError: The threshold is out of range, or the template has no place for the label.

    Example:
        >>> name = "openai/clip-vit-base-patch32"
        >>> clip_model = ZeroShotScorer.from_pretrained(name)  # doctest: +SKIP
        >>> generate = MaskGenerationPipeline(image_model, scorer=clip_model)  # doctest: +SKIP
    """

    KIND = "zero-shot image classifier"
    AUTO_CLASS = AutoModelForZeroShotImageClassification

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - of any of these architectures
        processor: Any,  # noqa: ANN401
        *,
        threshold: float = 0.0,
        template: str = TEMPLATE,
    ) -> None:
        check_share("threshold", threshold)
        if not isinstance(template, str) or PLACE not in template:
            raise PromptError(f"the template {shown(template)} has no {PLACE} for the label.")
        super().__init__(model, processor)
        self.threshold = threshold
        self.template = template

    @torch.no_grad()
    def score(self, crops: Sequence[Picture], labels: Sequence[str]) -> NDArray[np.float32]:
        """Score labels for pictures of single objects; below the threshold the score is 0.

        Args:
            crops: Each `(h, w, 3)`, RGB; gray around the object.
            labels: Distinct names, such as "a dog".

        Returns:
            `(n, l)`, 0-1.

        Example:
            >>> name, crop = "openai/clip-vit-base-patch32", np.asarray(photo)
            >>> clip_model = ZeroShotScorer.from_pretrained(name)  # doctest: +SKIP
            >>> clip_model.score([crop], ["a cup", "a spoon"]).shape  # doctest: +SKIP
            (1, 2)
        """
        scores = [
            self._batch(crops[start : start + CROPS_PER_BATCH], labels)
            for start in range(0, len(crops), CROPS_PER_BATCH)
        ]
        scores_nl = np.concatenate(scores) if scores else np.zeros((0, len(labels)), np.float32)
        return np.where(scores_nl < self.threshold, np.float32(0), scores_nl)

    def _batch(self, crops: Sequence[Picture], labels: Sequence[str]) -> NDArray[np.float32]:
        inputs = self.processor(
            images=list(crops),
            text=[self.template.replace(PLACE, label) for label in labels],
            padding="max_length",
            truncation=True,
            return_tensors="pt",
            input_data_format="channels_last",
        )
        inputs = inputs.to(self.model.device, self.model.dtype)
        logits_nl = self.model(**inputs).logits_per_image.float()
        is_sigmoid = "siglip" in self.model.config.model_type
        scores_nl = logits_nl.sigmoid() if is_sigmoid else logits_nl.softmax(dim=-1)
        values: NDArray[np.float32] = scores_nl.numpy(force=True)
        return values


def name_masks(
    scorer: Scorer, image_hw3: Picture, masks: Sequence[NDArray[np.bool_]], labels: Sequence[str]
) -> list[tuple[str, float] | None]:
    """Find the best label of each mask.

    Args:
        scorer: The scorer.
        image_hw3: `(height, width, 3)`, RGB.
        masks: Each `(height, width)`; a lazy sequence is read part by part.
        labels: As from `read_labels`.

    Returns:
        Label and score of each mask; None if no label scores above 0, or the mask is empty.

    Raises:
        DetectionError: The scorer failed, or its answer has another shape or is not finite.
    """
    names: list[tuple[str, float] | None] = []
    for start in range(0, len(masks), CROPS_PER_BATCH):
        crops = [_crop(image_hw3, mask_hw) for mask_hw in masks[start : start + CROPS_PER_BATCH]]
        scores_nl = _scores(scorer, [crop_hw3 for crop_hw3 in crops if crop_hw3.size], labels)
        rows = iter(scores_nl)
        names += [_best(next(rows), labels) if crop_hw3.size else None for crop_hw3 in crops]
    return names


def _best(scores_l: NDArray[np.floating[Any]], labels: Sequence[str]) -> tuple[str, float] | None:
    """Choose the label with the highest score above 0."""
    place = int(scores_l.argmax())
    return (labels[place], float(scores_l[place])) if scores_l[place] > 0 else None


def _crop(image_hw3: Picture, mask_hw: NDArray[np.bool_]) -> Picture:
    """Cut the box of a mask out of a picture, gray where it is not the mask."""
    left, top, right, bottom = mask_box(mask_hw)
    crop_hw3 = image_hw3[top:bottom, left:right].copy()
    crop_hw3[~mask_hw[top:bottom, left:right]] = GRAY
    return crop_hw3


def _scores(
    scorer: Scorer, crops: Sequence[Picture], labels: Sequence[str]
) -> NDArray[np.floating[Any]]:
    """Ask a scorer, and check its answer."""
    if not crops:
        return np.zeros((0, len(labels)))
    try:
        scores_nl = np.asarray(scorer.score(crops, list(labels)))
    except Exception as error:  # of any library
        raise DetectionError(
            f"the scorer {type(scorer).__name__} failed: {error or type(error).__name__}"
        ) from error
    if scores_nl.shape != (len(crops), len(labels)) or not np.isfinite(scores_nl).all():
        raise DetectionError(
            f"the scorer answered an array of the shape {scores_nl.shape}, or numbers that are not "
            f"finite; ({len(crops)}, {len(labels)}) finite scores are needed, a row for each mask."
        )
    return scores_nl
