"""Detections by name: the interface of detectors, and the checks of what goes in and comes out.

Suffixes: n = boxes, 4 = x0, y0, x1, y1; hw3 = rows, columns, red green blue of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf.boxes import nms
from sam2_hf.errors import DetectionError, PromptError
from sam2_hf.number_reading import is_finite_number, read_row, shown

Box = tuple[float, float, float, float]
CORNERS = 4
SAME_BOX = 0.85  # boxes of different labels with a larger IoU are one object with two names


@dataclass(frozen=True, slots=True)
class Detection:
    """An object that a detector found.

    Attributes:
        box: `(x0, y0, x1, y1)`, pixels of the picture.
        label: What it is: one of the labels that were asked for.
        score: Confidence, 0-1.

    Example:
        >>> Detection((170, 20, 420, 350), "cup", score=0.9).label
        'cup'
    """

    box: Box
    label: str
    score: float = 1.0


class Detector(Protocol):
    """Interface of a detector that finds objects by any name, such as [`ZeroShotDetector`]."""

    def detect(self, image: NDArray[np.uint8], labels: Sequence[str]) -> Sequence[Detection]:
        """Find the objects of some labels.

        Args:
            image: `(height, width, 3)`, RGB.
            labels: Distinct names, such as "a dog"; at least one.

        Returns:
            Any number of detections; each becomes an object.
        """


def detect_objects(
    detector: Detector, image_hw3: NDArray[np.uint8], labels: Sequence[str]
) -> list[Detection]:
    """Ask a detector, and check its answer.

    Args:
        detector: The detector.
        image_hw3: `(height, width, 3)`, RGB.
        labels: As from `read_labels`.

    Returns:
        The detections, best first; boxes are cut off at the picture's edges.

    Raises:
        DetectionError: The detector failed, or an answer has a box that is outside, inverted or not
            finite, another label, or a score that is not a number.
    """
    try:
        found = list(detector.detect(image_hw3, list(labels)))
    except (DetectionError, PromptError):
        raise
    except Exception as error:  # of any library
        raise DetectionError(
            f"the detector {type(detector).__name__} failed on a picture of "
            f"{image_hw3.shape[1]} x {image_hw3.shape[0]} pixels: {error or type(error).__name__}"
        ) from error
    height, width = image_hw3.shape[:2]
    checked = [_checked(detection, (height, width), labels) for detection in found]
    return sorted(checked, key=lambda detection: -detection.score)


def keep_best(
    detections: Sequence[Detection],
    *,
    threshold: float = 0.0,
    nms_threshold: float = 1.0,
    limit: int | None = None,
) -> list[Detection]:
    """Select detections: sure enough, one for each object, not too many.

    Args:
        detections: In any order.
        threshold: A detection with a lower score is dropped.
        nms_threshold: Of two boxes of one label with a larger IoU the better is kept. Boxes of
            different labels count as one object only if they nearly coincide.
        limit: Maximum number; None keeps all.

    Returns:
        The kept ones, best first.
    """
    sure = [detection for detection in detections if detection.score >= threshold]
    kept: list[Detection] = []
    for label in dict.fromkeys(detection.label for detection in sure):
        named = [detection for detection in sure if detection.label == label]
        kept += _without_repeats(named, nms_threshold)
    return _without_repeats(kept, max(nms_threshold, SAME_BOX))[:limit]


def _without_repeats(detections: Sequence[Detection], iou_threshold: float) -> list[Detection]:
    """Suppress all but the best of boxes that overlap; best first."""
    boxes_n4 = torch.tensor([detection.box for detection in detections]).reshape(-1, CORNERS)
    scores_n = torch.tensor([detection.score for detection in detections])
    return [detections[place] for place in nms(boxes_n4, scores_n, iou_threshold).tolist()]


def _checked(found: object, size: tuple[int, int], labels: Sequence[str]) -> Detection:
    """Check one answer against the picture and the labels, and cut off its box."""
    if not isinstance(found, Detection):
        raise DetectionError(f"the detector answered {shown(found)}. Return Detection(...)s.")
    if found.label not in labels:
        raise DetectionError(
            f"the detector answered the label {shown(found.label)}, which was not asked for. The "
            f"labels are: {', '.join(labels)}."
        )
    if not is_finite_number(found.score):
        raise DetectionError(
            f"the detector gave {found.label!r} the score {shown(found.score)}, no finite number."
        )
    box = read_row(found.box)
    if len(box) != CORNERS or not np.isfinite(box).all():
        raise DetectionError(
            f"the detector found {found.label!r} in the box {shown(found.box)}. A box is "
            "(x0, y0, x1, y1), finite pixels; NaN often comes from weights in float16."
        )
    inside = cut_box(box, size)
    if inside is None:
        raise DetectionError(
            f"the detector found {found.label!r} in the box {box}, which has no area in the "
            f"picture of {size[1]} x {size[0]} pixels (width x height). A box is (x0, y0, x1, y1) "
            "in pixels of the picture."
        )
    return replace(found, box=inside, score=float(found.score))


def cut_box(box: Sequence[float], size: tuple[int, int]) -> Box | None:
    """Cut a box off at the edges of a picture.

    Args:
        box: `(x0, y0, x1, y1)`.
        size: `(height, width)` of the picture.

    Returns:
        None if nothing is left.
    """
    height, width = size
    x0, y0, x1, y1 = box
    left, top, right, bottom = max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)
    if not (left < right and top < bottom):
        return None
    return float(left), float(top), float(right), float(bottom)
