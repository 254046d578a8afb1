"""Base of detectors and scorers: a model of transformers together with its processor."""

import os
from typing import Any, ClassVar, Self

import torch
from transformers import AutoProcessor

from sam2_hf.errors import PromptError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError, first_line
from sam2_hf.number_reading import is_finite_number, shown


class ZeroShotModel:
    """A model of transformers that understands any words, and its processor.

    Args:
        model: The model, on its device.
        processor: Its processor.
    """

    KIND: ClassVar[str]  # for messages
    AUTO_CLASS: ClassVar[Any]  # of transformers

    def __init__(self, model: Any, processor: Any) -> None:  # noqa: ANN401 - of any architecture
        self.model = model.eval()
        self.processor = processor

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike[str],
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | str | None = None,
        local_files_only: bool = False,
        **options: Any,
    ) -> Self:
        """Load the model and its processor.

        Args:
            source: Hub id or folder.
            device: Target device; by default a GPU if available.
            dtype: Type of its weights; by default float32.
            local_files_only: Whether to stay away from the Hub.
            **options: More arguments of the constructor.

        Raises:
            CheckpointError: It cannot be loaded; the message says why.
            PromptError: An option is out of range.

        Example:
            >>> name = "google/owlv2-base-patch16-ensemble"
            >>> cups = ZeroShotDetector.from_pretrained(name, threshold=0.2)  # doctest: +SKIP
        """
        path = os.path.expanduser(os.fspath(source))
        where = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            processor = AutoProcessor.from_pretrained(path, local_files_only=local_files_only)
            model = cls.AUTO_CLASS.from_pretrained(
                path, local_files_only=local_files_only, dtype=dtype or torch.float32
            )
        except Exception as error:  # transformers raises many types
            raise CheckpointError(
                f"the {cls.KIND} {path} cannot be loaded: {first_line(error)}. Give the Hub id or "
                f"folder of a {cls.KIND} of transformers, and install what it needs."
            ) from error
        return cls(model.to(where), processor, **options)


def check_share(name: str, value: object) -> None:
    """Require a number from 0 to 1.

    Raises:
        PromptError: It is not such a number.
    """
    if not is_finite_number(value) or not 0 <= value <= 1:  # type: ignore[operator]
        raise PromptError(f"{name} is {shown(value)}, it must be a number from 0 to 1.")
