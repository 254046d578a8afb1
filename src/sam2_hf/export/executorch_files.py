"""ExecuTorch's programs of graphs, whose products run in XNNPACK: for phones."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from torch import Tensor

from .graphs import ATTENTION, Graph, quietly
from .photo_graphs import PhotoFormat, Run
from .torch_files import trace

XNNPACK = "executorch.backends.xnnpack.partition.xnnpack_partitioner"
MOST = 16  # objects, and points of each: a program sets memory for so many aside


def _write(graph: Graph, path: Path) -> None:
    program = trace(graph, MOST)
    with quietly():
        exir, xnnpack = import_module("executorch.exir"), import_module(XNNPACK)
        parts = [xnnpack.XnnpackPartitioner()]
        lowered = exir.to_edge_transform_and_lower(program, partitioner=parts)
        path.write_bytes(lowered.to_executorch().buffer)


def _open(path: Path) -> Run:
    runtime = import_module("executorch.runtime").Runtime
    method = runtime.get().load_program(path).load_method("forward")

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        found: Sequence[Tensor] = method.execute(inputs)
        return found

    return run


EXECUTORCH = PhotoFormat(
    title="ExecuTorch",
    suffix=".pte",
    attention=ATTENTION,
    package="executorch",
    write=_write,
    open=_open,
    needs=dict,
    python="""\
from executorch.runtime import Runtime

def load(path):
    method = Runtime.get().load_program(path).load_method("forward")
    return lambda *inputs: method.execute(inputs)

encoder, decoder = load("image_encoder.pte"), load("mask_decoder.pte")""",
    cpp="""\
executorch::extension::Module encoder("image_encoder.pte");
auto maps = encoder.forward(executorch::extension::from_blob(pixels, {1, 3, $side, $side}));""",
    limits=f"At most {MOST} objects with {MOST} points each at a time.",
)
