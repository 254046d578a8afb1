"""Identity of a measured model: name, hash of weights, size."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sam2_hf import Sam2VideoModel
from sam2_hf.export import ExportedSam2
from sam2_hf.model.checkpoints.bundled_models import bundled_folder

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class MeasuredModel:
    """Identity of a model in a table.

    Attributes:
        name: Name of its folder, or as given.
        sha256: Hash of its weights: of the file, as on the Hub, of all graphs of an export, or of
            the tensors if there is no local file of a known name.
        parameters: Number of parameters.
        file_bytes: Size of the file; 0 if unknown.
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
        source: Its source: a folder, a file, a bundled name, or a Hub id.
        model: The model.
    """
    if isinstance(model, ExportedSam2):
        name, sizes = Path(source).name, (model.num_parameters, model.num_bytes)
        return MeasuredModel(name, model.fingerprint, *sizes, model.image_size)
    file = weights_file(source)
    return MeasuredModel(
        name=Path(source).name,
        sha256=file_hash(file) if file else _tensor_hash(model),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        file_bytes=file.stat().st_size if file else 0,
        image_size=model.image_size,
    )


def weights_file(source: str) -> Path | None:
    """Find the local weights of a model; None if they are in the Hub's cache."""
    path = bundled_folder(source) or Path(source).expanduser()
    return next((file for file in (path, path / WEIGHTS) if file.is_file()), None)


def file_hash(path: Path) -> str:
    """Hash a file as on the Hub."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _tensor_hash(model: Sam2VideoModel) -> str:
    sha = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        sha.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return sha.hexdigest()
