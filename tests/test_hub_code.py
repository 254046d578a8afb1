"""What is saved with its code loads where this package is not installed, to the same values."""

import json
import os
import re
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from transformers.utils import PushToHubMixin

from sam2_hf import (
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2VideoModel,
    Sam2VideoProcessor,
    hub_code,
)

MODEL = "sam2-hiera-micro"
ELSEWHERE = """
import json, sys
sys.modules["sam2_hf"] = None  # as if it were not installed
import torch, transformers
for name in sys.argv[1:]:
    loaded = getattr(transformers, name).from_pretrained(name, trust_remote_code=True)
    print(type(loaded).__module__.split(".")[0], type(loaded).__name__)
    if name == "AutoModelForMaskGeneration":
        pixels = torch.linspace(-1, 1, 3 * 256 * 256).reshape(1, 3, 256, 256)
        clicks = torch.tensor([[[[100.0, 120.0]]]])
        with torch.inference_mode():
            answer = loaded(pixel_values=pixels, input_points=clicks, multimask_output=False)
        print(json.dumps(answer.iou_scores.flatten().tolist()))
"""


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Saves an object of a class with its code, in a folder with the name of an Auto class."""

    def save(kind, auto, **options):
        monkeypatch.setattr(kind, "_auto_class", None)
        kind.register_for_auto_class(auto)
        made = kind.from_pretrained(MODEL)
        made.save_pretrained(tmp_path / auto, **options)
        return made

    return save


def load_elsewhere(folder, *autos):
    """Load folders in a process without this package; return what it prints, line by line."""
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *autos],
        capture_output=True,
        check=False,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": "", "HF_HOME": str(folder / "home")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_processors_load_from_their_folders_alone(saved, tmp_path):
    saved(Sam2ImageProcessor, "AutoImageProcessor")
    saved(Sam2VideoProcessor, "AutoProcessor")

    assert load_elsewhere(tmp_path, "AutoImageProcessor", "AutoProcessor") == [
        "transformers_modules Sam2ImageProcessor",
        "transformers_modules Sam2VideoProcessor",
    ]


def test_models_and_configs_load_from_their_folders_alone(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(Sam2Config, "_auto_class", "AutoConfig")
    model = saved(Sam2Model, "AutoModelForMaskGeneration").eval()
    pixels = torch.linspace(-1, 1, 3 * 256 * 256).reshape(1, 3, 256, 256)
    with torch.inference_mode():
        answer = model(
            pixel_values=pixels,
            input_points=torch.tensor([[[[100.0, 120.0]]]]),
            multimask_output=False,
        )

    kind, values = load_elsewhere(tmp_path, "AutoModelForMaskGeneration")

    assert kind == "transformers_modules Sam2Model"
    torch.testing.assert_close(torch.tensor(json.loads(values)), answer.iou_scores.flatten())


def test_a_video_model_brings_the_code_of_its_config(saved, tmp_path):
    saved(Sam2VideoModel, "AutoModel")
    again = Sam2VideoModel.from_pretrained(tmp_path / "AutoModel")

    assert load_elsewhere(tmp_path, "AutoModel") == ["transformers_modules Sam2VideoModel"]
    assert again.config._auto_class is None


def test_a_class_without_a_file_is_saved_without_code(tmp_path, monkeypatch):
    class Own(Sam2Model):
        """As if defined in a notebook."""

    monkeypatch.setattr(Own, "__module__", "__main__")
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))

    hub_code.write_code(Own, tmp_path)

    assert not list(tmp_path.iterdir())


def test_the_code_of_a_video_model_is_whole(saved, tmp_path):
    saved(Sam2VideoModel, "AutoModel")

    files = {path.stem: path for path in (tmp_path / "AutoModel").glob("*.py")}
    text = "".join(path.read_text(encoding="utf-8") for path in files.values())
    assert "memory_attention" in files
    assert set(re.findall(r"^\s*from \.(\w+) import", text, flags=re.MULTILINE)) <= files.keys()
    assert not re.findall(r"^\s*(?:from|import) (?:sam2_hf|\.\.).*", text, flags=re.MULTILINE)


@pytest.mark.parametrize("kind", [Sam2ImageProcessor, Sam2VideoProcessor, Sam2Config, Sam2Model])
def test_code_is_written_before_an_upload(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(kind, "_auto_class", "AutoModel")
    found = []

    def upload(self, working_dir):
        found.extend(path.name for path in working_dir.glob("*.py"))

    uploaded_code = hub_code.uploads_code(upload)
    uploaded_code(kind.from_pretrained(MODEL), tmp_path)

    assert f"{kind.__module__.rpartition('.')[2]}.py" in found
    assert kind._upload_modified_files.__wrapped__ is PushToHubMixin._upload_modified_files
