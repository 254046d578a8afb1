"""The model of an evaluation, as a command line names it, and in what precision it computes."""

import argparse
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch

from sam2_hf import Sam2VideoModel, SessionOptions

from .environment import Environment, describe_environment
from .measured_model import MeasuredModel, describe_model
from .run_settings import Protocol, RunSettings, changed_options

PRECISIONS = ("auto", "float32", "bf16")


@dataclass(frozen=True, slots=True, eq=False)
class LoadedModel:
    """A model that is evaluated.

    Attributes:
        model: In eval mode.
        measured: Which one it is.
        environment: What it runs on.
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
        """Say what a run with this model is about; see `RunSettings`."""
        changed = {} if options is None else changed_options(options)
        return RunSettings(
            protocol, data_set, data, prompt, self.measured, self.environment, changed
        )

    def computing(self) -> AbstractContextManager[None]:
        """Compute in the chosen precision while this lasts."""
        if not self.is_bf16:
            return nullcontext()
        return torch.autocast(self.model.device.type, torch.bfloat16)


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `load_model` reads."""
    parser.add_argument("--model", required=True, help="folder, Hub id or bundled name")
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="bf16 is what the official evaluation computes in; auto takes it on GPUs",
    )


def load_model(options: argparse.Namespace, device: torch.device) -> LoadedModel:
    """Load the model that options name.

    Args:
        options: Of a parser with `add_model_options`.
        device: Where it runs.

    Raises:
        CheckpointError: There is no such model.

    Source: tools/vos_inference.py @ 2b90b9f for bfloat16.
    """
    model = Sam2VideoModel.from_pretrained(options.model).to(device).eval()
    is_bf16 = options.precision == "bf16" or (options.precision == "auto" and device.type == "cuda")
    environment = describe_environment(model.device, model.dtype)
    if is_bf16:
        environment = replace(environment, dtype="bfloat16 by autocast")
    return LoadedModel(model, describe_model(options.model, model), environment, is_bf16)
