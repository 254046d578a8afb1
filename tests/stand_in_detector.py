"""A stand-in for a detector: it knows what is where, and notes what it was asked."""

import numpy as np

from sam2_hf.open_vocabulary.detection import Detection


class KnownBoxes:
    """A detector that answers known boxes by the gray level of a picture's corner.

    Args:
        boxes: Gray level (0 for a picture that is not a `fake_clip`'s) -> label -> boxes, best
            first; a plain dictionary from labels to boxes answers the same on every picture.
    """

    def __init__(self, boxes):
        self.boxes = boxes
        self.asked = []

    def detect(self, image, labels):
        level = int(image[0, 0, 0])
        self.asked.append((level, list(labels)))
        on_picture = self.boxes.get(level, {}) if _is_by_level(self.boxes) else self.boxes
        return [
            Detection(box, label, 0.9 - 0.01 * place)
            for label in labels
            for place, box in enumerate(on_picture.get(label, []))
        ]


def _is_by_level(boxes):
    return any(isinstance(key, int) for key in boxes)


class KnownBrightness:
    """A scorer that knows "bright" from "dark" things by the middle of a crop."""

    def score(self, crops, labels):
        middles = [crop[crop.shape[0] // 2, crop.shape[1] // 2].mean() / 255 for crop in crops]
        by_label = {"bright": np.array(middles), "dark": 1 - np.array(middles)}
        return np.stack([by_label[label] for label in labels], axis=1)
