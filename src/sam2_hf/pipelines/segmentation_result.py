"""What a prompt gives back."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from .result_mapping import ResultMapping


@dataclass(frozen=True, slots=True, eq=False)
class SegmentationResult(ResultMapping):
    """The masks for one object of one photo; its attributes are also items, `result["masks"]`.

    A single click may mean a shirt or the person in it, so there are three masks; with
    `multimask=False` there is one.

    Attributes:
        masks: `(k, height, width)` bool, pixels of the photo.
        scores: `(k,)` float32, predicted IoU of each mask, 0-1.
        low_res_logits: `(k, h, w)` float32 within +-32, a quarter of the model's input size; one of
            them can be the `mask` of the next prompt.
        object_score: Whether the object is in the picture at all, logits; above 0 it is.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ("masks", "scores", "low_res_logits", "object_score")

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    low_res_logits: NDArray[np.float32]
    object_score: float

    @property
    def best_index(self) -> int:
        """Which mask has the highest score."""
        return int(self.scores.argmax())

    @property
    def best(self) -> NDArray[np.bool_]:
        """The mask with the highest score, `(height, width)` bool."""
        return self.masks[self.best_index]

    @property
    def best_score(self) -> float:
        """Its score, 0-1."""
        return float(self.scores[self.best_index])

    @property
    def best_logits(self) -> NDArray[np.float32]:
        """Its low-resolution logits, `(h, w)`: pass them as `mask` together with the next click."""
        return self.low_res_logits[self.best_index]
