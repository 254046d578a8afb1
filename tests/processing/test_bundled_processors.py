"""Processors of checkpoints that come with the package: found by name, without a network."""

import pytest

from sam2_hf import Sam2ImageProcessor, Sam2Processor, Sam2VideoProcessor
from sam2_hf.processing.bundled_processors import checkpoint_source
from sam2_hf.video.video_processing_sam2_video import Sam2VideoVideoProcessor
from tests.bundled_checkpoint import NAME, bundle, forbid_network


@pytest.fixture
def bundled(tiny_video_model, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    forbid_network(monkeypatch)
    return bundle(tiny_video_model, tmp_path / "bundled", monkeypatch)


def size_of(processor):
    size = getattr(processor, "image_processor", processor).size
    return size["height"], size["width"]


@pytest.mark.parametrize(
    "cls", [Sam2ImageProcessor, Sam2Processor, Sam2VideoProcessor, Sam2VideoVideoProcessor]
)
def test_processors_load_by_name_without_a_network(bundled, cls):
    processor = cls.from_pretrained(NAME)

    assert type(processor) is cls
    assert size_of(processor) == (64, 64)


def test_a_folder_of_the_name_wins(bundled):
    Sam2ImageProcessor(size={"height": 32, "width": 32}).save_pretrained(NAME)

    assert size_of(Sam2ImageProcessor.from_pretrained(NAME)) == (32, 32)


@pytest.mark.parametrize("name", ["", ".", "..", "./sam2-hiera-micro", "facebook/sam2-hiera-micro"])
def test_anything_else_is_loaded_from_where_it_says(bundled, name):
    assert checkpoint_source(name) == name
    assert checkpoint_source(NAME) == bundled
