"""Results for supervision and FiftyOne, which are optional packages.

Suffixes: n = objects, h, w = rows and columns in pixels, 4 = left, top, right, bottom.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sam2_hf.errors import MissingPackageError

from .found_object import FoundObject


def supervision_detections(
    objects: Sequence[FoundObject], size: tuple[int, int], *, tracked: bool
) -> Any:  # noqa: ANN401 - supervision may not be installed
    """Make `supervision.Detections`.

    Boxes reach from the outermost pixel to the outermost pixel, as in `sv.mask_to_xyxy`; a class is
    the place of the name among the distinct names.

    Args:
        objects: The objects of a picture.
        size: `(height, width)`.
        tracked: Whether ids are those of a tracker.

    Raises:
        MissingPackageError: supervision is not installed.
    """
    try:
        import supervision  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingPackageError(
            "supervision",
            purpose="to_supervision()",
            install="Install it with: pip install supervision.",
        ) from error
    seen = [found for found in objects if found.area]
    masks_nhw = np.zeros((len(seen), *size), bool)
    boxes_n4 = np.zeros((len(seen), 4), np.float32)
    for row, found in enumerate(seen):
        masks_nhw[row] = found.mask
        boxes_n4[row] = np.subtract(found.box, (0, 0, 1, 1))
    labels = [found.label for found in seen]
    classes = list(dict.fromkeys(labels))
    return supervision.Detections(
        xyxy=boxes_n4,
        mask=masks_nhw,
        confidence=np.array([found.score for found in seen], np.float32),
        class_id=np.array([classes.index(label) for label in labels], int),
        tracker_id=np.array([found.object_id for found in seen], int) if tracked else None,
        data={"class_name": np.array(labels, dtype=str)},
    )


def fiftyone_detections(objects: Sequence[FoundObject], size: tuple[int, int]) -> Any:  # noqa: ANN401 - fiftyone may not be installed
    """Make `fiftyone.Detections`, each with a mask within its box.

    Args:
        objects: The objects of a picture.
        size: `(height, width)`.

    Raises:
        MissingPackageError: fiftyone is not installed.
    """
    try:
        import fiftyone  # type: ignore[import-not-found]
    except ImportError as error:
        raise MissingPackageError(
            "fiftyone", purpose="to_fiftyone()", install="Install it with: pip install fiftyone."
        ) from error
    height, width = size
    detections = []
    for found in objects:
        part_hw, (left, top, right, bottom) = found.part()
        if part_hw.size:
            detection = fiftyone.Detection(
                label=found.label,
                bounding_box=[
                    left / width,
                    top / height,
                    (right - left) / width,
                    (bottom - top) / height,
                ],
                mask=part_hw,
                confidence=found.score,
                index=found.object_id,
            )
            detections.append(detection)
    return fiftyone.Detections(detections=detections)
