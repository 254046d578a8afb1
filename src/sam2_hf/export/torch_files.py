"""PyTorch's own formats of a graph: exported programs, AOTInductor's packages, TorchScript."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim, ExportedProgram

from sam2_hf.errors import ExportError
from sam2_hf.model.checkpoints.checkpoint_errors import first_line

from .graphs import Graph, quietly
from .photo_graphs import PhotoFormat, Run

ATTENTION = "sdpa"  # faster here than the products and the softmax that other runtimes need
COMPILER = "g++"  # which AOTInductor calls where CXX names no other


def trace(graph: Graph, most: int | None = None) -> ExportedProgram:
    """Trace a module into a program.

    Args:
        graph: The graph.
        most: The largest size of a dimension that varies; None for any size.
    """
    names = {name for dimensions in graph.dynamic.values() for name in dimensions.values()}
    sizes = {name: Dim(name, min=1, max=most) for name in names}
    shapes = tuple(
        {place: sizes[name] for place, name in graph.dynamic.get(key, {}).items()} or None
        for key in graph.inputs
    )
    with quietly(), torch.no_grad():
        inputs = tuple(graph.inputs.values())
        return torch.export.export(graph.module.eval(), inputs, dynamic_shapes=shapes)


def _write_program(graph: Graph, path: Path) -> None:
    program = trace(graph)
    with quietly():
        torch.export.save(program, path)


def _open_program(path: Path) -> Run:
    return _runner(torch.export.load(path).module())


def _write_package(graph: Graph, path: Path) -> None:
    _require_compiler()
    program = trace(graph)
    try:
        with quietly():
            torch._inductor.aoti_compile_and_package(program, package_path=str(path))
    except Exception as error:  # the kinds are those of a compiler
        raise ExportError(
            f"AOTInductor could not compile {graph.name}: {first_line(error)}. Check the compiler, "
            "or export to torch-export."
        ) from error


def _open_package(path: Path) -> Run:
    return _runner(torch._inductor.aoti_load_package(str(path)))


def _write_script(graph: Graph, path: Path) -> None:
    with quietly(), torch.no_grad():
        inputs = tuple(graph.inputs.values())
        # a second trace would only compare two equal ones
        torch.jit.save(torch.jit.trace(graph.module.eval(), inputs, check_trace=False), str(path))


def _open_script(path: Path) -> Run:
    return _runner(torch.jit.load(str(path)))


def _runner(opened: Any) -> Run:  # noqa: ANN401 - each format has a type of its own
    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            found: Sequence[Tensor] = opened(*inputs)
        return found

    return run


def _require_compiler() -> None:
    """Refuse to write a package without a compiler; it is opened without one."""
    compiler = os.environ.get("CXX", COMPILER)
    if shutil.which(compiler) is None:
        raise ExportError(
            f"AOTInductor needs a C++ compiler, and there is no {compiler}. Install gcc with "
            f"{COMPILER}, or set CXX to another compiler."
        )


def _compiled_for() -> Mapping[str, str]:
    """List what a package's machine code depends on."""
    return {"torch": torch.__version__, "CPU": torch.backends.cpu.get_cpu_capability()}


TORCH_EXPORT = PhotoFormat(
    title="torch.export",
    suffix=".pt2",
    attention=ATTENTION,
    package=None,
    write=_write_program,
    open=_open_program,
    needs=dict,
    python="""\
encoder = torch.export.load("image_encoder.pt2").module()
decoder = torch.export.load("mask_decoder.pt2").module()""",
    cpp="""\
// A program is compiled first, in Python, for the CPU or GPU at hand; see AOTInductor:
// torch._inductor.aoti_compile_and_package(torch.export.load("image_encoder.pt2"), ...)""",
    limits="They run in Python, and are what compilers for PyTorch begin with.",
)
AOTINDUCTOR = PhotoFormat(
    title="AOTInductor",
    suffix=".pt2",
    attention=ATTENTION,
    package=None,
    write=_write_package,
    open=_open_package,
    needs=_compiled_for,
    python="""\
encoder = torch._inductor.aoti_load_package("image_encoder.pt2")
decoder = torch._inductor.aoti_load_package("mask_decoder.pt2")""",
    cpp="""\
torch::inductor::AOTIModelPackageLoader encoder("image_encoder.pt2");
std::vector<torch::Tensor> maps = encoder.run({pixels});""",
    limits="They are machine code for this version of PyTorch and this kind of CPU.",
)
TORCHSCRIPT = PhotoFormat(
    title="TorchScript",
    suffix=".pt",
    attention=ATTENTION,
    package=None,
    write=_write_script,
    open=_open_script,
    needs=dict,
    python="""\
encoder = torch.jit.load("image_encoder.pt")
decoder = torch.jit.load("mask_decoder.pt")""",
    cpp="""\
torch::jit::Module encoder = torch::jit::load("image_encoder.pt");
auto maps = encoder.forward({pixels}).toTuple()->elements();""",
    limits="PyTorch calls TorchScript deprecated; prefer torch-export or aotinductor.",
)
