"""Zero-shot detectors of transformers: Grounding DINO, OWL-ViT, OWLv2, OmDet-Turbo.

Suffixes: n = boxes, t = tokens of the text, l = labels, 4 = x0, y0, x1, y1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import AutoModelForZeroShotObjectDetection

from sam2_hf.errors import DetectionError, PromptError
from sam2_hf.number_reading import read_whole, shown

from .detection import Detection, cut_box, keep_best
from .zero_shot_model import ZeroShotModel, check_share

GROUNDED = ("grounding-dino", "mm-grounding-dino")  # they score the words of one text
TEXT_THRESHOLD = 0.25  # of these, as in their processor
SEPARATORS = ".?"  # between the labels of such a text


class ZeroShotDetector(ZeroShotModel):
    """A detector of transformers that finds objects by any name.

    Args:
        model: From `AutoModelForZeroShotObjectDetection`, on its device.
        processor: Its processor.
        threshold: Minimum score of a detection, 0-1; None takes that of the model's processor:
            0.25 for Grounding DINO, 0.1 for OWL-ViT and OWLv2, 0.3 for OmDet-Turbo.
        nms_threshold: Of two boxes of one label with a larger IoU the better is kept.
        max_detections: Maximum number for a picture, best first.

    Raises:
        PromptError: A number is out of range.

    Example:
        >>> name = "IDEA-Research/grounding-dino-tiny"
        >>> cups = ZeroShotDetector.from_pretrained(name, threshold=0.3)  # doctest: +SKIP
        >>> segment = ImageSegmentationPipeline(image_model, detector=cups)  # doctest: +SKIP
    """

    KIND = "zero-shot detector"
    AUTO_CLASS = AutoModelForZeroShotObjectDetection

    def __init__(
        self,
        model: Any,  # noqa: ANN401 - of any of these architectures
        processor: Any,  # noqa: ANN401
        *,
        threshold: float | None = None,
        nms_threshold: float = 0.5,
        max_detections: int = 100,
    ) -> None:
        if threshold is not None:
            check_share("threshold", threshold)
        check_share("nms_threshold", nms_threshold)
        if (read_whole(max_detections) or 0) < 1:
            raise PromptError(f"max_detections is {shown(max_detections)}; give 1 or more.")
        super().__init__(model, processor)
        self.threshold = threshold
        self.nms_threshold = nms_threshold
        self.max_detections = max_detections

    @torch.no_grad()
    def detect(self, image: NDArray[np.uint8], labels: Sequence[str]) -> list[Detection]:
        """Find the objects of some labels.

        Args:
            image: `(height, width, 3)`, RGB.
            labels: Distinct names, such as "a dog".

        Returns:
            The detections, best first; boxes in pixels of the picture.

        Raises:
            PromptError: The labels are too long for the detector together.
            DetectionError: It answered NaN.

        Example:
            >>> name, picture = "google/owlvit-base-patch32", np.asarray(photo)
            >>> cups = ZeroShotDetector.from_pretrained(name)  # doctest: +SKIP
            >>> found = cups.detect(picture, ["a cup", "a spoon"])  # doctest: +SKIP
        """
        is_grounded = self.model.config.model_type in GROUNDED
        asked = [_one_phrase(label) for label in labels] if is_grounded else list(labels)
        picture = Image.fromarray(np.ascontiguousarray(image))
        inputs = self.processor(images=picture, text=[asked], return_tensors="pt")
        inputs = inputs.to(self.model.device, self.model.dtype)
        outputs = self.model(**inputs)
        _require_numbers(outputs)
        if is_grounded:
            tokens = inputs["input_ids"][0].tolist()
            found = self._of_tokens(outputs, tokens, labels, image.shape[:2])
        else:
            found = self._of_classes(outputs, labels, image.shape[:2])
        return keep_best(found, nms_threshold=self.nms_threshold, limit=self.max_detections)

    def _of_classes(
        self,
        outputs: Any,  # noqa: ANN401 - of the architecture
        labels: Sequence[str],
        size: tuple[int, int],
    ) -> list[Detection]:
        """Read the answer of a detector with a score for each label."""
        chosen = {} if self.threshold is None else {"threshold": self.threshold}
        (found,) = self.processor.post_process_grounded_object_detection(
            outputs, target_sizes=[size], text_labels=[list(labels)], **chosen
        )
        names = [labels[int(place)] for place in found["labels"]]
        return _detections(found["boxes"], found["scores"], names, size)

    def _of_tokens(
        self,
        outputs: Any,  # noqa: ANN401 - of the architecture
        tokens: Sequence[int],
        labels: Sequence[str],
        size: tuple[int, int],
    ) -> list[Detection]:
        """Read the answer of a detector with a score for each token of the labels.

        Source: transformers/models/grounding_dino/processing_grounding_dino.py (5.23).
        Differs: a box gets the label whose tokens score highest on average, as in the evaluation of
            Grounding DINO, instead of the words above a threshold, which may be parts of a label or
            of several.
        """
        spans = self._spans(tokens)
        if len(spans) != len(labels):
            raise PromptError(
                f"the detector reads {len(spans)} of the {len(labels)} names. Give fewer or "
                "shorter ones."
            )
        scores_nt = outputs.logits[0].float().sigmoid()
        mean_nl = torch.stack([scores_nt[:, span].mean(1) for span in spans], dim=1)
        best_nl = torch.stack([scores_nt[:, span].amax(1) for span in spans], dim=1)
        places_n = mean_nl.argmax(1)
        scores_n = best_nl.gather(1, places_n[:, None])[:, 0]
        height, width = size
        x, y, w, h = outputs.pred_boxes[0].float().unbind(-1)
        corners = (x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width
        boxes_n4 = torch.stack([*corners, (y + h / 2) * height], dim=-1)
        names = [labels[place] for place in places_n.tolist()]
        least = TEXT_THRESHOLD if self.threshold is None else self.threshold
        return keep_best(_detections(boxes_n4, scores_n, names, size), threshold=least)

    def _spans(self, tokens: Sequence[int]) -> list[list[int]]:
        """List the places of each label's tokens."""
        tokenizer = self.processor.tokenizer
        special = {*tokenizer.all_special_ids}
        ends = {*tokenizer.convert_tokens_to_ids(list(SEPARATORS))}
        spans: list[list[int]] = [[]]
        for place, token in enumerate(tokens):
            if token in ends:
                spans.append([])
            elif token not in special:
                spans[-1].append(place)
        return [span for span in spans if span]


def _detections(
    boxes_n4: Tensor, scores_n: Tensor, names: Sequence[str], size: tuple[int, int]
) -> list[Detection]:
    """Make detections of tensors.

    Boxes without area in the picture are left out: OWLv2 sees it padded to a square, and finds
    things there.
    """
    rows = zip(boxes_n4.float().tolist(), scores_n.float().tolist(), names, strict=True)
    cut = [(cut_box(box, size), score, name) for box, score, name in rows]
    return [Detection(box, name, score) for box, score, name in cut if box is not None]


def _require_numbers(outputs: Any) -> None:  # noqa: ANN401 - of the architecture
    """Refuse NaN, which no threshold would show."""
    for name in ("logits", "pred_boxes", "decoder_class_logits", "decoder_coord_logits"):
        values = outputs.get(name)
        if values is not None and values.isnan().any():
            raise DetectionError(
                f"the detector answered NaN ({name}). Load it in float32; in float16 its numbers "
                "may overflow."
            )


def _one_phrase(label: str) -> str:
    """Take out of a label what would end it for Grounding DINO."""
    for separator in SEPARATORS:
        label = label.replace(separator, " ")
    return label
