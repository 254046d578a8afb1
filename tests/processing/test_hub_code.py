"""Processors that are saved with their code load where this package is not installed."""

import os
import subprocess
import sys

from sam2_hf import Sam2ImageProcessor, Sam2VideoProcessor

ELSEWHERE = """
import sys
sys.modules["sam2_hf"] = None  # as if it were not installed
from transformers import AutoImageProcessor, AutoProcessor
for auto, folder in ((AutoImageProcessor, sys.argv[1]), (AutoProcessor, sys.argv[2])):
    processor = auto.from_pretrained(folder, trust_remote_code=True)
    print(type(processor).__module__.split(".")[0], type(processor).__name__)
"""


def test_processors_load_from_their_folders_alone(tmp_path, monkeypatch):
    for kind, auto in (
        (Sam2ImageProcessor, "AutoImageProcessor"),
        (Sam2VideoProcessor, "AutoProcessor"),
    ):
        monkeypatch.setattr(kind, "_auto_class", None)
        kind.register_for_auto_class(auto)
        kind.from_pretrained("sam2-hiera-micro").save_pretrained(tmp_path / auto)

    done = subprocess.run(
        [
            sys.executable,
            "-c",
            ELSEWHERE,
            tmp_path / "AutoImageProcessor",
            tmp_path / "AutoProcessor",
        ],
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "HF_HOME": str(tmp_path / "home")},
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "transformers_modules Sam2ImageProcessor",
        "transformers_modules Sam2VideoProcessor",
    ]
