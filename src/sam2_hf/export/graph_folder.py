"""An exported folder, opened: its graphs are those of one model and can be run."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from sam2_hf.errors import ExportError
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

from .fixed_shapes import FIXED, FixedShapes
from .graph_runtimes import AGAIN, DTYPE, ONNX_RUNTIME, GraphRuntime, hash_of
from .onnx_files import CONFIG, FORMAT, GRAPHS, WEIGHTS, require_package, runtimes_of

# what all graphs of a folder have to agree on, and what to call it
SHARED = {
    WEIGHTS: "weights",
    FIXED: "fixed shapes",  # before the config, which then limits the prompted frames
    "sam2_hf.config": "config",
    "sam2_hf.image_size": "input size",
    DTYPE: "dtype",
}


class GraphFolder:
    """The graphs of a folder, ready to run on the CPU.

    Args:
        folder: What `export_onnx` or `export_openvino` wrote.

    Attributes:
        runtime: What runs them.
        about: What each of them says of the model.
        config: Config of the model.
        fixed: Their shapes, if those are fixed.

    Raises:
        ExportError: A graph is missing, damaged, or of another model than the others.
        MissingPackageError: The runtime is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder).expanduser()
        self.runtime = runtime_of(self.folder)
        require_package(self.runtime.package)
        missing = [path for path in self._files() if not path.is_file()]
        if missing:
            raise ExportError(
                f"{self.folder} has no graph {missing[0].name}, of {len(GRAPHS)} that belong "
                f"there. {AGAIN}"
            )
        self._graphs = {name: self.runtime.open(self._path(name)) for name in GRAPHS}
        self.about = self._shared_description()
        self.config = self._read_config()
        self.fixed = FixedShapes.read(self.about)

    def __call__(self, name: str, **inputs: Tensor) -> list[Tensor]:
        """Run a graph; one of fixed shapes for one object after another.

        Args:
            name: Which.
            **inputs: By the names of the graph.

        Raises:
            ExportError: There are more points or memories than a graph of fixed shapes takes.
        """
        if self.fixed is None:
            return self._run(name, inputs)
        side = self.image_size
        found = [self._run(name, each) for each in self.fixed.calls(name, inputs, side)]
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    @property
    def image_size(self) -> int:
        """Side of the square input, model pixels."""
        return int(self.about["sam2_hf.image_size"])

    @property
    def num_bytes(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self._files())

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all graphs."""
        return hash_of(*self._files())

    def _run(self, name: str, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        feeds = {key: values.numpy(force=True) for key, values in inputs.items()}
        found = self._graphs[name](feeds)
        return [torch.from_numpy(values) for values in found]

    def _path(self, name: str) -> Path:
        return self.runtime.files(self.folder, name)[0]

    def _files(self) -> list[Path]:
        return [path for name in GRAPHS for path in self.runtime.files(self.folder, name)]

    def _shared_description(self) -> Mapping[str, str]:
        """Return what the graphs say of their model; all of them have to say the same."""
        about = {name: graph.about for name, graph in self._graphs.items()}
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
                        f"{self._path(name)} belongs to a different model than "
                        f"{self._path(GRAPHS[0]).name}, of different {word}. {AGAIN}"
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


def runtime_of(folder: Path) -> GraphRuntime:
    """Find what runs the graphs of a folder; ONNX Runtime if there are none.

    Raises:
        ExportError: They are of two kinds.
    """
    found = runtimes_of(folder)
    if len(found) > 1:
        names = " and ".join(runtime.name for runtime in found)
        raise ExportError(f"{folder} has graphs for {names}. Export each to a folder of its own.")
    return found[0] if found else ONNX_RUNTIME
