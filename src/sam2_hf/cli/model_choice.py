"""Which model the command line uses, and what to say when there is none."""

import argparse
from dataclasses import dataclass

from transformers.utils import logging

from sam2_hf.model.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.pipelines.loading import DEFAULT_MODEL, load_image_processor, load_model
from sam2_hf.pipelines.placeholder import placeholder_model
from sam2_hf.processing.image_processing_sam2 import Sam2ImageProcessor

from .messages import note, one_line

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
    logging.disable_progress_bar()  # of loading weights; there is one for photos
    kind = {"device": arguments.device, "dtype": arguments.dtype}
    if arguments.model is not None:
        model = load_model(arguments.model, **kind)
        return ChosenModel(arguments.model, model, load_image_processor(arguments.model))
    try:
        model = load_model(DEFAULT_MODEL, **kind)
        return ChosenModel(DEFAULT_MODEL, model, load_image_processor(DEFAULT_MODEL))
    except CheckpointNotFoundError:
        reason = f"{DEFAULT_MODEL} is not on this machine and the Hub does not answer"
    except OSError as error:
        reason = f"{DEFAULT_MODEL} could not be fetched ({one_line(error)})"
    note(f"{reason}; going on with made-up weights: these masks mean nothing.")
    return ChosenModel(PLACEHOLDER, load_model(placeholder_model(), **kind), None)
