"""The README of a folder of ONNX graphs, with the commands that build TensorRT engines of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.version import __version__

from .graphs import Graph

README, TEMPLATE = "README.md", "readme_onnx.md"
INDENT = " \\\n    "  # continues a command on the next line

Sizes = tuple[int, int, int]  # least, usual, most


def onnx_readme(
    model: Sam2VideoModel, graphs: Sequence[Graph], about: Mapping[str, str], folder: str
) -> str:
    """Write the README.

    Args:
        model: The exported model.
        graphs: Its graphs.
        about: What each of them says of itself.
        folder: Name of the folder.
    """
    sizes = dimension_sizes(model)
    varying = {
        name: None
        for graph in graphs
        for dimensions in graph.dynamic.values()
        for name in dimensions.values()
    }
    rows = [f"| {name} | {' | '.join(map(str, sizes[name]))} |" for name in varying]
    table = "\n".join(["| dimension | minimum | typical | maximum |", "|---|---|---|---|", *rows])
    text = Path(__file__).with_name(TEMPLATE).read_text(encoding="utf-8")
    return Template(text).substitute(
        model=about["sam2_hf.model"] or "MODEL",
        side=about["sam2_hf.image_size"],
        dtype=about["sam2_hf.dtype"],
        version=__version__,
        folder=folder,
        sizes=table if rows else "No dimension varies.",
        trtexec="\n".join(trtexec_command(graph, sizes) for graph in graphs),
    )


def dimension_sizes(model: Sam2VideoModel) -> Mapping[str, Sizes]:
    """List sizes of the dimensions that vary: what a tracker with its usual settings asks for."""
    memories, pointers = model.num_maskmem, model.config.max_object_pointers_in_encoder
    low, side = model.mask_input_size[0], model.image_size
    return {
        "objects": (1, 1, 8),
        "points": (1, 2, 16),
        "memories": (1, memories, 2 * memories),
        "pointers": (1, pointers, 2 * pointers),
        "rows": (low, low, side),
        "columns": (low, low, side),
    }


def trtexec_command(graph: Graph, sizes: Mapping[str, Sizes]) -> str:
    """Write the command that builds an engine of a graph.

    Args:
        graph: The graph.
        sizes: Sizes of each dimension that varies, by its name.
    """
    parts = [f"trtexec --onnx={graph.name}.onnx --saveEngine={graph.name}.engine"]
    for place, option in enumerate(("minShapes", "optShapes", "maxShapes")):
        shapes = []
        for name, dimensions in graph.dynamic.items():
            shape = list(graph.inputs[name].shape)
            for dimension, kind in dimensions.items():
                shape[dimension] = sizes[kind][place]
            shapes.append(f"{name}:{'x'.join(map(str, shape))}")
        if shapes:
            parts.append(f"--{option}={','.join(shapes)}")
    return INDENT.join(parts)
