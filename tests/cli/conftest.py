"""Photos and a model folder for the command line."""

import shutil

import pytest
from huggingface_hub import constants
from PIL import Image
from seeded_inputs import photo

from sam2_hf.cli import main
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from sam2_hf.writers.mp4 import video_writer


@pytest.fixture(scope="session")
def model_folder():
    """The bundled model, by its place."""
    return str(bundled_folder(SMALL_MODEL))


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


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    """A video of 8 frames of 48 x 64 pixels, 10 a second: a photo that moves to the left."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    wide = photo(48, 96, 1)
    with video_writer(path, fps=10) as writer:
        for frame in range(8):
            writer.write(wide[:, 4 * frame : 4 * frame + 64])
    return path


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory):
    """A video of 24 frames whose index comes first, so that it can be cut off."""
    path = tmp_path_factory.mktemp("clips") / "long.mp4"
    with video_writer(path) as writer:
        for frame in range(24):
            writer.write(photo(48, 64, frame))
    return path


@pytest.fixture
def track(model_folder, clip, tmp_path):
    """Run `sam2-hf track` on the clip; results go to `out`."""

    def run(*arguments, video=clip, model=model_folder):
        chosen = [] if model is None else ["--model", model]
        videos = [] if video is None else [str(video)]
        return main(["track", *videos, *chosen, "--out", str(tmp_path / "out"), *arguments])

    return run


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No Hub, nothing in the cache, and an empty working folder."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def one_error_line(capsys):
    """A function that returns the only line on stderr, which must be an error's."""

    def read():
        (line,) = capsys.readouterr().err.splitlines()
        assert "error: " in line
        assert "Traceback" not in line
        return line

    return read
