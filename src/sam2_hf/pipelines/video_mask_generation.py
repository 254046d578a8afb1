"""Mask generation in videos: segment and track everything, with no prompt.

Suffixes: h, w = rows and columns in pixels of the frame.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from sam2_hf.errors import FrameError, OptionError
from sam2_hf.everything.everything_tracker import EverythingTracker
from sam2_hf.everything.found_masklets import FoundMasklets
from sam2_hf.everything.key_frame_masks import KeyFrameMask
from sam2_hf.everything.options import VideoEverythingOptions
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.frame_result import FrameResult
from sam2_hf.video.review import ReviewRules
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracking_model import FrozenModel

from .abstract_pipeline import AbstractPipeline
from .everything_options import ALIASES, EverythingOptions
from .mask_generation import MaskGenerationPipeline
from .photo_inputs import ReadingOptions
from .video_segmentation import VideoSegmentation, VideoSegmentationPipeline

Progress = Callable[[int, int | None], None]

# Options of a session that follow from those of everything-mode.
DERIVED = ("keep", "non_overlap_masks")
# Options of mask generation that shape its own results, which are not returned here.
OF_PHOTOS = ("output_mode", "output_rle_mask", "output_bboxes_mask")


class GeneratedKeyFrameMasks:
    """Everything-mode for photos as the finder of key-frame masks.

    Args:
        generate: The pipeline for photos.
    """

    def __init__(self, generate: MaskGenerationPipeline) -> None:
        self._generate = generate

    def __call__(self, frame: int, picture_hw3: NDArray[np.uint8]) -> list[KeyFrameMask]:
        """Find all masks of a frame; see [`MaskFinder`]."""
        found = self._generate(picture_hw3)
        return [KeyFrameMask(mask.coco_rle, mask.area, mask.predicted_iou) for mask in found]


class VideoMaskGenerationPipeline(AbstractPipeline[Sam2VideoModel]):
    """Find and track everything in a video.

    On key frames masks are generated as in a photo, those of new objects are tracked, and ids
    survive occlusion; see [`EverythingTracker`].

    Args:
        model: The model, on its device, in eval mode.
        rules: When a frame is to be reviewed.
        **options: See [`VideoEverythingOptions`]; those of mask generation, such as
            `points_per_side` and `pred_iou_thresh`, see [`EverythingOptions`]; those of the
            session, see [`SessionOptions`], except `keep` and `non_overlap_masks`, which follow
            from the others. [`ReadingOptions`] as in [`VideoSegmentationPipeline`].

    Raises:
        OptionError: There is no such option.
        PromptError: A value of an option cannot be used.
        SessionError: A value of a session's option cannot be used.

    Example:
        >>> generate = VideoMaskGenerationPipeline(model, points_per_side=4, pred_iou_thresh=0.3)
        >>> found = generate("clip.mp4", key_frame_every=2)
        >>> found.frames
        [0, 1, 2]
    """

    task = "video-mask-generation"

    def __init__(
        self, model: Sam2VideoModel, *, rules: ReviewRules | None = None, **options: Any
    ) -> None:
        super().__init__(model)
        self._rules = rules
        self._given = options
        self.options, self.generator_options, self.session_options = _split_options(options)

    @classmethod
    def option_names(cls) -> frozenset[str]:
        """List the constructor's options besides the model."""
        return _names() | {"rules"}

    @classmethod
    def check_options(cls, *, rules: ReviewRules | None = None, **options: Any) -> None:
        """Validate the constructor's options before a model is loaded.

        Raises:
            OptionError: There is no such option.
            PromptError: A value of an option cannot be used.
            SessionError: A value of a session's option cannot be used.
        """
        VideoSegmentationPipeline.check_options(rules=rules)
        _split_options(options)

    def __call__(
        self,
        video: object,
        *,
        progress: bool = False,
        on_progress: Progress | None = None,
        **options: Any,
    ) -> VideoSegmentation:
        """Find and track everything in one video.

        Args:
            video: A video file, a folder of pictures, or frames, see [`open_frames`].
            progress: Whether to show a progress bar.
            on_progress: Called after each frame with the number done and the total (None if
                unknown).
            **options: Options for this call only.

        Returns:
            A [`VideoSegmentation`] with the masklets of all objects, also of those that left.
            `frames_to_review` lists suspected switches of identity, drift and re-entries, too;
            `scene_cuts` the frames on which a scene begins.

        Raises:
            VideoError: The video cannot be opened.
            FrameError: A frame is unavailable; `tracked` of the error holds the frames before it.
            OptionError: There is no such option.
            PromptError: A value of an option cannot be used.

        Example:
            >>> generate = VideoMaskGenerationPipeline(model, points_per_side=4)
            >>> found = generate(clip, layout="panoptic", max_objects=10)
            >>> found.scene_cuts
            ()
        """
        tracker = self._tracker(video, options)
        found = FoundMasklets(tracker.session, tracker.state)
        total = tracker.session.num_frames
        try:
            with tqdm(total=total, unit="frame", desc="everything", disable=not progress) as bar:
                for result in tracker.run():
                    found.add(result)
                    bar.update()
                    if on_progress is not None:
                        on_progress(len(found.visited), total)
        except FrameError as error:
            error.tracked = VideoSegmentation(found, self._rules, source=video)
            raise
        except BaseException:
            found.close()
            raise
        return VideoSegmentation(found, self._rules, source=video)

    def stream(self, video: object, **options: Any) -> Iterator[FrameResult]:
        """Find and track everything, and return each frame as soon as it is known.

        Memory does not grow with the video: nothing is kept but what the next frames need.

        Args:
            video: As in a call; of an iterator, pictures are read a few frames ahead.
            **options: Options for this video only.

        Returns:
            The result of every frame, lazily; frames without objects are empty.

        Raises:
            VideoError: The video cannot be opened.
            FrameError: A frame is unavailable; those before it were returned.
            OptionError: There is no such option.

        Example:
            >>> generate = VideoMaskGenerationPipeline(model, points_per_side=4)
            >>> for result in generate.stream("clip.mp4"):
            ...     masks = result.masks
        """
        tracker = self._tracker(video, options)
        return _closing_after(tracker)

    def open(self, video: object, **options: Any) -> EverythingTracker:
        """Open a video without tracking anything yet, to save and continue; see `run` there.

        Args:
            video: As in a call.
            **options: Options for this video only.

        Raises:
            VideoError: The video cannot be opened.

        Example:
            >>> tracker = VideoMaskGenerationPipeline(model, points_per_side=4).open("clip.mp4")
            >>> next(tracker.run()).frame, tracker.state.frame
            (0, 1)
        """
        return self._tracker(video, options)

    def finder(self, **options: Any) -> GeneratedKeyFrameMasks:
        """Make the finder of key-frame masks, which shares the model's weights.

        Args:
            **options: See [`EverythingOptions`], in place of the pipeline's.

        Example:
            >>> find = VideoMaskGenerationPipeline(model, points_per_side=4).finder()
            >>> masks = find(0, photo)
        """
        photos: Any = self.model
        if not isinstance(photos, FrozenModel):  # exported graphs answer for photos as they are
            photos = Sam2Model.from_video_model(photos)
        return GeneratedKeyFrameMasks(
            MaskGenerationPipeline(photos, **{**self.generator_options, **options})
        )

    def _tracker(self, video: object, options: dict[str, Any]) -> EverythingTracker:
        chosen, generator, session_options = _split_options({**self._given, **options})
        session: VideoSession = Sam2VideoInferenceSession.open(
            video, self.model, options=session_options
        )
        return EverythingTracker(session, self.finder(**generator), chosen)


def _closing_after(tracker: EverythingTracker) -> Iterator[FrameResult]:
    with tracker.session:
        yield from tracker.run()


def _names() -> frozenset[str]:
    of_session = {field.name for field in fields(SessionOptions)} - {*DERIVED}
    of_generator = {field.name for field in fields(EverythingOptions)} - {*OF_PHOTOS}
    return frozenset(
        {*VideoEverythingOptions.names(), *of_session, *of_generator, *ALIASES}
        | ReadingOptions.names()
    )


def _split_options(
    options: dict[str, Any],
) -> tuple[VideoEverythingOptions, dict[str, Any], SessionOptions]:
    """Split options by what they belong to, and check them.

    Returns:
        Options of everything-mode, of mask generation (those that were given), and of the session.
    """
    known = _names()
    for name in options:
        if name not in known:
            raise OptionError("mask generation in videos", name, known)
    ReadingOptions().taken_from(options)
    own = VideoEverythingOptions(**_part(options, VideoEverythingOptions.names()))
    generator = _part(options, {*(field.name for field in fields(EverythingOptions)), *ALIASES})
    MaskGenerationPipeline.check_options(**generator)
    session = SessionOptions.preset(
        **_part(options, {field.name for field in fields(SessionOptions)}),
        keep="window",
        non_overlap_masks=own.layout == "panoptic",
    )
    return own, generator, session


def _part(options: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in names}
