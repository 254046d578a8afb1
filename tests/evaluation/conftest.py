"""What tests of the evaluation share: a small data set, and a folder with a small model."""

import pytest

from sam2_hf import Sam2ImageProcessor
from tests.labeled_squares import write_clips, write_photos


@pytest.fixture
def small_data(tmp_path):
    """A folder like the one that the programs read."""
    root = tmp_path / "data"
    write_photos(root)
    write_clips(root)
    return root


@pytest.fixture(scope="session")
def tiny_checkpoint(tiny_video_model, tmp_path_factory):
    """A folder with the tiny video model in it."""
    folder = tmp_path_factory.mktemp("model") / "sam2-tiny"
    tiny_video_model.save_pretrained(folder)
    side = tiny_video_model.image_size
    Sam2ImageProcessor(size={"height": side, "width": side}).save_pretrained(folder)
    return folder
