"""Pipelines and the command line against a Hub: by id, out of the cache, and with nobody there."""

import json
import time

import pytest
from PIL import Image
from seeded_inputs import photo

import sam2_hf
from sam2_hf import CheckpointError
from sam2_hf.cli import main
from sam2_hf.pipelines.loading import DEFAULT_MODEL

QUICK_SECONDS = 15.0  # loading included, on a busy machine; retrying alone would take longer


@pytest.fixture
def cup(tmp_path):
    path = tmp_path / "cup.png"
    Image.fromarray(photo(60, 120, 1)).save(path)
    return path


def test_a_pipeline_loads_model_and_image_processor_by_id(hub, folder_files, cup):
    hub.add("some/model", folder_files)

    segment = sam2_hf.pipeline("image-segmentation", model="some/model")

    assert segment._encoder.processor.size["height"] == 64
    assert segment(cup, points=(30, 20)).masks.shape == (3, 60, 120)


def test_a_repo_with_the_original_alone_gets_a_standard_processor(
    hub, folder_files, original_bytes, cup
):
    files = {"config.json": folder_files["config.json"], "small.pt": original_bytes}
    hub.add("some/original", files)

    segment = sam2_hf.pipeline("image-segmentation", model="some/original")

    assert segment(cup, points=(30, 20)).masks.shape == (3, 60, 120)


def test_without_a_network_the_cache_serves_at_once(hub, folder_files):
    hub.add("some/model", folder_files)
    sam2_hf.pipeline("image-segmentation", model="some/model")
    hub.vanish()
    start = time.monotonic()

    sam2_hf.pipeline("image-segmentation", model="some/model")

    assert time.monotonic() - start < QUICK_SECONDS


def test_a_model_that_the_hub_does_not_have_is_an_error_of_ours(hub):
    with pytest.raises(CheckpointError, match="some/none"):
        sam2_hf.pipeline("image-segmentation", model="some/none")


def test_the_command_line_takes_the_default_model_where_the_hub_answers(
    hub, folder_files, cup, tmp_path
):
    hub.add(DEFAULT_MODEL, folder_files)

    assert main(["segment", str(cup), "--point", "30,20", "--out", str(tmp_path / "out")]) == 0

    info = json.loads((tmp_path / "out" / "cup_segment.json").read_text())["info"]
    assert info["model"] == DEFAULT_MODEL


def test_the_command_line_does_not_wait_for_a_hub_that_is_gone(hub, cup, tmp_path, capsys):
    hub.vanish()
    start = time.monotonic()

    assert main(["segment", str(cup), "--point", "30,20", "--out", str(tmp_path / "out")]) == 2

    assert time.monotonic() - start < QUICK_SECONDS
    assert "Give --model sam2-hiera-micro" in capsys.readouterr().err
