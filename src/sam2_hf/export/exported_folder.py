"""An exported folder of any format: what it is made of, and how its numbers are compared."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sam2_hf.errors import ExportError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel

from .exported_sam2 import ExportedSam2
from .graph_folder import GraphFolder
from .graph_runtimes import OPENVINO
from .onnx_files import WEIGHTS, weights_of
from .parity import Parity, measure_parity, measure_photo_parity
from .photo_folder import PHOTO_FORMATS, PhotoFolder, is_photo_export


@dataclass(frozen=True, slots=True, eq=False)
class ExportedFolder:
    """An opened export.

    Attributes:
        folder: Its path.
        model_name: The model it was made of; empty if unknown.
        weights: Mark of that model's weights.
        image_size: Side of the square input, model pixels.
        format_name: As `sam2-hf export --format` calls it.
        dtype: How weights are stored.
        runtime: What runs it, in words.
        measure: Compare it with the model.
    """

    folder: Path
    model_name: str
    weights: str
    image_size: int
    format_name: str
    dtype: str
    runtime: str
    measure: Callable[[Sam2VideoModel], Iterator[Parity]]

    def require_made_of(self, model: Sam2VideoModel, name: str) -> None:
        """Refuse to compare the export with a model that it was not made of.

        Args:
            model: The model.
            name: Its name in the message.

        Raises:
            ExportError: It has other weights.
        """
        if weights_of(model) != self.weights:
            raise ExportError(
                f"{self.folder} was not made from {name}: the weights differ. Give the model with "
                "--reference, or export it again."
            )


def open_export(folder: Path) -> ExportedFolder:
    """Open an export of any format.

    Raises:
        ExportError: It cannot be used.
        MissingPackageError: What runs it is not installed.
    """
    if is_photo_export(folder):
        photo = PhotoFolder(folder)
        return ExportedFolder(
            photo.folder,
            photo.model_name,
            photo.weights,
            photo.image_size,
            photo.format_name,
            "float32",
            PHOTO_FORMATS[photo.format_name].title,
            lambda model: measure_photo_parity(model, photo),
        )
    graphs = GraphFolder(folder)
    return ExportedFolder(
        graphs.folder,
        graphs.about["sam2_hf.model"],
        graphs.about[WEIGHTS],
        graphs.image_size,
        "openvino" if graphs.runtime is OPENVINO else "onnx",
        graphs.about["sam2_hf.dtype"],
        f"{graphs.runtime.name}, ONNX opset {graphs.about['sam2_hf.opset']}",
        lambda model: measure_parity(model, ExportedSam2(graphs)),
    )
