"""Photos and a model folder for the command line."""

import shutil

import pytest
from huggingface_hub import constants
from PIL import Image
from seeded_inputs import photo

from sam2_hf import Sam2ImageProcessor, Sam2Processor
from sam2_hf.cli import main
from sam2_hf.pipelines.placeholder import SIDE, placeholder_model, placeholder_video_model
from sam2_hf.pipelines.video_writer import video_writer
from tests.bundled_checkpoint import bundle, look_for_bundled_models_in


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


@pytest.fixture(scope="session")
def video_model_folder(tmp_path_factory):
    """A video model, saved."""
    folder = tmp_path_factory.mktemp("video-model")
    placeholder_video_model().save_pretrained(folder)
    return str(folder)


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
def track(video_model_folder, clip, tmp_path):
    """Run `sam2-hf track` on the clip; results go to `out`."""

    def run(*arguments, video=clip, model=video_model_folder):
        chosen = [] if model is None else ["--model", model]
        videos = [] if video is None else [str(video)]
        return main(["track", *videos, *chosen, "--out", str(tmp_path / "out"), *arguments])

    return run


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No Hub, nothing in the cache, and no bundled model."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "empty-cache"))
    look_for_bundled_models_in(tmp_path / "none", monkeypatch)


@pytest.fixture
def bundled(no_network, monkeypatch, tmp_path):
    """A bundled model, and no other."""
    monkeypatch.chdir(tmp_path)
    return bundle(placeholder_video_model(), tmp_path / "bundled", monkeypatch)


@pytest.fixture
def one_error_line(capsys):
    """A function that returns the only line on stderr, which must be an error's."""

    def read():
        (line,) = capsys.readouterr().err.splitlines()
        assert "error: " in line
        assert "Traceback" not in line
        return line

    return read
