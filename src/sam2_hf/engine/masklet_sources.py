"""Where masklets come from: prompts of a file, names for a detector, or everything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from sam2_hf import rle
from sam2_hf.engine.prompts.given_objects import GivenObject
from sam2_hf.errors import DataError, PromptError
from sam2_hf.frames.open import open_frames
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.promptable_model import PromptableModel
from sam2_hf.open_vocabulary.labels import read_labels
from sam2_hf.pipelines.generated_masks import GeneratedMask
from sam2_hf.pipelines.loading import load_image_processor
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline
from sam2_hf.pipelines.named_models import load_detector
from sam2_hf.pipelines.video_mask_generation import VideoMaskGenerationPipeline
from sam2_hf.pipelines.video_segmentation import VideoSegmentationPipeline
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame

from .pipeline_masklets import FindAll, PipelineMasklets
from .quality import mask_iou
from .settings import AUTOMATIC, PROMPTS, TEXT, LabelSettings
from .tracked_objects import SMALLEST_INPUT, ClipMasklets, ClipToLabel, track_objects
from .video_labels import MaskletPrompt

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


class PerFrameMasklets:
    """Segments everything on each frame, without memory: each mask is a masklet of one frame.

    Args:
        generate: Finds the masks of a picture.
        max_objects: The best of them are taken, up to this number.
    """

    def __init__(self, generate: MaskGenerationPipeline, max_objects: int) -> None:
        self._generate = generate
        self._max_objects = max_objects

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`]."""
        frames: list[TrackedFrame] = []
        prompts: dict[int, list[MaskletPrompt]] = {}
        with open_frames(clip.video, image_size=SMALLEST_INPUT) as video:
            for frame in clip.frames:
                objects = []
                for mask in self._best(clip, video.picture(frame)):
                    object_id, segmentation = len(prompts) + 1, rle.to_coco(mask.rle)
                    found = (segmentation, mask.area, mask.predicted_iou, SURE, True)
                    objects.append(ObjectOnFrame(object_id, *found))
                    prompts[object_id] = [MaskletPrompt(frame, mask=segmentation, by=AUTOMATIC)]
                frames.append(TrackedFrame(frame, video.time(frame), tuple(objects)))
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
    """Finds everything in a clip; in a phase without propagation, on each of its frames."""

    def __init__(self, settings: LabelSettings, device: Any = None) -> None:  # noqa: ANN401
        VideoMaskGenerationPipeline.check_options(**settings.options)
        self._settings = settings
        self._sources: dict[bool, MaskletSource] = {}  # by whether they propagate

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`]."""
        if not isinstance(clip.model, PromptableModel):
            raise PromptError(
                "an exported model has no everything-mode for the engine. Give --prompts, or the "
                "model it was made of."
            )
        propagates = clip.phase.propagates
        if propagates not in self._sources:
            self._sources[propagates] = self._make(clip.model, propagates=propagates)
        return self._sources[propagates].find(clip, given)

    def _make(self, model: Any, *, propagates: bool) -> MaskletSource:  # noqa: ANN401
        options, limit = self._settings.options, self._settings.max_objects
        if propagates:
            return PipelineMasklets(
                lambda own: VideoMaskGenerationPipeline(own, max_objects=limit, **options)
            )
        processor = load_image_processor(self._settings.model)
        photos = Sam2Model.from_video_model(model)
        return PerFrameMasklets(MaskGenerationPipeline(photos, processor, **options), limit)


class _ByName:
    """Tracks what a zero-shot detector finds by name.

    Args:
        settings: Of the set.
        device: Device of the detector.

    Raises:
        PromptError: The phase does not track.
        CheckpointError: The detector cannot be loaded.
    """

    def __init__(self, settings: LabelSettings, device: Any = None) -> None:  # noqa: ANN401
        self._options = settings.options
        self._labels = read_labels(settings.options["text"], "text")
        if not settings.chosen_phase.propagates:
            raise PromptError(
                f"{settings.phase} does not track, and what is found by name is tracked. Choose "
                "another phase."
            )
        self._detector = load_detector(
            self._options["detector"],
            device=device,
            threshold=self._options["detection_threshold"],
        )
        self._source = PipelineMasklets(self._make)

    def find(self, clip: ClipToLabel, given: Sequence[GivenObject]) -> ClipMasklets:
        """See [`MaskletSource.find`]."""
        return self._source.find(clip, given)

    def _make(self, model: Any) -> FindAll:  # noqa: ANN401
        track = VideoSegmentationPipeline(model, detector=self._detector)
        every = self._options["detect_every"]
        return partial(track, text=self._labels, detect_every=every)


# Made of the settings of a set and the device of the model; what does not load is known at once.
SOURCES: Mapping[str, Callable[[LabelSettings, Any], MaskletSource]] = {
    AUTOMATIC: _Automatic,
    TEXT: _ByName,
    PROMPTS: lambda settings, device: PromptedMasklets(),
}
