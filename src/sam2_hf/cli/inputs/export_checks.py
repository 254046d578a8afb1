"""Checks of `sam2-hf export` that need neither torch nor a model."""

import argparse
import importlib

from sam2_hf.errors import ExportError

WHOLE_FORMATS = ("onnx", "openvino")  # every part of the model; the others answer photos only
PHOTO_FORMATS = ("torch-export", "aotinductor", "torchscript", "executorch")
FORMATS = (*WHOLE_FORMATS, *PHOTO_FORMATS)
# what other tools make of the ONNX files, and how
BEYOND = {"tensorrt": "trtexec", "coreml": "ONNX Runtime's CoreML execution provider"}
# pixels: of the coarsest features, and of SAM 3's patches; the model knows which is its own
SIZE_STEPS = (32, 14)


def require_possible(arguments: argparse.Namespace) -> None:
    """Refuse a format, a form of it, or an input size that cannot be exported.

    Raises:
        ExportError: It cannot.
    """
    name: str = arguments.format
    if name in BEYOND:
        raise ExportError(
            f"{name} is not written here: {BEYOND[name]} reads the ONNX files. "
            "Export to onnx; README.md in that folder has the commands, which are untested."
        )
    if name not in FORMATS:
        raise ExportError(f"there is no export to {name!r}. Choose {', '.join(FORMATS)}.")
    size: int | None = arguments.image_size
    if size is not None and all(size % step for step in SIZE_STEPS):
        raise ExportError(
            f"--image-size is {size}; it must be a multiple of {SIZE_STEPS[0]}, for SAM 3 of "
            f"{SIZE_STEPS[1]}."
        )
    if name in WHOLE_FORMATS:
        return
    if arguments.dtype != "float32":
        raise ExportError(f"{name} keeps float32, not {arguments.dtype}. Leave --dtype out.")
    if arguments.fixed:
        raise ExportError(f"{name} has no fixed shapes. Leave --fixed out.")


def require_repo_name(name: str) -> None:
    """Refuse a name that a repo of the Hub cannot have.

    Raises:
        ExportError: It is not `owner/name` or `name`.
    """
    # Imported here, since its import takes longer than all other checks together.
    hub = importlib.import_module("huggingface_hub.utils")
    try:
        hub.validate_repo_id(name)
    except ValueError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ExportError(
            f"{name!r} is not a valid name for a Hub repo: {reason}. Give owner/name."
        ) from error
