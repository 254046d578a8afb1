"""Size tiny at 1024 pixels with drawn weights: its graphs against the PyTorch model."""

import pytest
from golden_cases import case, seeded_video_model

from sam2_hf.export import export_onnx, parity
from sam2_hf.export.exported_sam2 import ExportedSam2

pytestmark = pytest.mark.slow  # an export, and seconds for each frame
NAME = "sam2.1_hiera_tiny"
FRAMES = 4
FEATURE, LOGIT, LEAST_IOU = 1e-4, 1e-2, 0.999


def test_the_graphs_of_size_tiny_are_the_model(tmp_path, monkeypatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"export needs {package}: pip install '.[export]'")
    monkeypatch.setattr(parity, "NUM_FRAMES", FRAMES)
    monkeypatch.setattr(parity, "REPEATS", 1)
    model = seeded_video_model(case(NAME))

    exported = ExportedSam2.from_pretrained(export_onnx(model, tmp_path / "export"))
    encoding, click, clip = parity.measure_parity(model, exported)

    assert encoding.difference <= FEATURE
    assert click.difference <= LOGIT
    assert clip.difference <= LOGIT
    assert min(click.least_iou, clip.least_iou) >= LEAST_IOU
