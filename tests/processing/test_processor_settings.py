"""Processors whose saved settings are damaged."""

import json
import shutil

import pytest

from sam2_hf import Sam2ImageProcessor, Sam2Processor, Sam2VideoProcessor, Sam2VideoVideoProcessor
from sam2_hf.errors import ProcessorError, Sam2Error
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from tests.damage import damaged

KINDS = (Sam2ImageProcessor, Sam2Processor, Sam2VideoProcessor, Sam2VideoVideoProcessor)
FILE = "processor_config.json"
SEEDS = 160


@pytest.fixture
def folder(tmp_path):
    for name in ("config.json", FILE):
        shutil.copy(bundled_folder(SMALL_MODEL) / name, tmp_path)
    return tmp_path


def test_damaged_settings_are_refused_or_harmless(folder):
    text = (folder / FILE).read_text()
    refused = 0
    for seed in range(SEEDS):
        content, what = damaged(text, seed)
        (folder / FILE).write_bytes(content)
        try:
            KINDS[seed % 4].from_pretrained(folder)
        except Sam2Error:
            refused += 1
        except OSError:
            # transformers' word for a part that is not there at all
            missing = "dropped" in what or "= None" in what
            assert missing, f"seed {seed}, {what}"
        except Exception as error:
            pytest.fail(f"seed {seed}, {what}: {type(error).__name__}: {error}")
    assert refused > SEEDS / 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_std", [0.2, 0.0, 0.2]),
        ("image_std", [0.2, -0.1, 0.2]),
        ("image_mean", [0.5, float("nan"), 0.5]),
        ("image_mean", [0.5, 0.5]),
        ("rescale_factor", 0),
        ("rescale_factor", float("inf")),
        ("size", {"height": -1, "width": 64}),
        ("size", {"height": 10**9, "width": 10**9}),
        ("size", {"height": "64", "width": 64}),
        ("resample", 99),
        ("do_resize", "no"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_a_setting_that_would_spoil_pixels_is_named(folder, kind, name, value):
    fields = json.loads((folder / FILE).read_text())
    fields["image_processor"][name] = fields["video_processor"][name] = value
    (folder / FILE).write_text(json.dumps(fields))

    with pytest.raises(ProcessorError, match=f"{name} is"):
        kind.from_pretrained(folder)


def test_settings_of_a_folder_of_one_processor_are_checked(tmp_path):
    Sam2ImageProcessor().save_pretrained(tmp_path)
    path = tmp_path / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_std": [0, 0, 0]}))

    with pytest.raises(ProcessorError, match=r"image_std is \[0, 0, 0\]"):
        Sam2ImageProcessor.from_pretrained(tmp_path)


def test_a_setting_given_for_one_load_is_checked(folder):
    with pytest.raises(ProcessorError, match="image_std is"):
        Sam2ImageProcessor.from_pretrained(folder, image_std=[0.0, 1.0, 1.0])


@pytest.mark.parametrize("name", ["image_mean", "image_std", "rescale_factor"])
@pytest.mark.parametrize("kind", [Sam2ImageProcessor, Sam2VideoVideoProcessor])
def test_the_numbers_of_a_step_that_is_taken_must_be_there(kind, name, tmp_path):
    step = "do_rescale" if name == "rescale_factor" else "do_normalize"
    kind(**{name: None}).save_pretrained(tmp_path)

    with pytest.raises(ProcessorError, match=f"{step} is true and {name} is null"):
        kind.from_pretrained(tmp_path)

    kind(**{name: None, step: False}).save_pretrained(tmp_path)
    assert getattr(kind.from_pretrained(tmp_path), name) is None
