"""Loading of a model of transformers together with its processor."""

import os
from typing import Any

import torch

from sam2_hf.errors import PromptError
from sam2_hf.model.checkpoint_errors import CheckpointError, first_line
from sam2_hf.number_reading import is_finite_number, shown


def load_pair(
    source: str | os.PathLike[str],
    kind: str,
    classes: tuple[Any, Any],
    *,
    local_files_only: bool,
    dtype: torch.dtype | str | None,
    device: torch.device | str | None,
) -> tuple[Any, Any]:
    """Load a model in eval mode and its processor.

    Args:
        source: Hub id or folder.
        kind: What it is, for messages.
        classes: transformers' Auto classes of model and processor.
        local_files_only: Whether to stay away from the Hub.
        dtype: Type of the weights; float32 if None.
        device: Target device; a GPU if available if None.

    Raises:
        CheckpointError: It cannot be loaded.
    """
    path = os.path.expanduser(os.fspath(source))
    where = device or ("cuda" if torch.cuda.is_available() else "cpu")
    of_model, of_processor = classes
    try:
        processor = of_processor.from_pretrained(path, local_files_only=local_files_only)
        model = of_model.from_pretrained(
            path, local_files_only=local_files_only, dtype=dtype or torch.float32
        )
    except Exception as error:  # transformers raises many types
        raise CheckpointError(
            f"the {kind} {path} cannot be loaded: {first_line(error)}. Give the Hub id or folder "
            f"of a {kind} of transformers, and install what it needs."
        ) from error
    return model.to(where).eval(), processor


def check_share(name: str, value: object) -> None:
    """Require a number from 0 to 1.

    Raises:
        PromptError: It is no such number.
    """
    if not is_finite_number(value) or not 0 <= value <= 1:  # type: ignore[operator]
        raise PromptError(f"{name} is {shown(value)}, it must be a number from 0 to 1.")
