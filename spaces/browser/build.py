"""Builds the static page: the exported model, ONNX Runtime of npm, and what lies in `page/`.

    make browser                       # writes spaces/browser/dist
    python spaces/browser/serve.py     # serves it at http://127.0.0.1:8000

Everything that the page asks for lies in the folder. Nothing that was fetched is kept under version
control: `npm ci` takes the versions, and their checksums, of `package-lock.json`.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sam2_hf import CheckpointError, Sam2Error, Sam2VideoModel
from sam2_hf.atomic_write import atomic_folder
from sam2_hf.export import export_onnx
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "samples"
GRAPHS = (
    *("image_encoder", "no_memory", "mask_decoder", "object_pointer"),
    *("memory_attention", "memory_encoder"),
)
# the module, what it loads, and the binary, which the page downloads itself to show how far it is
RUNTIMES = {
    "wasm": (
        "ort.wasm.min.mjs",
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm-simd-threaded.wasm",
    ),
    "webgpu": (
        "ort.webgpu.min.mjs",
        "ort-wasm-simd-threaded.asyncify.mjs",
        "ort-wasm-simd-threaded.asyncify.wasm",
    ),
}
ABOUT = "model/model.json"
FIELDS = {"name", "knows_boxes", "graphs", "runtimes"}  # that every page's description has
LEARNED_NO_BOXES = (
    SMALL_MODEL,
    "sam2_hf_micro",
)  # by id and by folder; a box becomes a click at its center
SMALLEST_HALVED = 256  # numbers of a weight; smaller ones are not worth a node
DIGITS = 12  # of a checksum, enough to tell one build from another


class BuildError(Exception):
    """The page cannot be built; the message says what to do."""


def build(folder: Path, model: str, exported: Path | None = None) -> None:
    """Write the page.

    Args:
        folder: Where to; an earlier page there is replaced as a whole, once the new one is ready.
        model: Hub id or folder of the model to export.
        exported: Float32 graphs of it, if they are there already.

    Raises:
        BuildError: The folder holds something other than a page, or cannot be written; or npm is
            missing, or fails.
        CheckpointError: The model cannot be loaded.
    """
    target = folder.expanduser().resolve()
    _require_free(target)
    runtime = fetch_runtime()
    with tempfile.TemporaryDirectory() as scratch:
        if exported is None:
            loaded = Sam2VideoModel.from_pretrained(model).eval()
            exported = export_onnx(loaded, Path(scratch) / "graphs")
        try:
            with atomic_folder(target) as draft:
                _write_page(draft, runtime, exported)
        except OSError as error:
            raise BuildError(f"{folder} could not be written: {error}.") from error


def _require_free(target: Path) -> None:
    """Refuse a file, and a folder with anything in it that is not a page."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    try:
        about = json.loads((target / ABOUT).read_text(encoding="utf-8"))
        is_page = about.keys() >= FIELDS
    except (OSError, ValueError, AttributeError):
        is_page = False
    if not is_page:
        raise BuildError(
            f"{target} holds something other than a page that was built before. "
            "Give --out a new or empty folder."
        )


def _write_page(folder: Path, runtime: Path, exported: Path) -> None:
    """Write the page into an empty folder."""
    shutil.copytree(HERE / "page", folder, dirs_exist_ok=True)
    shutil.copyfile(HERE / "README.md", folder / "README.md")
    shutil.copytree(SAMPLES, folder / "samples")
    _copy_runtime(runtime, folder / "runtime")
    about = _write_graphs(exported, folder / "model")
    described = _description(folder, about)
    (folder / ABOUT).write_text(json.dumps(described), encoding="utf-8")


def fetch_runtime() -> Path:
    """Install onnxruntime-web, unless it is there; return the folder of its files.

    Raises:
        BuildError: npm is missing, or fails.
    """
    package = HERE / "node_modules" / "onnxruntime-web"
    wanted = json.loads((HERE / "package.json").read_text())["devDependencies"][package.name]
    about = package / "package.json"
    if about.is_file() and json.loads(about.read_text())["version"] == wanted:
        return package / "dist"
    npm = shutil.which("npm")
    if npm is None:
        raise BuildError("The page needs npm to get onnxruntime-web: apt-get install npm.")
    # no script of a package runs: only files are taken
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    if subprocess.run(command, cwd=HERE, stdout=subprocess.DEVNULL, check=False).returncode:
        raise BuildError(f"npm could not install onnxruntime-web {wanted}; it says why above.")
    return package / "dist"


def halve_weights(graph: onnx.ModelProto) -> None:
    """Store weights in 16 bits and let the runtime widen them when it loads the graph.

    The download halves, and all arithmetic stays in 32 bits.
    """
    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type != TensorProto.FLOAT or np.prod(weight.dims) < SMALLEST_HALVED:
            continue
        name, values = weight.name, numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def _copy_runtime(source: Path, target: Path) -> None:
    target.mkdir()
    for name in sorted({name for names in RUNTIMES.values() for name in names}):
        shutil.copyfile(source / name, target / name)


def _write_graphs(exported: Path, target: Path) -> dict[str, str]:
    """Write the graphs that the page needs; return what they say of themselves."""
    target.mkdir()
    about: dict[str, str] = {}
    for name in GRAPHS:
        graph = onnx.load(exported / f"{name}.onnx")
        halve_weights(graph)
        about = {entry.key: entry.value for entry in graph.metadata_props}
        (target / f"{name}.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    return about


def _description(folder: Path, about: dict[str, str]) -> dict[str, Any]:
    """Describe the model and the files: browsers cannot read what graphs say of themselves."""
    runtimes = {
        kind: [_file(folder, f"runtime/{name}") for name in names]
        for kind, names in RUNTIMES.items()
    }
    return {
        "name": about["sam2_hf.model"],
        "knows_boxes": about["sam2_hf.model"] not in LEARNED_NO_BOXES,
        "image_size": int(about["sam2_hf.image_size"]),
        "pixels": json.loads(about["sam2_hf.pixels"]),
        "config": json.loads(about["sam2_hf.config"]),
        "graphs": [_file(folder, f"model/{name}.onnx") for name in GRAPHS],
        "runtimes": runtimes,
    }


def _file(folder: Path, name: str) -> dict[str, Any]:
    content = (folder / name).read_bytes()
    version = hashlib.sha256(content).hexdigest()[:DIGITS]
    return {"name": name, "bytes": len(content), "version": version}


def main() -> int:
    """Build from the command line."""
    parser = argparse.ArgumentParser(description="Build the static page.")
    parser.add_argument("--model", default=SMALL_MODEL, help="Hub id or folder (%(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "dist", help="folder (%(default)s)")
    given = parser.parse_args()
    try:
        build(given.out, given.model)
    except (BuildError, Sam2Error, CheckpointError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    files = [path for path in given.out.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 2**20
    sys.stdout.write(f"{given.out}: {len(files)} files, {size:.1f} MiB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
