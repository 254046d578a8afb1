"""SAM 2 for images and videos: the public names, loaded lazily.

Importing this package loads neither torch nor transformers and has no side effects. A name is
listed twice: in the imports, for editors and type checkers, and in the table, for programs.
"""

import importlib
from typing import TYPE_CHECKING

from sam2_hf.model.checkpoints.checkpoint_errors import paused_collection

from .version import __version__ as __version__

if TYPE_CHECKING:
    from sam2_hf.everything.options import VideoEverythingOptions as VideoEverythingOptions
    from sam2_hf.frames.streams import LiveFrames as LiveFrames
    from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError as CheckpointError
    from sam2_hf.model.configs.configuration_sam2 import (
        EdgeTamConfig as EdgeTamConfig,
        EfficientTamConfig as EfficientTamConfig,
        Sam2Config as Sam2Config,
        Sam2HieraDetConfig as Sam2HieraDetConfig,
        Sam2MaskDecoderConfig as Sam2MaskDecoderConfig,
        Sam2PromptEncoderConfig as Sam2PromptEncoderConfig,
        Sam2VisionConfig as Sam2VisionConfig,
        Sam3TrackerConfig as Sam3TrackerConfig,
    )
    from sam2_hf.model.configs.configuration_sam2_video import (
        EdgeTamVideoConfig as EdgeTamVideoConfig,
        EfficientTamVideoConfig as EfficientTamVideoConfig,
        Sam2VideoConfig as Sam2VideoConfig,
        Sam2VideoMaskDecoderConfig as Sam2VideoMaskDecoderConfig,
        Sam2VideoPromptEncoderConfig as Sam2VideoPromptEncoderConfig,
        Sam3TrackerVideoConfig as Sam3TrackerVideoConfig,
    )
    from sam2_hf.model.hiera import Sam2HieraDetModel as Sam2HieraDetModel
    from sam2_hf.model.image_encoder import Sam2VisionModel as Sam2VisionModel
    from sam2_hf.model.int8 import to_int8 as to_int8
    from sam2_hf.model.modeling_sam2 import Sam2Model as Sam2Model
    from sam2_hf.model.modeling_sam2_video import Sam2VideoModel as Sam2VideoModel
    from sam2_hf.model.outputs import (
        Sam2HieraDetModelOutput as Sam2HieraDetModelOutput,
        Sam2ImageSegmentationOutput as Sam2ImageSegmentationOutput,
        Sam2VideoSegmentationOutput as Sam2VideoSegmentationOutput,
        Sam2VisionEncoderOutput as Sam2VisionEncoderOutput,
    )
    from sam2_hf.model.pretrained import (
        Sam2PreTrainedModel as Sam2PreTrainedModel,
        Sam2VideoPreTrainedModel as Sam2VideoPreTrainedModel,
    )
    from sam2_hf.open_vocabulary.detection import Detection as Detection
    from sam2_hf.open_vocabulary.mask_scorer import ZeroShotScorer as ZeroShotScorer
    from sam2_hf.open_vocabulary.text_tracker import TextTracker as TextTracker
    from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector as ZeroShotDetector
    from sam2_hf.pipelines.encoded_image import EncodedImage as EncodedImage
    from sam2_hf.pipelines.generated_masks import (
        GeneratedMask as GeneratedMask,
        GeneratedMasks as GeneratedMasks,
    )
    from sam2_hf.pipelines.image_segmentation import (
        ImageSegmentationPipeline as ImageSegmentationPipeline,
    )
    from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline as MaskGenerationPipeline
    from sam2_hf.pipelines.registry import pipeline as pipeline, register as register
    from sam2_hf.pipelines.video_mask_generation import (
        VideoMaskGenerationPipeline as VideoMaskGenerationPipeline,
    )
    from sam2_hf.pipelines.video_segmentation import (
        VideoSegmentation as VideoSegmentation,
        VideoSegmentationPipeline as VideoSegmentationPipeline,
    )
    from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor as Sam2ImageProcessor
    from sam2_hf.processing.processing_sam2 import Sam2Processor as Sam2Processor
    from sam2_hf.processing.prompts import Click as Click, ObjectPrompt as ObjectPrompt
    from sam2_hf.video.compat.processing_sam2_video import Sam2VideoProcessor as Sam2VideoProcessor
    from sam2_hf.video.compat.transformers_session import (
        Sam2VideoInferenceSession as Sam2VideoInferenceSession,
    )
    from sam2_hf.video.explanation import Explanation as Explanation
    from sam2_hf.video.frame_result import FrameResult as FrameResult
    from sam2_hf.video.masklet import Masklet as Masklet
    from sam2_hf.video.prompts import VideoPrompt as VideoPrompt
    from sam2_hf.video.references import Reference as Reference
    from sam2_hf.video.review import FrameToReview as FrameToReview, ReviewRules as ReviewRules
    from sam2_hf.video.session import VideoSession as VideoSession
    from sam2_hf.video.session_options import SessionOptions as SessionOptions
    from sam2_hf.video.storage.object_library import (
        KnownObject as KnownObject,
        ObjectLibrary as ObjectLibrary,
    )
    from sam2_hf.video.video_processing_sam2_video import (
        Sam2VideoVideoProcessor as Sam2VideoVideoProcessor,
    )
    from sam2_hf.writers.run_comparison import (
        RunComparison as RunComparison,
        compare_runs as compare_runs,
    )

    from .errors import (
        DetectionError as DetectionError,
        FrameError as FrameError,
        ImageError as ImageError,
        NoPromptError as NoPromptError,
        OutputError as OutputError,
        ProcessorError as ProcessorError,
        PromptError as PromptError,
        Sam2Error as Sam2Error,
        SessionError as SessionError,
        UnknownObjectError as UnknownObjectError,
        VideoError as VideoError,
    )
    from .masks import suppress_overlaps as suppress_overlaps

_MODULE_OF = {
    "CheckpointError": "model.checkpoints.checkpoint_errors",
    "Click": "processing.prompts",
    "Detection": "open_vocabulary.detection",
    "DetectionError": "errors",
    "EdgeTamConfig": "model.configs.configuration_sam2",
    "EdgeTamVideoConfig": "model.configs.configuration_sam2_video",
    "EfficientTamConfig": "model.configs.configuration_sam2",
    "EfficientTamVideoConfig": "model.configs.configuration_sam2_video",
    "EncodedImage": "pipelines.encoded_image",
    "Explanation": "video.explanation",
    "FrameError": "errors",
    "FrameResult": "video.frame_result",
    "FrameToReview": "video.review",
    "GeneratedMask": "pipelines.generated_masks",
    "GeneratedMasks": "pipelines.generated_masks",
    "ImageError": "errors",
    "ImageSegmentationPipeline": "pipelines.image_segmentation",
    "KnownObject": "video.storage.object_library",
    "LiveFrames": "frames.streams",
    "MaskGenerationPipeline": "pipelines.mask_generation",
    "Masklet": "video.masklet",
    "NoPromptError": "errors",
    "ObjectLibrary": "video.storage.object_library",
    "ObjectPrompt": "processing.prompts",
    "OutputError": "errors",
    "ProcessorError": "errors",
    "PromptError": "errors",
    "Reference": "video.references",
    "ReviewRules": "video.review",
    "RunComparison": "writers.run_comparison",
    "Sam2Config": "model.configs.configuration_sam2",
    "Sam2Error": "errors",
    "Sam2HieraDetConfig": "model.configs.configuration_sam2",
    "Sam2HieraDetModel": "model.hiera",
    "Sam2HieraDetModelOutput": "model.outputs",
    "Sam2ImageProcessor": "processing.image_processing_sam2",
    "Sam2ImageSegmentationOutput": "model.outputs",
    "Sam2MaskDecoderConfig": "model.configs.configuration_sam2",
    "Sam2Model": "model.modeling_sam2",
    "Sam2PreTrainedModel": "model.pretrained",
    "Sam2Processor": "processing.processing_sam2",
    "Sam2PromptEncoderConfig": "model.configs.configuration_sam2",
    "Sam2VideoConfig": "model.configs.configuration_sam2_video",
    "Sam2VideoInferenceSession": "video.compat.transformers_session",
    "Sam2VideoMaskDecoderConfig": "model.configs.configuration_sam2_video",
    "Sam2VideoModel": "model.modeling_sam2_video",
    "Sam2VideoPreTrainedModel": "model.pretrained",
    "Sam2VideoProcessor": "video.compat.processing_sam2_video",
    "Sam2VideoPromptEncoderConfig": "model.configs.configuration_sam2_video",
    "Sam2VideoSegmentationOutput": "model.outputs",
    "Sam2VideoVideoProcessor": "video.video_processing_sam2_video",
    "Sam2VisionConfig": "model.configs.configuration_sam2",
    "Sam2VisionEncoderOutput": "model.outputs",
    "Sam2VisionModel": "model.image_encoder",
    "Sam3TrackerConfig": "model.configs.configuration_sam2",
    "Sam3TrackerVideoConfig": "model.configs.configuration_sam2_video",
    "SessionError": "errors",
    "SessionOptions": "video.session_options",
    "TextTracker": "open_vocabulary.text_tracker",
    "UnknownObjectError": "errors",
    "VideoError": "errors",
    "VideoEverythingOptions": "everything.options",
    "VideoMaskGenerationPipeline": "pipelines.video_mask_generation",
    "VideoPrompt": "video.prompts",
    "VideoSegmentation": "pipelines.video_segmentation",
    "VideoSegmentationPipeline": "pipelines.video_segmentation",
    "VideoSession": "video.session",
    "ZeroShotDetector": "open_vocabulary.zero_shot_detector",
    "ZeroShotScorer": "open_vocabulary.mask_scorer",
    "compare_runs": "writers.run_comparison",
    "pipeline": "pipelines.registry",
    "register": "pipelines.registry",
    "suppress_overlaps": "masks",
    "to_int8": "model.int8",
}

__all__ = [*_MODULE_OF, "__version__"]


def __getattr__(name: str) -> object:
    """Load a public name on first use and cache it."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with paused_collection():
        module = importlib.import_module(f"{__name__}.{_MODULE_OF[name]}")
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List all names, loaded or not."""
    return sorted({*globals(), *_MODULE_OF})
