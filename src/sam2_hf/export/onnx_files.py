"""Folders of ONNX graphs: writing one from a model, and what each file says of itself."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import torch

from sam2_hf.atomic_write import atomic_folder
from sam2_hf.errors import ExportError, MissingPackageError, OutputError
from sam2_hf.model.checkpoints.weight_fingerprint import DIGITS, weight_fingerprint
from sam2_hf.model.configs.configuration_checks import require_buildable
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.model.kernels.int8_linear import require_float_weights
from sam2_hf.model.memory_attention import RotaryAttention
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.processing.bundled_processors import checkpoint_source
from sam2_hf.processing.processor_settings import FILES as PROCESSOR_FILES
from sam2_hf.version import __version__
from sam2_hf.video.video_processing_sam2_video import checkpoint_pixels

from .fixed_shapes import FIXED, FixedShapes, limited
from .graph_runtimes import DTYPE, OPENVINO, RUNTIMES, GraphRuntime
from .graphs import ATTENTION, Graph, graphs_of, merge_values, quietly
from .onnx_readme import README, onnx_readme
from .quantization import quantize

GraphDtype = Literal["float32", "float16", "int8", "int8-weights", "int4-weights"]
DTYPES: tuple[str, ...] = get_args(GraphDtype)
QUANTIZED = DTYPES[2:]
FORMAT = "sam2_hf.onnx.1"
WEIGHTS = "sam2_hf.weights"  # key of the mark of the model's weights and config
OPSET = 20  # the first one with GELU as one operation
GRAPHS = (
    *("image_encoder", "no_memory", "mask_decoder", "object_pointer", "mask_prompt"),
    *("memory_attention", "memory_encoder"),
)
SUFFIX = ".onnx"
RUNNER = "numpy_runner.py"
CONFIG = "config.json"
INSTALL = "Install it with pip install 'sam2-hf[{extra}]'."

Progress = Callable[[str], None]
WriteGraph = Callable[[Graph, Path, Mapping[str, str]], None]


def export_onnx(
    model: Sam2VideoModel,
    folder: str | Path,
    *,
    dtype: GraphDtype = "float32",
    fixed: bool = False,
    on_graph: Progress | None = None,
) -> Path:
    """Write a folder of graphs that need no PyTorch, with a runner to copy.

    Args:
        model: The model; it stays as it is.
        folder: Where to; an earlier export there is replaced as a whole.
        dtype: "float32"; "float16" for half the size; "int8" for weights of linear layers in 8
            bits, whose products are taken in whole numbers; "int8-weights" or "int4-weights" to
            store them so and take products of float32. Inputs and outputs are always float32.
        fixed: Whether each graph is for one object and has fixed shapes; see [`FixedShapes`].
        on_graph: Called with the name of each graph before it is made.

    Returns:
        The folder.

    Raises:
        ExportError: There is no such dtype, or something else lies in the folder.
        MissingPackageError: onnx or onnxscript is not installed.
        OutputError: The folder cannot be written.
    """
    require_dtype(dtype)
    require_package("onnx", "onnxscript", *(["onnxruntime"] if dtype in QUANTIZED else []))
    stored = torch.float16 if dtype == "float16" else torch.float32

    def write(graph: Graph, path: Path, about: Mapping[str, str]) -> None:
        write_graph(graph, path, about)
        if dtype in QUANTIZED:
            quantize(path, dtype)

    return write_folder(model, folder, (stored, dtype), write, fixed=fixed, on_graph=on_graph)


def write_folder(
    model: Sam2VideoModel,
    folder: str | Path,
    dtypes: tuple[torch.dtype, str],
    write: WriteGraph,
    *,
    fixed: bool,
    on_graph: Progress | None,
) -> Path:
    """Write a folder of graphs, whatever runs them.

    Args:
        model: As of `export_onnx`.
        folder: As of `export_onnx`.
        dtypes: Type of the weights that are exported, and what the graphs call it.
        write: Writes a graph to the path of its `.onnx` file, or other files beside that.
        fixed: As of `export_onnx`.
        on_graph: As of `export_onnx`.
    """
    target = Path(folder).expanduser()
    _require_free(target)
    ready = exportable_copy(model, dtypes[0])
    config = limited(model.config) if fixed else model.config
    shapes = FixedShapes.of(config) if fixed else None
    about = _about(model, config, shapes, dtypes[1])
    with export_draft(target) as draft:
        for graph in graphs_of(ready, shapes):
            if on_graph is not None:
                on_graph(graph.name)
            write(graph, draft / f"{graph.name}{SUFFIX}", about)
        config.save_pretrained(draft)
        _copy_processor(model, draft)
        if (draft / f"{GRAPHS[0]}{SUFFIX}").exists():
            shutil.copyfile(Path(__file__).with_name(RUNNER), draft / RUNNER)
            text = onnx_readme(ready, graphs_of(ready, shapes), about, target.name)
            (draft / README).write_text(text, encoding="utf-8")
    return target


@contextmanager
def export_draft(target: Path) -> Iterator[Path]:
    """Yield a folder that becomes the export when all is written.

    Args:
        target: The export; an earlier one is replaced as a whole.

    Raises:
        OutputError: It cannot be written; an earlier one stays.
    """
    try:
        with atomic_folder(target) as draft:
            yield draft
    except OSError as error:
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}. No partial file was left behind. "
            "Free some space or choose a folder you may write to."
        ) from error


def exportable_copy(model: Sam2VideoModel, dtype: torch.dtype) -> Sam2VideoModel:
    """Copy a model to the CPU, with plain modules and an attention that every runtime knows.

    Args:
        model: It stays as it is.
        dtype: Type of the weights.

    Raises:
        ExportError: Its memory attention pools.
        CheckpointError: Its weights were rounded to 8 bits.
    """
    if getattr(model.config, "memory_attention_pooling", "none") != "none":
        raise ExportError(
            "memory attention of this EfficientTAM pools its memories from the second on, which a "
            "graph cannot decide. Export one without pooling: memory_attention_pooling is "
            f"{model.config.memory_attention_pooling!r}."
        )
    require_float_weights(model)
    ready = copy.deepcopy(model).to("cpu", torch.float32).eval()
    ready.requires_grad_(requires_grad=False).fast = False
    for part in ready.modules():
        if hasattr(part, "config"):
            part.config._attn_implementation = ATTENTION
        if isinstance(part, RotaryAttention):
            merge_values(part)
    return ready.to(dtype)


def weights_of(model: Sam2VideoModel) -> str:
    """Mark a model's weights and config, as its graphs do."""
    mark = weight_fingerprint(model.config, model.parameters(), buffers=model.buffers())
    return mark[-DIGITS:]


def with_input_size(model: Sam2VideoModel, image_size: int | None) -> Sam2VideoModel:
    """Return a model for another input size, or the same one.

    Args:
        model: It stays as it is.
        image_size: Side of the input, see `with_image_size`; None for the model's own.

    Raises:
        ExportError: The model cannot have this size.
    """
    if image_size is None or image_size == model.image_size:
        return model
    try:
        config = with_image_size(model.config, image_size)
        require_buildable(config, f"image_size={image_size}")
    except ValueError as error:
        raise ExportError(str(error)) from error
    config.name_or_path = model.name_or_path
    resized = Sam2VideoModel(config)
    resized.load_state_dict(model.state_dict())
    return resized.to(model.dtype).eval()


def is_export(folder: str | Path) -> bool:
    """Whether a folder holds graphs, if only some of them."""
    where = Path(folder).expanduser()
    return where.is_dir() and bool(runtimes_of(where))


def runtimes_of(folder: Path) -> list[GraphRuntime]:
    """List the runtimes that some graph of a folder is for."""
    return [
        runtime
        for runtime in RUNTIMES
        if any(runtime.files(folder, name)[0].exists() for name in GRAPHS)
    ]


def require_dtype(dtype: str) -> None:
    """Refuse a type of weights that an export does not know.

    Raises:
        ExportError: It is unknown.
    """
    if dtype not in DTYPES:
        raise ExportError(f"dtype {dtype!r} cannot be exported. Choose {', '.join(DTYPES)}.")


def require_package(*names: str) -> None:
    """Refuse to go on without packages of the extras `export` and `openvino`.

    Raises:
        MissingPackageError: One is not installed.
    """
    for name in names:
        try:
            __import__(name)
        except ImportError as error:
            extra = name if name == OPENVINO.package else "export"
            raise MissingPackageError(
                name, purpose="Export", install=INSTALL.format(extra=extra)
            ) from error


def _require_free(folder: Path) -> None:
    """Refuse to replace anything but an earlier export."""
    if folder.is_dir() and not is_export(folder) and any(folder.iterdir()):
        raise ExportError(f"{folder} holds something other than an export. Give an empty folder.")


def _about(
    model: Sam2VideoModel, config: Sam2VideoConfig, fixed: FixedShapes | None, dtype: str
) -> dict[str, str]:
    """Describe a model as every graph of it does."""
    pixels = checkpoint_pixels(model)
    name = model.name_or_path
    name = Path(name).name if Path(name).exists() else name  # no place on this machine
    fields = json.loads(config.to_json_string(use_diff=False)) | {"_name_or_path": name}
    return {
        "sam2_hf.format": FORMAT,
        "sam2_hf.model": name,
        WEIGHTS: weights_of(model),
        "sam2_hf.parameters": str(sum(weight.numel() for weight in model.parameters())),
        "sam2_hf.version": __version__,
        "sam2_hf.opset": str(OPSET),
        DTYPE: dtype,
        FIXED: "" if fixed is None else fixed.to_json(),
        "sam2_hf.image_size": str(model.image_size),
        "sam2_hf.pixels": json.dumps(
            {"factor": pixels.rescale_factor, "mean": pixels.mean, "std": pixels.std}
        ),
        "sam2_hf.config": json.dumps(fields, sort_keys=True),
    }


def write_graph(graph: Graph, path: Path, about: Mapping[str, str]) -> None:
    """Trace a module and write its graph."""
    import onnx

    shapes = tuple(dict(graph.dynamic.get(name, {})) for name in graph.inputs)
    with quietly(), torch.no_grad():
        program = torch.onnx.export(
            graph.module.eval(),
            tuple(graph.inputs.values()),
            dynamo=True,
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=shapes,
            opset_version=OPSET,
            verbose=False,
        )
    proto = cast(torch.onnx.ONNXProgram, program).model_proto
    _forget_origin(proto)
    onnx.helper.set_model_props(proto, {**about, "sam2_hf.graph": graph.name})
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _forget_origin(proto: Any) -> None:  # noqa: ANN401 - an onnx.ModelProto
    """Drop what the exporter notes of each node: lines of code and paths of this machine."""
    for holder in (proto.graph, *proto.functions):
        del holder.metadata_props[:]
        for node in holder.node:
            node.doc_string = ""
            del node.metadata_props[:]
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        del value.metadata_props[:]
    for weight in proto.graph.initializer:
        del weight.metadata_props[:]


def _copy_processor(model: Sam2VideoModel, folder: Path) -> None:
    """Copy the settings of the processor that lies beside the model, for the model's input size."""
    source = Path(checkpoint_source(model.name_or_path)) if model.name_or_path else None
    for name in PROCESSOR_FILES:
        if source is not None and (source / name).is_file():
            settings = json.loads((source / name).read_text(encoding="utf-8"))
            text = json.dumps(_for_side(settings, model.image_size), indent=2, sort_keys=True)
            (folder / name).write_text(f"{text}\n", encoding="utf-8")


def _for_side(settings: dict[str, Any], side: int) -> dict[str, Any]:
    """Return settings of a processor, or of one of its parts, for another input size."""
    sizes = {"size": {"height": side, "width": side}, "target_size": side}
    parts = {
        name: _for_side(value, side)
        for name, value in settings.items()
        if isinstance(value, dict) and name.endswith("processor")
    }
    return settings | parts | {name: size for name, size in sizes.items() if name in settings}
