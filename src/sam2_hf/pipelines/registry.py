"""`pipeline(task, model)`, and registration with transformers' Auto classes."""

from typing import Any

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForMaskGeneration,
    AutoProcessor,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.utils import logging

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.model.configs.configuration_sam2 import (
    EdgeTamConfig,
    EdgeTamVisionConfig,
    EfficientTamConfig,
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2VisionConfig,
    Sam3TrackerConfig,
)
from sam2_hf.model.configs.configuration_sam2_video import (
    EdgeTamVideoConfig,
    EfficientTamVideoConfig,
    Sam2VideoConfig,
    Sam3TrackerVideoConfig,
)
from sam2_hf.model.hiera import Sam2HieraDetModel
from sam2_hf.model.image_encoder import Sam2VisionModel
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.processing_sam2 import Sam2Processor
from sam2_hf.video.compat.processing_sam2_video import Sam2VideoProcessor
from sam2_hf.video.video_processing_sam2_video import Sam2VideoVideoProcessor

from .bundled_auto_classes import teach_bundled_names
from .encoded_image import Processor
from .image_segmentation import ImageSegmentationPipeline
from .loading import DEFAULT_MODEL, Device, Dtype, Source, load_model, load_video_model
from .mask_generation import MaskGenerationPipeline
from .pipeline_arguments import PipelineArguments
from .transformers_pipeline import BatchedMaskGenerationPipeline
from .video_mask_generation import VideoMaskGenerationPipeline
from .video_segmentation import VideoSegmentationPipeline

Pipeline = (
    MaskGenerationPipeline
    | ImageSegmentationPipeline
    | VideoSegmentationPipeline
    | VideoMaskGenerationPipeline
)

TASKS: dict[str, type[Pipeline]] = {
    "mask-generation": MaskGenerationPipeline,
    "image-segmentation": ImageSegmentationPipeline,
    "promptable-image-segmentation": ImageSegmentationPipeline,
    "video-segmentation": VideoSegmentationPipeline,
    "promptable-video-segmentation": VideoSegmentationPipeline,
    "video-mask-generation": VideoMaskGenerationPipeline,
}
PHOTO_CONFIGS = (Sam2Config, EdgeTamConfig, EfficientTamConfig, Sam3TrackerConfig)
VIDEO_CONFIGS = (
    Sam2VideoConfig,
    EdgeTamVideoConfig,
    EfficientTamVideoConfig,
    Sam3TrackerVideoConfig,
)
# Configs that transformers builds for its own models' parts by their `model_type`: its SAM 3 has a
# tracker, its SAM 2 and EdgeTAM have these image encoders. Those keep transformers' classes.
NESTED = frozenset(
    config.model_type
    for config in (
        Sam3TrackerVideoConfig,
        Sam2VisionConfig,
        EdgeTamVisionConfig,
        Sam2HieraDetConfig,
    )
)
MODELS: tuple[tuple[type[Any], type[Any]], ...] = (
    *((config, Sam2Model) for config in PHOTO_CONFIGS),
    *((config, Sam2VideoModel) for config in VIDEO_CONFIGS),
    (Sam2VisionConfig, Sam2VisionModel),
    (EdgeTamVisionConfig, Sam2VisionModel),
    (Sam2HieraDetConfig, Sam2HieraDetModel),
)

logger = logging.get_logger(__name__)


def pipeline(
    task: str | None = None,
    model: Source | Sam2Model | Sam2VideoModel | None = None,
    *,
    image_processor: Processor | Source = None,
    device: Device | None = None,
    dtype: Dtype | None = None,
    **arguments: Any,
) -> Pipeline:
    """Make a pipeline of this package's classes, without changing transformers.

    Takes the arguments of `transformers.pipeline`. All are checked before weights are loaded.

    Args:
        task: "mask-generation" (everything in a photo), "image-segmentation" or
            "promptable-image-segmentation" (clicks, boxes, masks), "video-segmentation" or
            "promptable-video-segmentation" (the same, tracked through a video),
            "video-mask-generation" (everything in a video). It is not inferred from the model.
        model: Hub id, folder, path to a `.pt`, or a model; by default
            `facebook/sam2.1-hiera-tiny`.
        image_processor: An image processor or its source; by default the model's own. Video
            pipelines have none.
        device: Device of the model; by default a GPU if available, or the given model's.
        dtype: Type of its weights, such as `torch.bfloat16` or "bfloat16"; "auto" for the saved
            one; "int8" for 8 bits on a CPU, approximate, see [`to_int8`]; by default float32, or
            the given model's.
        **arguments: More options of loading, see [`PipelineArguments`], and of the pipeline, see
            its class.

    Raises:
        PromptError: There is no such task, device or dtype, or an argument is invalid or
            contradicts another.
        OptionError: There is no such argument.
        CheckpointError: There is no such model, or its weights cannot be used.
        SessionError: An option of a video pipeline has an unusable value.

    Example:
        >>> segment = pipeline("image-segmentation", model="sam2-hiera-micro")
        >>> segment(photo, points=(290, 225)).best.shape
        (400, 600)
    """
    if task is None or task not in TASKS:
        raise PromptError(f"there is no task {task!r}. Choose from: {', '.join(TASKS)}.")
    known = TASKS[task].option_names() | PipelineArguments.names()
    for name in arguments:
        if name not in known:
            raise OptionError(f"pipeline({task!r})", name, known)
    options = {k: v for k, v in arguments.items() if k not in PipelineArguments.names()}
    loading = PipelineArguments(
        image_processor=image_processor,
        device=device,
        dtype=dtype,
        **{name: value for name, value in arguments.items() if name not in options},
    )
    kind: Any = loading.class_for(TASKS[task])
    kind.check_options(**options)
    source = _chosen(model)
    how = loading.for_model(source)
    if TASKS[task] in (VideoSegmentationPipeline, VideoMaskGenerationPipeline):
        loading.check_for_video(source)
        made: Pipeline = kind(load_video_model(source, **how), **options)
    else:
        # the processor first, so that it fails before weights are loaded
        processor = loading.image_processor_for(source)
        made = kind(load_model(source, **how), processor, **options)
    made.task = task
    return made


def _chosen(model: Any) -> Any:  # noqa: ANN401 - a model, or its source
    if model is None:
        logger.warning_once(f"No model was given, so it is {DEFAULT_MODEL}.")
        return DEFAULT_MODEL
    return model


def register() -> None:
    """Register this package's classes with transformers' Auto classes, in place of its own.

    Afterwards `transformers.pipeline("mask-generation", model="facebook/sam2.1-hiera-tiny")`,
    `AutoModel`, `AutoConfig`, `AutoImageProcessor`, `AutoVideoProcessor` and `AutoProcessor` use
    these classes, which know the bundled checkpoints by name, and mask generation takes a
    `batch_size` with these models. It is idempotent, and never called on import. As in
    transformers, a `sam2_video` checkpoint is a video model for `AutoModel`, and an image model for
    mask generation.

    `AutoConfig` keeps transformers' own classes for what its models contain, so that they still
    work: the tracker of SAM 3 and image encoders. Load those with the classes of this package.

    Example:
        >>> register()
        >>> from transformers import AutoModel
        >>> type(AutoModel.from_pretrained("sam2-hiera-micro")).__name__
        'Sam2VideoModel'
    """
    teach_bundled_names()
    for config, model in MODELS:
        if config.model_type not in NESTED:
            AutoConfig.register(config.model_type, config, exist_ok=True)
        # Not `register`: it refuses a model whose own config has another name, but one model is for
        # several families, and the published image checkpoints carry video configs.
        AutoModel._model_mapping.register(config, model, exist_ok=True)
    for config in (*PHOTO_CONFIGS, *VIDEO_CONFIGS):
        AutoModelForMaskGeneration._model_mapping.register(config, Sam2Model, exist_ok=True)
        AutoImageProcessor.register(
            config,
            # whichever backend transformers prefers on this machine
            image_processor_classes={"pil": Sam2ImageProcessor, "torchvision": Sam2ImageProcessor},
            exist_ok=True,
        )
    for config in PHOTO_CONFIGS:
        AutoProcessor.register(config, Sam2Processor, exist_ok=True)
    for config in VIDEO_CONFIGS:
        AutoVideoProcessor.register(config, Sam2VideoVideoProcessor, exist_ok=True)
        AutoProcessor.register(config, Sam2VideoProcessor, exist_ok=True)
    for config in (*PHOTO_CONFIGS, *VIDEO_CONFIGS):
        if config.model_type not in NESTED:
            # Saved processors are looked up by class name, here first.
            PROCESSOR_MAPPING_NAMES.pop(config.model_type, None)
    PIPELINE_REGISTRY.supported_tasks["mask-generation"]["impl"] = BatchedMaskGenerationPipeline
