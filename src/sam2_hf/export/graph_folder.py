"""An exported folder, opened: its graphs are those of one model and can be run."""

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sam2_hf.errors import ExportError
from sam2_hf.model.configuration_sam2_video import Sam2VideoConfig

from .onnx_files import CONFIG, FORMAT, GRAPHS, SUFFIX, WEIGHTS, require_package

# what all graphs of a folder have to agree on, and what to call it
SHARED = {
    WEIGHTS: "weights",
    "sam2_hf.config": "config",
    "sam2_hf.image_size": "input size",
    "sam2_hf.dtype": "dtype",
}
AGAIN = "Export the model again."
PLACE_IN_RUNTIME = re.compile(r"^/\S+:[0-9]+ .*\) ")  # a line of its code, and a signature


class GraphFolder:
    """The graphs of a folder, ready to run on the CPU.

    Args:
        folder: What `export_onnx` wrote.

    Raises:
        ExportError: A graph is missing, damaged, or of another model than the others.
        MissingPackageError: onnxruntime is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        require_package("onnxruntime")
        self.folder = Path(folder).expanduser()
        missing = [name for name in GRAPHS if not self._path(name).is_file()]
        if missing:
            raise ExportError(
                f"{self.folder} has no graph {missing[0]}{SUFFIX}, of {len(GRAPHS)} that belong "
                f"there. {AGAIN}"
            )
        self._sessions = {name: open_graph(self._path(name)) for name in GRAPHS}
        self.about = self._shared_description()
        self.config = self._read_config()

    def __call__(self, name: str, **inputs: Tensor) -> list[Tensor]:
        """Run a graph.

        Args:
            name: Which.
            **inputs: By the names of the graph.
        """
        feeds = {key: one.numpy(force=True) for key, one in inputs.items()}
        found: list[NDArray[np.float32]] = self._sessions[name].run(None, feeds)
        return [torch.from_numpy(values) for values in found]

    @property
    def image_size(self) -> int:
        """Side of the square input, model pixels."""
        return int(self.about["sam2_hf.image_size"])

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(self._path(name).stat().st_size for name in GRAPHS)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all graphs."""
        digest = hashlib.sha256()
        for name in GRAPHS:
            digest.update(self._path(name).read_bytes())
        return digest.hexdigest()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{SUFFIX}"

    def _shared_description(self) -> Mapping[str, str]:
        """Return what the graphs say of their model; all of them have to say the same."""
        about = {name: _description(one) for name, one in self._sessions.items()}
        for name, own in about.items():
            if own.get("sam2_hf.format") != FORMAT or own.get("sam2_hf.graph") != name:
                raise ExportError(
                    f"{self._path(name)} is not the graph {name} of an export by this version "
                    f"({own.get('sam2_hf.format', 'no format')!r:.60}, {FORMAT!r} is read). {AGAIN}"
                )
        first = about[GRAPHS[0]]
        for name, own in about.items():
            for key, word in SHARED.items():
                if own.get(key) != first.get(key):
                    raise ExportError(
                        f"{self._path(name)} is of another model than {GRAPHS[0]}{SUFFIX}: "
                        f"other {word}. {AGAIN}"
                    )
        return first

    def _read_config(self) -> Sam2VideoConfig:
        """Read the config that the graphs carry, and compare its input size with the folder's."""
        config = Sam2VideoConfig.from_dict(json.loads(self.about["sam2_hf.config"]))
        path = self.folder / CONFIG
        try:
            beside = json.loads(path.read_text(encoding="utf-8"))
            side = beside["prompt_encoder_config"]["image_size"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ExportError(f"{path} cannot be read: {error}. {AGAIN}") from error
        if side != self.image_size:
            raise ExportError(
                f"{path} says that the input has {side} pixels, and the graphs were made for "
                f"{self.image_size}. Export the model with --image-size {side}."
            )
        return config


def open_graph(path: Path) -> Any:  # noqa: ANN401 - an onnxruntime.InferenceSession
    """Open a graph on the CPU, with as many threads as torch has.

    Raises:
        ExportError: It is damaged, or needs another version of ONNX Runtime.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # a waiting thread that spins takes the core from torch, and from the other graphs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3  # errors alone; they are raised as well
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # the kinds are those of a C++ library
        raise ExportError(
            f"{path} cannot be opened by ONNX Runtime {onnxruntime.__version__}: {_reason(error)}. "
            f"{AGAIN}"
        ) from error


def _reason(error: Exception) -> str:
    """Shorten what ONNX Runtime says: without the file's name, and its own functions' names."""
    text = " ".join(str(error).split()).rpartition("failed:")[2]
    return PLACE_IN_RUNTIME.sub("", text)[:160].rstrip(".")


def _description(session: Any) -> Mapping[str, str]:  # noqa: ANN401 - as `open_graph` returns it
    found: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    return found
