"""The bundled model and its exports, made once for all tests; workers of one run share them."""

import os
import shutil

import pytest
from filelock import FileLock
from peers import draw_weights

from sam2_hf import Sam2VideoModel
from sam2_hf.export import onnx_files, openvino_files
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.onnx_files import CONFIG, export_onnx
from sam2_hf.export.openvino_files import export_openvino
from sam2_hf.export.photo_folder import export_photo
from tests.small_checkpoint import small_config


@pytest.fixture(scope="session")
def bundled_model():
    return Sam2VideoModel.from_pretrained("sam2-hiera-micro").eval()


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Return a function that makes a folder once, whichever worker comes first."""
    base = tmp_path_factory.getbasetemp()

    def make(name, export):
        folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
        with FileLock(f"{folder}.lock"):
            if not (folder / CONFIG).exists():
                export(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def exported(bundled_model, shared_folder):
    """A folder of graphs; not to be changed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"export needs {package}: pip install '.[export]'")
    return shared_folder("exported-micro", lambda folder: export_onnx(bundled_model, folder))


@pytest.fixture(scope="session")
def exported_fixed(bundled_model, exported, shared_folder):
    """The same with fixed shapes, for one object; the graphs that see no prompt are equal."""
    write = onnx_files.write_graph

    def write_or_copy(graph, path, about):
        if graph.name in {"image_encoder", "no_memory"}:
            copy_graph(exported / path.name, path, {**about, "sam2_hf.graph": graph.name})
        else:
            write(graph, path, about)

    def export(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(onnx_files, "write_graph", write_or_copy)
            export_onnx(bundled_model, folder, fixed=True)

    return shared_folder("exported-fixed", export)


@pytest.fixture(scope="session")
def exported_openvino(bundled_model, exported, shared_folder):
    """The same graphs for OpenVINO."""
    pytest.importorskip("openvino", reason="it is optional: pip install '.[openvino]'")

    def export(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                openvino_files,
                "write_graph",
                lambda _, path, __: shutil.copyfile(exported / path.name, path),
            )
            export_openvino(bundled_model, folder)

    return shared_folder("exported-openvino", export)


@pytest.fixture(scope="session")
def onnx_model(exported):
    return ExportedSam2.from_pretrained(exported)


@pytest.fixture(scope="session")
def openvino_model(exported_openvino):
    return ExportedSam2.from_pretrained(exported_openvino)


@pytest.fixture(params=["onnx_model", "openvino_model"])
def graph_model(request):
    """The export of the bundled model in each runtime."""
    return request.getfixturevalue(request.param)


def copy_graph(source, target, about):
    """Copy a graph, which says something else of itself."""
    onnx = pytest.importorskip("onnx")
    proto = onnx.load(source)
    del proto.metadata_props[:]
    onnx.helper.set_model_props(proto, about)
    onnx.save(proto, target)


@pytest.fixture(scope="session")
def small_model():
    """The smallest model, which can be compiled in less than a minute."""
    return draw_weights(Sam2VideoModel(small_config()), seed=1).eval()


@pytest.fixture(scope="session")
def photo_export(small_model, shared_folder):
    """A function from a format to its export of the small model; not to be changed."""

    def export(format_name):
        name = f"exported-{format_name}"
        return shared_folder(name, lambda folder: export_photo(small_model, folder, format_name))

    return export
