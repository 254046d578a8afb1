"""Photos and a model folder for the command line."""

import shutil

import pytest
from huggingface_hub import constants
from PIL import Image
from seeded_inputs import photo

from sam2_hf import Sam2ImageProcessor, Sam2Processor
from sam2_hf.pipelines.placeholder import SIDE, placeholder_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A model that finds something with the default thresholds."""
    folder = tmp_path_factory.mktemp("model")
    size = {"height": SIDE, "width": SIDE}
    placeholder_model().save_pretrained(folder)
    Sam2Processor(Sam2ImageProcessor(size=size)).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def stored_photo(tmp_path_factory):
    """A photo twice as wide as high, as a file."""
    path = tmp_path_factory.mktemp("photos") / "cup.png"
    Image.fromarray(photo(60, 120, 1)).save(path)
    return path


@pytest.fixture
def cup(stored_photo, tmp_path):
    """That photo in a folder of the test's own."""
    return shutil.copy(stored_photo, tmp_path / "cup.png")


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No Hub and nothing in the cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty-cache"))


@pytest.fixture
def one_error_line(capsys):
    """A function that returns the only line on stderr, which must be an error's."""

    def read():
        (line,) = capsys.readouterr().err.splitlines()
        assert "error: " in line
        assert "Traceback" not in line
        return line

    return read
