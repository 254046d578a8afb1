"""The runtimes that run graphs on the CPU: ONNX Runtime and OpenVINO."""

import functools
import hashlib
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sam2_hf.errors import ExportError

AGAIN = "Export the model again."
DTYPE = "sam2_hf.dtype"
WEIGHTS_FILE = "sam2_hf.bin"  # key of the hash of an IR's second file
ONNX_NOTES = "framework"  # where OpenVINO keeps what an ONNX graph says of itself
PLACE_IN_RUNTIME = re.compile(r"^/\S+:[0-9]+ .*\) ")  # a line of its code, and a signature
PLACE_IN_OPENVINO = re.compile(r"Exception from \S+:[0-9]+:|Check '.*' failed at \S+:[0-9]+:")
LONGEST_REASON = 160


class RunnableGraph(Protocol):
    """An opened graph."""

    @property
    def about(self) -> Mapping[str, str]:
        """What the graph says of its model and itself."""

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Compute the outputs, in the order of the graph."""


@dataclass(frozen=True, slots=True)
class GraphRuntime:
    """A library that runs graphs.

    Attributes:
        name: Its name, as in the table of a check.
        package: What has to be installed.
        suffixes: Of the files of a graph; the first one is opened.
        open: Open a graph with as many threads as torch has.
    """

    name: str
    package: str
    suffixes: tuple[str, ...]
    open: Callable[[Path], RunnableGraph]

    def files(self, folder: Path, graph: str) -> tuple[Path, ...]:
        """List the files of a graph."""
        return tuple(folder / f"{graph}{suffix}" for suffix in self.suffixes)


class OnnxGraph:
    """A graph in ONNX Runtime.

    Args:
        path: The `.onnx` file.

    Raises:
        ExportError: It is damaged, or needs another version of ONNX Runtime.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        # a waiting thread that spins takes the core from torch, and from the other graphs
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors alone; they are raised as well
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the kinds are those of a C++ library
            text = " ".join(str(error).split()).rpartition("failed:")[2]
            raise _not_opened(
                path, f"ONNX Runtime {onnxruntime.__version__}", PLACE_IN_RUNTIME.sub("", text)
            ) from error
        self.about: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Compute the outputs."""
        found: list[NDArray[np.float32]] = self._session.run(None, inputs)
        return found


class OpenVinoGraph:
    """A graph in OpenVINO, on the CPU and in float32.

    Args:
        path: The `.xml` file; its weights lie beside it.

    Raises:
        ExportError: One of the files is damaged, or does not belong to the other.
    """

    def __init__(self, path: Path) -> None:
        core = openvino_core()
        try:
            model = core.read_model(path)
        except Exception as error:  # as above
            import openvino

            reason = PLACE_IN_OPENVINO.sub("", " ".join(str(error).split()))
            version = openvino.__version__.partition("-")[0]
            raise _not_opened(path, f"OpenVINO {version}", reason) from error
        self.about: Mapping[str, str] = _notes(model)
        _require_own_weights(path, self.about)
        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        if self.about.get(DTYPE) != "int8":
            options["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0  # products of float32
        self._request = core.compile_model(model, "CPU", options).create_infer_request()
        self._lock = threading.Lock()  # a request computes one thing at a time

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[np.float32]]:
        """Compute the outputs."""
        with self._lock:
            return list(self._request.infer(dict(inputs)).values())


ONNX_RUNTIME = GraphRuntime("ONNX Runtime", "onnxruntime", (".onnx",), OnnxGraph)
OPENVINO = GraphRuntime("OpenVINO", "openvino", (".xml", ".bin"), OpenVinoGraph)
RUNTIMES = (ONNX_RUNTIME, OPENVINO)


@functools.cache
def openvino_core() -> Any:  # noqa: ANN401 - an openvino.Core
    """Return the one `openvino.Core` of this process.

    OpenVINO gives the calling thread an alternate signal stack per core, which a core that is
    closed frees and another one then restores: the next signal that Python handles, such as a
    Ctrl-C, would end the process (seen in 2026.4). A core that stays frees nothing.
    """
    import openvino

    return openvino.Core()


def hash_of(*paths: Path) -> str:
    """Hash files, one after another, with SHA-256; none is read into memory as a whole."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()


def _notes(model: Any) -> Mapping[str, str]:  # noqa: ANN401 - an openvino.Model
    if not model.has_rt_info([ONNX_NOTES]):
        return {}
    notes: Mapping[str, str] = model.get_rt_info([ONNX_NOTES]).value
    return notes


def _require_own_weights(path: Path, about: Mapping[str, str]) -> None:
    """Refuse weights that were not written with the graph: OpenVINO looks at their size alone."""
    weights = path.with_suffix(".bin")
    wanted = about.get(WEIGHTS_FILE)
    if wanted is not None and hash_of(weights) != wanted:
        raise ExportError(f"{weights} is damaged, or not that of {path.name}. {AGAIN}")


def _not_opened(path: Path, runtime: str, reason: str) -> ExportError:
    """Report what a runtime says, without the names of its own functions."""
    short = reason.strip()[:LONGEST_REASON].rstrip(". ")
    return ExportError(f"{path} cannot be opened by {runtime}: {short}. {AGAIN}")
