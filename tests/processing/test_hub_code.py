"""Processors that are saved with their code load where this package is not installed."""

import os
import subprocess
import sys

import pytest

from sam2_hf import Sam2ImageProcessor, Sam2VideoProcessor

ELSEWHERE = """
import sys
sys.modules["sam2_hf"] = None  # as if it were not installed
from transformers import AutoImageProcessor, AutoProcessor
auto = {auto}
processor = auto.from_pretrained(sys.argv[1], trust_remote_code=True)
print(type(processor).__module__.split(".")[0], type(processor).__name__)
"""


@pytest.mark.parametrize(
    ("kind", "auto"),
    [
        (Sam2ImageProcessor, "AutoImageProcessor"),
        (Sam2VideoProcessor, "AutoProcessor"),
    ],
)
def test_a_processor_loads_from_its_folder_alone(kind, auto, tmp_path, monkeypatch):
    monkeypatch.setattr(kind, "_auto_class", None)
    kind.register_for_auto_class(auto)
    kind.from_pretrained("sam2-hiera-micro").save_pretrained(tmp_path / "saved")

    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE.format(auto=auto), str(tmp_path / "saved")],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "HF_HOME": str(tmp_path / "home")},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["transformers_modules", kind.__name__]
