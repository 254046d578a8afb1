"""Which model was measured: its name, its weights' hash, its size."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sam2_hf import Sam2VideoModel
from sam2_hf.model.bundled_models import bundled_folder

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """What identifies a model in a table.

    Attributes:
        name: Its folder's name, or what it was called by.
        sha256: Hash of its weights: of the file, as the Hub shows it, or of the tensors if the
            file is not on this machine under a known name.
        parameters: How many numbers it has learned.
        file_bytes: Size of the file; 0 if it is not known.
        image_size: Side of its square input, model pixels.
    """

    name: str
    sha256: str
    parameters: int
    file_bytes: int
    image_size: int


def describe_model(source: str, model: Sam2VideoModel) -> MeasuredModel:
    """Describe a loaded model.

    Args:
        source: What it was loaded from: a folder, a file, the name of a bundled one, or a Hub id.
        model: The model.
    """
    file = weights_file(source)
    return MeasuredModel(
        name=Path(source).name,
        sha256=file_hash(file) if file else _tensor_hash(model),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        file_bytes=file.stat().st_size if file else 0,
        image_size=model.image_size,
    )


def weights_file(source: str) -> Path | None:
    """Find the weights of a model on this machine; None if they lie in the Hub's cache."""
    path = bundled_folder(source) or Path(source).expanduser()
    return next((file for file in (path, path / WEIGHTS) if file.is_file()), None)


def file_hash(path: Path) -> str:
    """Hash a file as the Hub shows it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensor_hash(model: Sam2VideoModel) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return sha.hexdigest()
