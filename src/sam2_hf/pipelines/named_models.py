"""Models for names: the detector or scorer of a pipeline, given or loaded on first use."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

from transformers.utils import logging

from sam2_hf.errors import PromptError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.number_reading import shown
from sam2_hf.open_vocabulary.detection import Detector
from sam2_hf.open_vocabulary.mask_scorer import Scorer, ZeroShotScorer
from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector

from .abstract_pipeline import AbstractPipeline
from .loading import Device, Source, loading_options, read_device

DEFAULT_DETECTOR = "IDEA-Research/grounding-dino-tiny"
DEFAULT_SCORER = "openai/clip-vit-base-patch32"
Named = TypeVar("Named")

logger = logging.get_logger(__name__)


def load_detector(
    source: Source, *, device: Device | None = None, **selection: Any
) -> ZeroShotDetector:
    """Load a zero-shot detector, without waiting for a missing network.

    Args:
        source: Hub id or folder.
        device: Target device; by default a GPU if available.
        **selection: See [`ZeroShotDetector`].

    Raises:
        CheckpointError: It cannot be loaded.
        PromptError: There is no such device, or an option is out of range.
    """
    where = None if device is None else read_device(device)
    options = _hub_options(source, "zero-shot detector") | selection
    return ZeroShotDetector.from_pretrained(source, device=where, **options)


def load_scorer(source: Source, *, device: Device | None = None, **options: Any) -> ZeroShotScorer:
    """Load a scorer of names; see [`load_detector`]."""
    where = None if device is None else read_device(device)
    more = _hub_options(source, "zero-shot image classifier") | options
    return ZeroShotScorer.from_pretrained(source, device=where, **more)


def _hub_options(source: Source, kind: str) -> dict[str, Any]:
    """Choose the options of loading; see [`loading_options`].

    Raises:
        CheckpointNotFoundError: It is neither here nor can the Hub be asked.
    """
    try:
        return {**loading_options(source)}
    except CheckpointNotFoundError as error:
        raise CheckpointNotFoundError(
            f"the {kind} {source} is not on this machine and the Hub does not answer. Connect to a "
            f"network, or give the folder of a {kind} of transformers."
        ) from error


class NamedModel(Generic[Named]):
    """The detector or scorer of a pipeline; the default one is loaded when it is needed.

    Args:
        given: A detector or scorer, its source, or None for the default.
        default: Source of the default.
        load: Loads one from a source.

    Raises:
        CheckpointError: The given source cannot be loaded.
    """

    def __init__(self, given: object, default: Source, load: Callable[[Source], Named]) -> None:
        self._default = default
        self._load = load
        self._model: Named | None = None
        if isinstance(given, str | os.PathLike):
            self._model = load(given)
        elif given is not None:
            self._model = cast(Named, given)

    def get(self) -> Named:
        """Return the model.

        Raises:
            CheckpointError: The default one cannot be loaded.
        """
        if self._model is None:
            logger.warning_once(f"Names need a model, and none was given: {self._default}.")
            self._model = self._load(self._default)
        return self._model


def detector_of(given: object, pipeline: AbstractPipeline[Any]) -> NamedModel[Detector]:
    """Make the detector of a pipeline, on its device."""
    return NamedModel(given, DEFAULT_DETECTOR, partial(load_detector, device=pipeline.device))


def scorer_of(given: object, pipeline: AbstractPipeline[Any]) -> NamedModel[Scorer]:
    """Make the scorer of a pipeline, on its device."""
    return NamedModel(given, DEFAULT_SCORER, partial(load_scorer, device=pipeline.device))


def check_named_model(given: object, name: str, method: str) -> None:
    """Check a detector or scorer before a model is loaded.

    Args:
        given: The argument.
        name: Its name.
        method: The method that it must have.

    Raises:
        PromptError: It is neither a source nor an object with that method.
    """
    is_source = given is None or isinstance(given, str | os.PathLike)
    if not is_source and not callable(getattr(given, method, None)):
        raise PromptError(
            f"the {name} is {shown(given)}. Give a Hub id, a folder, or an object with a method "
            f"{method}."
        )
