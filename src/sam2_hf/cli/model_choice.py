"""Which model the command line uses, and what to say when there is none."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from transformers.utils import logging

from sam2_hf.model.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.loading import (
    DEFAULT_MODEL,
    load_image_processor,
    load_model,
    load_video_model,
)
from sam2_hf.pipelines.placeholder import placeholder_model, placeholder_video_model
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor

from .messages import note, one_line

AnyModel = TypeVar("AnyModel", Sam2Model, Sam2VideoModel)

PLACEHOLDER = "placeholder with made-up weights"


@dataclass(frozen=True, slots=True, eq=False)
class ChosenModel:
    """A model with its image processor.

    Attributes:
        name: What it is called in the results.
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
        name: What it is called in the results.
        model: On its device.
    """

    name: str
    model: Sam2VideoModel


def choose_model(arguments: argparse.Namespace) -> ChosenModel:
    """Load the model that was asked for, or the default one.

    Without `--model` and without a way to get the default model there is a small model with made-up
    weights, so that everything else can be tried; a note on stderr says so.

    Args:
        arguments: With `model`, `device` and `dtype`.

    Raises:
        CheckpointError: The model that was asked for cannot be loaded.
        PromptError: There is no such device.
    """
    name, model = _choose(arguments, load_model, placeholder_model)
    processor = None if name == PLACEHOLDER else load_image_processor(name)
    return ChosenModel(name, model, processor)


def choose_video_model(arguments: argparse.Namespace) -> ChosenVideoModel:
    """Load the video model that was asked for, or the default one; see `choose_model`.

    Raises:
        CheckpointError: The model that was asked for cannot be loaded.
        PromptError: There is no such device.
    """
    return ChosenVideoModel(*_choose(arguments, load_video_model, placeholder_video_model))


def _choose(
    arguments: argparse.Namespace,
    load: Callable[..., AnyModel],
    make_placeholder: Callable[[], AnyModel],
) -> tuple[str, AnyModel]:
    """Load a model, or make one up; return what it is called as well."""
    logging.disable_progress_bar()  # of loading weights; there is one for photos and frames
    kind = {"device": arguments.device, "dtype": arguments.dtype}
    if arguments.model is not None:
        return arguments.model, load(arguments.model, **kind)
    try:
        return DEFAULT_MODEL, load(DEFAULT_MODEL, **kind)
    except CheckpointNotFoundError:
        reason = f"{DEFAULT_MODEL} is not on this machine and the Hub does not answer"
    except OSError as error:
        reason = f"{DEFAULT_MODEL} could not be fetched ({one_line(error)})"
    note(f"{reason}; going on with made-up weights: these masks mean nothing.")
    return PLACEHOLDER, load(make_placeholder(), **kind)
