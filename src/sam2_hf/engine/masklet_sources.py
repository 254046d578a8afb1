"""Where masklets come from: prompts of a file, or everything that is found by itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol

from sam2_hf import rle
from sam2_hf.engine.prompts.given_objects import GivenObject
from sam2_hf.errors import DataError, PromptError
from sam2_hf.frames.open import open_frames
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.promptable_model import PromptableModel
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.generated_masks import GeneratedMask
from sam2_hf.pipelines.loading import load_image_processor
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame

from .quality import mask_iou
from .settings import AUTOMATIC, PROMPTS, LabelSettings
from .tracked_objects import ClipMasklets, ClipToLabel, mask_prompt, track_objects
from .video_labels import MaskletPrompt

SMALLEST_INPUT = 64  # pixels; only original pictures are read
SURE = 10.0  # object score of a mask that was found on its frame, logits
SAME = 0.7  # IoU above which a mask is a duplicate


class MaskletSource(Protocol):
    """Finds the masklets of a clip.

    Whatever it raises is the failure of that clip alone.
    """

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """Find the masklets of a clip.

        Args:
            clip: The clip, with the model.
            given: Objects that a file of prompts has for the video.
        """


class PromptedMasklets:
    """Tracks the objects of a file of prompts."""

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`].

        Raises:
            DataError: The file has no prompt for the video.
        """
        if not given:
            raise DataError(f"the file of prompts has none for {clip.name}. Leave it out.")
        with open_frames(clip.video, image_size=SMALLEST_INPUT) as frames:
            size, num_frames = frames.size or (0, 0), frames.num_frames or 0
        prompts: dict[int, list[MaskletPrompt]] = {}
        names: dict[int, str] = {}
        for object_id, item in enumerate(given, 1):
            own = [
                prompt for prompt in item.prompts(size, num_frames) if prompt.frame in clip.frames
            ]
            if own:
                prompts[object_id] = own
                if item.name:
                    names[object_id] = item.name
        return replace(track_objects(clip, prompts), names=names)


class FirstFrameMasklets:
    """Segments everything on the first frame of a clip, and tracks it; by frame without memory.

    Args:
        generate: Finds the masks of a picture.
        max_objects: The best of them are taken, up to this number.
    """

    def __init__(self, generate: MaskGenerationPipeline, max_objects: int) -> None:
        self._generate = generate
        self._max_objects = max_objects

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`]."""
        with open_frames(clip.video, image_size=SMALLEST_INPUT) as frames:
            if not clip.phase.propagates:
                return self._on_each_frame(clip, frames.picture, frames.time)
            masks = self._best(clip, frames.picture(clip.frames.start))
        prompts = {
            object_id: [mask_prompt(clip.frames.start, mask.rle, AUTOMATIC)]
            for object_id, mask in enumerate(masks, 1)
        }
        return track_objects(clip, prompts)

    def _on_each_frame(
        self,
        clip: ClipToLabel,
        picture: Callable[[int], Any],
        time: Callable[[int], float | None],
    ) -> ClipMasklets:
        """Make a masklet of one frame of each mask."""
        frames, prompts, last = [], {}, 0
        for frame in clip.frames:
            objects = []
            for object_id, mask in enumerate(self._best(clip, picture(frame)), last + 1):
                segmentation = rle.to_coco(mask.rle)
                found = (segmentation, mask.area, mask.predicted_iou, SURE, True)
                objects.append(ObjectOnFrame(object_id, *found))
                prompts[object_id] = [MaskletPrompt(frame, mask=segmentation, by=AUTOMATIC)]
                last = object_id
            frames.append(TrackedFrame(frame, time(frame), tuple(objects)))
        return ClipMasklets(frames, prompts)

    def _best(self, clip: ClipToLabel, picture_hw3: Any) -> list[GeneratedMask]:  # noqa: ANN401
        """Return the best masks of a picture, without duplicates."""

        def beat(done: int, total: int) -> None:
            clip.beat()

        masks = self._generate(picture_hw3, on_progress=beat)
        kept: list[GeneratedMask] = []
        for mask in masks:
            if len(kept) == self._max_objects:
                break
            inside_hw = mask.segmentation
            if mask.area and all(mask_iou(inside_hw, other.segmentation) < SAME for other in kept):
                kept.append(mask)
        return kept


class _Automatic:
    """Makes the image model when the first clip is there, with the weights of the video model."""

    def __init__(self, settings: LabelSettings) -> None:
        self._settings = settings
        self._options = EverythingOptions().changed(**settings.options)
        self._options.grids()
        self._model: PromptableModel | None = None

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`]."""
        if not isinstance(clip.model, PromptableModel):
            raise PromptError(
                "an exported model has no everything-mode for the engine. Give --prompts, or the "
                "model it was made of."
            )
        self._model = clip.model
        return self._source.find(clip, given)

    @cached_property
    def _source(self) -> FirstFrameMasklets:
        model = Sam2Model.from_video_model(self._model)  # type: ignore[arg-type]  # set by `find`
        processor = load_image_processor(self._settings.model)
        generate = MaskGenerationPipeline(model, processor, **self._settings.options)
        return FirstFrameMasklets(generate, self._settings.max_objects)


SOURCES: Mapping[str, Callable[[LabelSettings], MaskletSource]] = {
    AUTOMATIC: _Automatic,
    PROMPTS: lambda settings: PromptedMasklets(),
}
