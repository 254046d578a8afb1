"""Model of an evaluation, loaded from command-line options, with its precision."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from sam2_hf import Sam2VideoModel, SessionOptions
from sam2_hf.pipelines.loading import load_video_model

from .environment import Environment, describe_environment
from .measured_model import MeasuredModel, describe_model
from .run_settings import Protocol, RunSettings, changed_options


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model to evaluate.

    Attributes:
        model: In eval mode.
        measured: Its identity.
        environment: Its environment.
        is_bf16: Whether autocast computes in bfloat16.
    """

    model: Sam2VideoModel
    measured: MeasuredModel
    environment: Environment
    is_bf16: bool

    def settings(
        self,
        protocol: Protocol,
        data_set: str,
        data: str,
        prompt: str,
        options: SessionOptions | None = None,
    ) -> RunSettings:
        """Return the settings of a run with this model; see `RunSettings`."""
        changed = {} if options is None else changed_options(options)
        return RunSettings(
            protocol, data_set, data, prompt, self.measured, self.environment, changed
        )

    def computing(self) -> AbstractContextManager[None]:
        """Return a context that computes in the chosen precision."""
        if not self.is_bf16:
            return nullcontext()
        return torch.autocast(self.model.device.type, torch.bfloat16)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `load_model` reads."""
    parser.add_argument("--model", required=True, help="folder, Hub id or bundled name")
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "bf16"),
        default="auto",
        help="bf16 is the official evaluation's; auto uses it on GPUs",
    )


def load_model(options: argparse.Namespace, device: torch.device) -> LoadedModel:
    """Load the model of the options.

    Args:
        options: Of a parser with `add_model_options`.
        device: Its device.

    Raises:
        CheckpointError: There is no such model.

    Source: tools/vos_inference.py @ 2b90b9f for bfloat16.
    """
    model = load_video_model(options.model, device=device, dtype="auto")
    is_bf16 = options.precision == "bf16" or (options.precision == "auto" and device.type == "cuda")
    environment = describe_environment(model.device, model.dtype)
    if is_bf16:
        environment = replace(environment, dtype="bfloat16 by autocast")
    return LoadedModel(model, describe_model(options.model, model), environment, is_bf16)
