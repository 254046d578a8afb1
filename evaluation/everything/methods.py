"""Ways to find everything in a video, compared on equal terms: the same masks of a frame."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from evaluation.sets.labeled_video import LabeledVideo
from evaluation.vos.tracking import Pictures
from sam2_hf import Sam2VideoModel, SessionOptions, VideoMaskGenerationPipeline, VideoSession
from sam2_hf.everything.everything_tracker import EverythingTracker
from sam2_hf.writers.frame_journal import TrackedFrame

from .linking import link_frames
from .perfect_model import PerfectModel

Method = Callable[[LabeledVideo, Sam2VideoModel, Mapping[str, Any]], Iterator[TrackedFrame]]


def tracked(
    video: LabeledVideo, model: Sam2VideoModel, options: Mapping[str, Any]
) -> Iterator[TrackedFrame]:
    """Track everything with the pipeline.

    Args:
        video: The video.
        model: The model.
        options: Of the pipeline.
    """
    generate = VideoMaskGenerationPipeline(model, **options)
    return map(TrackedFrame.from_result, generate.stream(Pictures(video)))


def linked(
    video: LabeledVideo, model: Sam2VideoModel, options: Mapping[str, Any]
) -> Iterator[TrackedFrame]:
    """Link the masks of single frames; see [`link_frames`]."""
    generate = VideoMaskGenerationPipeline(model, **options)
    return link_frames(Pictures(video), generate.finder(), generate.options)


def perfect(
    video: LabeledVideo, model: Sam2VideoModel, options: Mapping[str, Any]
) -> Iterator[TrackedFrame]:
    """Track everything as the pipeline does, with a model that reads the truth.

    It checks matching, ids and scores; the given model is not used.
    """
    chosen = VideoMaskGenerationPipeline(model, **options).options
    pictures = Pictures(video)
    reader = PerfectModel(pictures, video.size, video.masks)
    session_options = SessionOptions(
        keep="window", non_overlap_masks=chosen.layout == "panoptic", fill_hole_area=0
    )
    with VideoSession.open(pictures, reader, options=session_options) as session:
        tracker = EverythingTracker(session, reader.find_masks, chosen)
        yield from map(TrackedFrame.from_result, tracker.run())


METHODS: dict[str, Method] = {"tracked": tracked, "linked": linked, "perfect": perfect}
