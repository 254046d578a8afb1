"""Choice of the model on the command line, and the advice if there is none."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from huggingface_hub.utils.tqdm import disable_progress_bars
from transformers.utils import logging

from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.open_vocabulary.mask_scorer import ZeroShotScorer
from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector
from sam2_hf.pipelines.loading import (
    DEFAULT_MODEL,
    Source,
    load_image_processor,
    load_model,
    load_video_model,
)
from sam2_hf.pipelines.named_models import (
    DEFAULT_DETECTOR,
    DEFAULT_SCORER,
    load_detector,
    load_scorer,
)
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor

from .console import note, one_line, shows_notes

AnyModel = TypeVar("AnyModel", Sam2Model, Sam2VideoModel)

PREFER = (
    f"is for trying out sam2-hf; use a released checkpoint, such as {DEFAULT_MODEL}, if you can."
)
WAYS_OUT = (
    f"Give --model {SMALL_MODEL}, a small model (pip install 'sam2-hf[micro]'), or --model with "
    "the path of a folder or a .pt file."
)


@dataclass(frozen=True, slots=True, eq=False)
class ChosenModel:
    """A model with its image processor.

    Attributes:
        name: Name in the results.
        model: On its device.
        image_processor: None means a standard one.
    """

    name: str
    model: Sam2Model
    image_processor: Sam2ImageProcessor | None


@dataclass(frozen=True, slots=True, eq=False)
class ChosenVideoModel:
    """A model for videos.

    Attributes:
        name: Name in the results.
        model: On its device.
    """

    name: str
    model: Sam2VideoModel


def choose_model(arguments: argparse.Namespace) -> ChosenModel:
    """Load the requested model, or the default one.

    Args:
        arguments: With `model`, `device` and `dtype`.

    Raises:
        CheckpointError: The model cannot be loaded. There is no fallback to another one.
        PromptError: There is no such device.
    """
    name, source, model = _choose(arguments, load_model)
    return ChosenModel(name, model, load_image_processor(source))


def choose_video_model(arguments: argparse.Namespace) -> ChosenVideoModel:
    """Load the requested video model, or the default one; see `choose_model`.

    Raises:
        CheckpointError: The model cannot be loaded.
        PromptError: There is no such device.
    """
    name, _, model = _choose(arguments, load_video_model)
    return ChosenVideoModel(name, model)


def choose_detector(arguments: argparse.Namespace) -> ZeroShotDetector:
    """Load the detector of `--text`.

    Raises:
        CheckpointError: It cannot be loaded.
        PromptError: There is no such device.
    """
    threshold = arguments.detection_threshold
    source = arguments.detector or DEFAULT_DETECTOR
    return load_detector(source, device=arguments.device, threshold=threshold)


def choose_scorer(arguments: argparse.Namespace) -> ZeroShotScorer:
    """Load the scorer of `--labels`; see `choose_detector`."""
    return load_scorer(arguments.scorer or DEFAULT_SCORER, device=arguments.device)


def _choose(
    arguments: argparse.Namespace, load: Callable[..., AnyModel]
) -> tuple[str, Source, AnyModel]:
    """Load a model; return its name and its source as well."""
    logging.disable_progress_bar()  # of loading weights
    if not shows_notes():
        disable_progress_bars()  # of downloads
    kind = {"device": arguments.device, "dtype": arguments.dtype}
    if arguments.model is not None:
        if bundled_folder(arguments.model) is not None:
            note(f"{arguments.model} {PREFER}")
        return arguments.model, arguments.model, load(arguments.model, **kind)
    cause: OSError
    try:
        return DEFAULT_MODEL, DEFAULT_MODEL, load(DEFAULT_MODEL, **kind)
    except CheckpointNotFoundError as error:
        reason, cause = "is not on this machine and the Hub does not answer", error
    except OSError as error:
        reason, cause = f"could not be fetched ({one_line(error)})", error
    text = f"the default model {DEFAULT_MODEL} {reason}. {WAYS_OUT}"
    raise CheckpointNotFoundError(text) from cause
