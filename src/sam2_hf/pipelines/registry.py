"""`pipeline(task, model)`, and the place of our classes among transformers' Auto classes."""

import os
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

from sam2_hf.errors import PromptError
from sam2_hf.model.configuration_sam2 import (
    Sam2Config,
    Sam2HieraDetConfig,
    Sam2VisionConfig,
)
from sam2_hf.model.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.hiera import Sam2HieraDetModel
from sam2_hf.model.image_encoder import Sam2VisionModel
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor
from sam2_hf.processing.processing_sam2 import Sam2Processor
from sam2_hf.video.processing_sam2_video import Sam2VideoProcessor
from sam2_hf.video.video_processing_sam2_video import Sam2VideoVideoProcessor

from .bundled_auto_classes import teach_bundled_names
from .image_segmentation import ImageSegmentationPipeline
from .loading import (
    DEFAULT_MODEL,
    Device,
    Dtype,
    Source,
    load_image_processor,
    load_model,
    load_video_model,
)
from .mask_generation import MaskGenerationPipeline
from .photo_encoder import Processor
from .video_segmentation import VideoSegmentationPipeline

IMAGE_TASKS: dict[str, type[MaskGenerationPipeline] | type[ImageSegmentationPipeline]] = {
    "mask-generation": MaskGenerationPipeline,
    "image-segmentation": ImageSegmentationPipeline,
    "promptable-image-segmentation": ImageSegmentationPipeline,
}
VIDEO_TASKS = ("video-segmentation", "promptable-video-segmentation")
CONFIGS = (Sam2Config, Sam2VideoConfig, Sam2VisionConfig, Sam2HieraDetConfig)
MODELS = (
    (Sam2Config, Sam2Model),
    (Sam2VideoConfig, Sam2VideoModel),
    (Sam2VisionConfig, Sam2VisionModel),
    (Sam2HieraDetConfig, Sam2HieraDetModel),
)


Pipeline = MaskGenerationPipeline | ImageSegmentationPipeline | VideoSegmentationPipeline


def pipeline(
    task: str,
    model: Source | Sam2Model | Sam2VideoModel = DEFAULT_MODEL,
    *,
    image_processor: Processor | Source = None,
    device: Device | None = None,
    dtype: Dtype | None = None,
    **options: Any,
) -> Pipeline:
    """Make a pipeline of this package's classes; nothing of transformers is changed.

    Args:
        task: "mask-generation" (everything in a photo), "image-segmentation" or
            "promptable-image-segmentation" (clicks, boxes, masks), "video-segmentation" or
            "promptable-video-segmentation" (the same, followed through a video).
        model: Hub id, folder, path to a `.pt`, or a model.
        image_processor: An image processor or where to load one from; the model's own if None.
            Video pipelines have none.
        device: Where the model goes; if None a GPU if there is one, or where the given model is.
        dtype: Type of its weights, such as `torch.bfloat16` or "bfloat16".
        **options: Options of the pipeline, see its class.

    Raises:
        PromptError: There is no such task, device or dtype, or an option has an unusable value.
        CheckpointError: There is no such model, or its weights cannot be used.
        SessionError: A video pipeline has no such option.
        TypeError: The pipeline has no such option.
    """
    if task in VIDEO_TASKS:
        if image_processor is not None:
            raise PromptError("a video pipeline has no image_processor. Leave it out.")
        return VideoSegmentationPipeline(
            load_video_model(model, device=device, dtype=dtype),
            **options,
        )
    if task not in IMAGE_TASKS:
        known = ", ".join((*IMAGE_TASKS, *VIDEO_TASKS))
        raise PromptError(f"there is no task {task!r}. There are: {known}.")
    loaded = load_model(model, device=device, dtype=dtype)
    if image_processor is None:
        image_processor = load_image_processor(model)
    elif isinstance(image_processor, str | os.PathLike):
        image_processor = load_image_processor(image_processor)
    return IMAGE_TASKS[task](loaded, image_processor, **options)


def register() -> None:
    """Put this package's classes into transformers' Auto classes, in place of its own.

    Afterwards `transformers.pipeline("mask-generation", model="facebook/sam2.1-hiera-tiny")`,
    `AutoModel`, `AutoConfig`, `AutoImageProcessor`, `AutoVideoProcessor` and `AutoProcessor` give
    these classes, and know the checkpoints that come with this package by name. Calling it again
    does nothing new; importing this package never calls it. As in transformers, a `sam2_video`
    checkpoint is a video model for `AutoModel`, and an image model for mask generation.
    """
    teach_bundled_names()
    for config in CONFIGS:
        AutoConfig.register(config.model_type, config, exist_ok=True)
    for config, model in MODELS:
        AutoModel.register(config, model, exist_ok=True)
    for config in (Sam2Config, Sam2VideoConfig):
        # Not AutoModelForMaskGeneration.register: it refuses a model whose own config has another
        # name, but the published image checkpoints carry video configs.
        AutoModelForMaskGeneration._model_mapping.register(config, Sam2Model, exist_ok=True)
        AutoImageProcessor.register(
            config,
            # whichever of the two the rest of transformers prefers on this machine
            image_processor_classes={"pil": Sam2ImageProcessor, "torchvision": Sam2ImageProcessor},
            exist_ok=True,
        )
    AutoVideoProcessor.register(Sam2VideoConfig, Sam2VideoVideoProcessor, exist_ok=True)
    AutoProcessor.register(Sam2Config, Sam2Processor, exist_ok=True)
    AutoProcessor.register(Sam2VideoConfig, Sam2VideoProcessor, exist_ok=True)
    for config in (Sam2Config, Sam2VideoConfig):
        # Saved processors are looked up by the class's name, here before among the registered ones.
        PROCESSOR_MAPPING_NAMES.pop(config.model_type, None)
