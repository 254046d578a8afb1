"""Photos and folders for the pipelines, small because the models are."""

import pytest
from seeded_inputs import photo

from sam2_hf import Sam2ImageProcessor, Sam2Processor


@pytest.fixture(scope="session")
def wide():
    """A photo twice as wide as high."""
    return photo(60, 120, 1)


@pytest.fixture(scope="session")
def tall():
    """A photo of another shape."""
    return photo(100, 70, 2)


@pytest.fixture
def saved_model(tiny_model, tmp_path):
    """A folder with the tiny model and its processor, as `save_pretrained` writes them."""
    side = tiny_model.config.prompt_encoder_config.image_size
    processor = Sam2Processor(Sam2ImageProcessor(size={"height": side, "width": side}))
    tiny_model.save_pretrained(tmp_path / "tiny")
    processor.save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def saved_video_model(tiny_video_model, video_processor, tmp_path):
    """A folder with the tiny video model and its processor."""
    tiny_video_model.save_pretrained(tmp_path / "tiny-video")
    video_processor.save_pretrained(tmp_path / "tiny-video")
    return tmp_path / "tiny-video"
