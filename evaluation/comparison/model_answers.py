"""Predictions of a model for clicks on photos and first masks of clips.

Suffixes: t = frames, h, w = rows and columns in pixels, 3 = red, green, blue.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sam2_hf import (
    Click,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    ObjectPrompt,
    VideoSegmentationPipeline,
    pipeline,
)

from .baselines import Guess, Track, Xy

MODEL, BEST_OF_THREE = "model", "model, best of three"
OBJECT_ID = 1


@dataclass(frozen=True, slots=True, eq=False)
class Pipelines:
    """Pipelines of one model.

    Attributes:
        segment: Clicks on photos.
        everything: Mask generation on photos.
        track: Tracking in clips.
    """

    segment: ImageSegmentationPipeline
    everything: MaskGenerationPipeline
    track: VideoSegmentationPipeline

    @classmethod
    def load(cls, model: str, device: str | None = None) -> Self:
        """Load a model from a folder, the Hub, or the package.

        Raises:
            CheckpointError: There is no such model.
            PromptError: There is no such device.
        """
        tasks = ("image-segmentation", "mask-generation", "video-segmentation")
        parts: list[Any] = [pipeline(task, model=model, device=device) for task in tasks]
        return cls(*parts)


class ModelGuesser:
    """Guesser of a model: the mask of highest predicted IoU, and all three.

    Args:
        segment: The model's pipeline.
    """

    def __init__(self, segment: ImageSegmentationPipeline) -> None:
        self._segment = segment

    def __call__(
        self, picture_hw3: NDArray[np.uint8], clicks: Sequence[Xy]
    ) -> Iterator[list[Guess]]:
        """Encode the photo once, then segment each click separately."""
        if not clicks:
            return
        prompts = [ObjectPrompt(clicks=[Click((x, y))]) for x, y in clicks]
        for answer in self._segment(picture_hw3, prompts):
            chosen = Guess(MODEL, "", answer.best)
            yield [chosen, *(Guess(BEST_OF_THREE, "", mask_hw) for mask_hw in answer.masks)]


class ModelTracker:
    """Tracker of a model, from a clip's first mask.

    Args:
        track: The model's pipeline.
    """

    def __init__(self, track: VideoSegmentationPipeline) -> None:
        self._track = track

    def __call__(
        self, frames_thw3: NDArray[np.uint8], first_hw: NDArray[np.bool_]
    ) -> Iterator[Track]:
        """Prompt the mask on the first frame, then track the clip."""
        masks_thw = np.zeros(frames_thw3.shape[:3], bool)
        with self._track.open(frames_thw3) as session:
            session.mask(0, OBJECT_ID, first_hw)
            for result in session.propagate():
                masks_thw[result.frame] = result.masks[OBJECT_ID]
        yield Track(MODEL, "", masks_thw)
