"""The bundled model and its export, made once for all tests; workers of one run share it."""

import os

import pytest
from filelock import FileLock

from sam2_hf import Sam2VideoModel
from sam2_hf.export.onnx_files import CONFIG, export_onnx
from sam2_hf.export.onnx_sam2 import OnnxSam2


@pytest.fixture(scope="session")
def bundled_model():
    return Sam2VideoModel.from_pretrained("sam2-hiera-micro").eval()


@pytest.fixture(scope="session")
def exported(bundled_model, tmp_path_factory):
    """A folder of graphs; not to be changed."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"export needs {package}: pip install '.[export]'")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "exported-micro"
    with FileLock(f"{folder}.lock"):
        if not (folder / CONFIG).exists():
            export_onnx(bundled_model, folder)
    return folder


@pytest.fixture(scope="session")
def onnx_model(exported):
    return OnnxSam2.from_pretrained(exported)
